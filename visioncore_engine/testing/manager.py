"""Plugins without those that happen to be installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from visioncore_engine.registry import Registry, discover
from visioncore_engine.testing.distribution import FakeDistribution

__all__ = ["IsolatedPlugins"]


class IsolatedPlugins:
    """What a test registers, and nothing else.

    Examples
    --------
    >>> from visioncore_engine.testing import IsolatedPlugins
    >>> plugins = IsolatedPlugins()
    >>> plugins.registry().plugins
    ()
    """

    def __init__(self) -> None:
        self._points: list[Any] = []
        self._files: list[Path] = []
        self._distributions: list[FakeDistribution] = []

    def register(self, plugin: Any, name: str = "") -> None:
        """Add a plugin.

        Parameters
        ----------
        plugin
            A module, or a mapping from names of hooks to functions marked with ``@hookimpl``.
        name
            Name of the plugin; by default that of the module.
        """
        if isinstance(plugin, Mapping):
            plugin = SimpleNamespace(**plugin)
        home = getattr(plugin, "__name__", name)
        self._points.append(SimpleNamespace(name=name or home, value=home, dist=None, load=_returning(plugin)))

    def register_file(self, path: Path | str) -> None:
        """Add a single file, as ``--plugin`` does."""
        self._files.append(Path(path))

    def install(self, distribution: FakeDistribution) -> None:
        """Add an installed distribution; its modules can be imported from now on."""
        distribution.activate()
        self._distributions.append(distribution)

    def entry_points(self, **_filter: Any) -> list[Any]:
        """Stand in for the installed entry points."""
        return [*self._points, *(point for found in self._distributions for point in found.points())]

    def registry(self) -> Registry:
        """Find and load them, as a run does."""
        return discover(entry_points=self.entry_points(), files=self._files)

    def close(self) -> None:
        """Forget every module that was loaded for them."""
        for distribution in self._distributions:
            distribution.deactivate()
        for path in self._files:
            module = sys.modules.get(path.stem)
            if module is not None and Path(getattr(module, "__file__", "") or "") == path.resolve():
                del sys.modules[path.stem]


def _returning(value: Any) -> Callable[[], Any]:
    return lambda: value
