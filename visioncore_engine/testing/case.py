"""A component under test: what a run file would say of it, and what it meets."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from visioncore_engine.config.blocks import Blocks
from visioncore_engine.config.node import to_node
from visioncore_engine.errors import ConfigError, PluginError
from visioncore_engine.options import Choice, Slot
from visioncore_engine.registry import Entry, Registry, discover

__all__ = ["Case", "Given", "Scene"]

_MODULES = ("model", "adapter", "stage", "modulator", "readout")  # the engine seeds before it builds these
_NEEDED: Mapping[str, Mapping[str, Any]] = {"regularizer": {"strength": 0.1, "match": "*"}}  # what no kind can default


class Scene(Protocol):
    """What a component of a kind meets: small facts and small inputs. Each is used once, so that it may be changed."""

    @property
    def facts(self) -> Any:
        """What the builder receives."""
        ...

    def probe(self, built: Any) -> Mapping[str, Any]:
        """Everything observable that a built component does: arrays, tensors and plain values by name."""
        ...


class Given:
    """A value of an option that acts only beside other options: ``Given(True, momentum=0.9)``."""

    def __init__(self, value: Any, **others: Any) -> None:
        self.value, self.others = value, others


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """A component under test.

    Attributes
    ----------
    kind, name
        ``"sampler"`` and ``"bootstrap"`` or ``"example_lab:bootstrap"``.
    options
        What a run file would say; needed only where an option has no default.
    variants
        Another value (or `Given`) of options whose other values cannot be derived, or act only beside others.
    inert
        Options that rightly change nothing in the scene, with the reason. One that does change something fails.
    apart
        Options whose other values only `every_option_acts` tries, with the reason. With every other word, switch and
        value in `variants`, every check is tried.
    expected
        Checks that do not hold, with the reason: strict expected failures.
    scene
        Replaces the scene of the kind, for a component that needs special data.
    registry
        Where the component is looked up; by default what is installed.
    """

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Any] = field(default_factory=dict)
    inert: Mapping[str, str] = field(default_factory=dict)
    apart: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    scene: Callable[[Case], Scene] | None = None
    registry: Registry | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def __repr__(self) -> str:
        return f"<case {self}>"

    @property
    def plugins(self) -> Registry:
        """The registry in which the component is looked up."""
        return _installed() if self.registry is None else self.registry

    @property
    def entry(self) -> Entry:
        """The declaration.

        Raises
        ------
        PluginError
            Where there is no such component.
        """
        return self.plugins.find(self.kind, self.name)

    def choose(self, **changes: Any) -> Choice:
        """Resolve the block as a run file would, with some options changed.

        Raises
        ------
        ConfigError, PluginError
            With every mistake in the block.
        """
        blocks = Blocks(self.plugins)
        node = to_node({"name": self.name, **_NEEDED.get(self.kind, {}), **self.options, **changes}, f"<case {self}>")
        choice = blocks.choice(Slot(self.kind), node, self.kind)
        if choice is None or blocks.ledger.problems:
            error = PluginError if blocks.ledger.plugin_problems else ConfigError
            raise error(*blocks.ledger.problems)
        return choice

    def scene_of(self) -> Scene:
        """Make a fresh scene."""
        if self.scene is not None:
            return self.scene(self)
        module = importlib.import_module(f"visioncore_engine.testing.scenes.{self.kind}")
        scene: Scene = module.scene(self)
        return scene

    def build(self, scene: Scene | None = None, /, **changes: Any) -> Any:
        """Build the component as a run would: initial values of modules are drawn under one seed.

        Parameters
        ----------
        scene
            What it meets; a fresh scene where it is not given.
        **changes
            Options that differ from those of the case.

        Raises
        ------
        UserError
            As the builder does.
        """
        choice = self.choose(**changes)
        facts = (self.scene_of() if scene is None else scene).facts
        if self.kind not in _MODULES:
            return choice.build(facts)
        from visioncore_engine.testing.worlds import seeded

        with seeded():
            return choice.build(facts)

    def probe(self, **changes: Any) -> Mapping[str, Any]:
        """Build the component in a fresh scene and look at everything that it does."""
        scene = self.scene_of()
        return scene.probe(self.build(scene, **changes))


@cache
def _installed() -> Registry:
    return discover()
