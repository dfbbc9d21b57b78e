"""A plugin package as pip would have installed it, in a folder of its own."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visioncore_engine.hookspecs import ENTRY_POINT_GROUP

__all__ = ["FakeDistribution"]


class FakeDistribution:
    """An installed distribution: modules and ``.dist-info`` with METADATA, RECORD and entry points.

    Parameters
    ----------
    folder
        Folder to install into; `activate` puts it on ``sys.path``.
    name, version
        Of the distribution.
    modules
        Source text of each module by its dotted name (``"my_lab"``, ``"my_lab.options"``); indented text is fine.
    entry_points
        Plugins: name and module; by default each module at the top, under its own name.
    editable
        Say that it was installed with ``pip install -e``.

    Examples
    --------
    >>> import tempfile
    >>> from visioncore_engine.testing import FakeDistribution
    >>> lab = FakeDistribution(tempfile.mkdtemp(), "my-lab", modules={"my_lab": "NAME = 'lab'"})
    >>> lab.entry_points
    {'my_lab': 'my_lab'}
    """

    def __init__(
        self,
        folder: Path | str,
        name: str = "my-lab",
        version: str = "1.0",
        *,
        modules: Mapping[str, str],
        entry_points: Mapping[str, str] | None = None,
        editable: bool = False,
    ) -> None:
        self.folder, self.name, self.version = Path(folder), name, version
        tops = {module: module for module in modules if "." not in module}
        self.entry_points = dict(tops if entry_points is None else entry_points)
        self._packages = {module.rpartition(".")[0] for module in modules if "." in module}
        self._modules = tuple(modules)
        written = [self._write(self._path(module), textwrap.dedent(text)) for module, text in modules.items()]
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        lines = [f"{key} = {value}" for key, value in self.entry_points.items()]
        written += [
            self._write(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
            self._write(info / "entry_points.txt", "\n".join([f"[{ENTRY_POINT_GROUP}]", *lines, ""])),
        ]
        if editable:
            source = {"url": self.folder.as_uri(), "dir_info": {"editable": True}}
            written.append(self._write(info / "direct_url.json", json.dumps(source)))
        record = info / "RECORD"
        self._write(record, "\n".join([*written, f"{record.relative_to(self.folder).as_posix()},,", ""]))

    def activate(self) -> None:
        """Put it on ``sys.path``, before everything else; modules of the same names are forgotten."""
        tops = {module.partition(".")[0] for module in self._modules}
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]
        sys.path.insert(0, str(self.folder))
        importlib.invalidate_caches()

    def deactivate(self) -> None:
        """Take it off ``sys.path``, and forget its modules."""
        if str(self.folder) in sys.path:
            sys.path.remove(str(self.folder))
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "") or "").startswith(str(self.folder)):
                del sys.modules[name]
        importlib.invalidate_caches()

    def points(self) -> list[Any]:
        """Entry points of the distribution, as `visioncore_engine.discover` takes them."""
        import importlib_metadata

        found = importlib_metadata.distributions(path=[str(self.folder)])
        return [
            point
            for distribution in found
            for point in distribution.entry_points
            if point.group == ENTRY_POINT_GROUP and distribution.name == self.name
        ]

    def _path(self, module: str) -> Path:
        path = self.folder.joinpath(*module.split("."))
        return path / "__init__.py" if module in self._packages else path.with_suffix(".py")

    def _write(self, path: Path, text: str) -> str:
        """Write a file; returns its line of RECORD."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = text.encode()
        path.write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        return f"{path.relative_to(self.folder).as_posix()},sha256={digest},{len(content)}"
