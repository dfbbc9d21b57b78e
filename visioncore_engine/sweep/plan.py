"""Which runs a sweep is made of, and in which folder each lies."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visioncore_engine.config.document import read
from visioncore_engine.config.node import plain
from visioncore_engine.config.resolve import resolve, resolve_part
from visioncore_engine.config.resolved import Resolved
from visioncore_engine.errors import ConfigError, Problem, UserError
from visioncore_engine.folder import RunFolder
from visioncore_engine.record import from_json
from visioncore_engine.registry import Registry
from visioncore_engine.sweep.options import SweepOptions

__all__ = ["Plan", "Point"]


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes
    ----------
    name
        Name of the run, and of its folder where the sweep chose it.
    resolved
        The run, with `run.name` and `run.dir`.
    folder
        Its folder.
    finished
        Whether a run of the same content lies there and is finished.
    """

    name: str
    resolved: Resolved
    folder: RunFolder
    finished: bool

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run of the same content that goes on from where it is."""
        return self.folder.is_used()


@dataclass
class Plan:
    """The runs of a sweep file.

    Attributes
    ----------
    options, path
        What the file says, and where it lies.
    sets
        ``key=value`` each, laid over every run last.
    plugin_files, block
        As for `resolve`.
    registry
        The plugins, found once.
    """

    options: SweepOptions
    path: Path
    sets: Sequence[str] = ()
    plugin_files: Sequence[str] = ()
    block: Sequence[str] = ()
    registry: Registry | None = None
    _taken: dict[str, None] = field(default_factory=dict)

    @classmethod
    def read(
        cls, path: Path, *, sets: Sequence[str] = (), plugin_files: Sequence[str] = (), block: Sequence[str] = ()
    ) -> Plan:
        """Read a sweep file.

        Raises
        ------
        ConfigError
            With every mistake and its line.
        """
        return cls(resolve_part(SweepOptions, str(path)), path, sets, plugin_files, block)

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.options.name or re.sub(r"[^A-Za-z0-9_.+=-]", "-", self.path.stem)

    @property
    def folder(self) -> Path:
        """Folder of the sweep."""
        return Path(self.options.dir or f"runs/{self.name}")

    def points(self) -> list[Point]:
        """Every run, in order: overlays, then grid, then seeds.

        Raises
        ------
        UserError
            With what is wrong with any of them: nothing is started before all are right.
        """
        found: dict[str, Point] = {}
        problems: list[Problem] = []
        for words, files, values in self._combinations():
            try:
                point = self.point(words, values, files=files)
            except UserError as error:
                problems += [problem for problem in error.problems if problem not in problems]
                continue
            content = json.dumps({**point.resolved.dump(), "run": None})
            if content in found:
                what = f"{'-'.join(words)} is the same run as {found[content].name}"
                problems.append(Problem(where=str(self.path), what=what, todo="write each alternative once"))
            found[content] = point
        if problems:
            raise ConfigError(*problems)
        return list(found.values())

    def _combinations(self) -> Iterator[tuple[list[str], tuple[str, ...], dict[str, Any]]]:
        """Words of the name, overlays and values of each run."""
        overlays = self.options.overlays
        named = (
            overlays
            if isinstance(overlays, dict)
            else {"+".join(Path(one).stem for one in own): own for own in overlays}
        )
        if not isinstance(overlays, dict) and len(named) < len(overlays):
            named = {
                f"{number + 1}-{'+'.join(Path(one).stem for one in own)}": own for number, own in enumerate(overlays)
            }
        short = _short(self.options.grid)
        for overlay in named or {"": ()}:
            for values in itertools.product(*self.options.grid.values()):
                chosen = dict(zip(self.options.grid, values, strict=True))
                words = [
                    *([overlay] if overlay else []),
                    *(f"{short[key]}={_word(value)}" for key, value in chosen.items()),
                ]
                for seed in self.options.seeds or (None,):
                    files = tuple(named[overlay]) if overlay else ()
                    more = [] if seed is None else [f"seed{seed}"]
                    yield [*words, *more], files, {**chosen, **({} if seed is None else {"seed": seed})}

    def resolved(self, values: Mapping[str, Any], *, files: Sequence[str] = (), place: Mapping[str, str]) -> Resolved:
        """Resolve the run with some values, and the name and folder that `place` says."""
        paths = [str(self.path.parent / name) for name in (*self.options.run, *files)]
        everything = {**self.options.set, **values, **{f"run.{key}": value for key, value in place.items()}}
        sets = [*(f"{key}={json.dumps(value)}" for key, value in everything.items()), *self.sets]
        if self.registry is None:
            first = resolve(paths, sets, plugin_files=self.plugin_files, block=self.block)
            self.registry = first.registry
            return first
        return resolve(paths, sets, registry=self.registry)

    def point(self, words: Iterable[str], values: Mapping[str, Any], *, files: Sequence[str] = ()) -> Point:
        """Resolve one run, and find its folder: the one that holds a run of the same content, else a new one."""
        name = re.sub(r"[^A-Za-z0-9_.+=-]", "-", "-".join(words)) or "run"
        resolved = self.resolved(values, files=files, place={"name": name})
        if (old := self._same_content(resolved)) is not None:
            folder, record = RunFolder(old), _record(old)
        else:
            folder, record = RunFolder(self.folder / self._free(name)), {}
        self._taken[folder.path.name] = None
        place = {"name": str(record.get("name") or folder.path.name), "dir": str(folder.path)}
        resolved = self.resolved(values, files=files, place=place)
        return Point(folder.path.name, resolved, folder, finished=record.get("finished") is not None)

    def _free(self, name: str) -> str:
        """The name, or with a number where a run of other content has it."""
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        return next(one for one in names if one not in self._taken and not RunFolder(self.folder / one).is_used())

    def _same_content(self, resolved: Resolved) -> Path | None:
        """Folder of a run of the sweep that is this one, by its digest without name and place."""
        dump = resolved.dump()
        for record in sorted(self.folder.glob("*/record.json")):
            place = _run_block(record.parent)
            own = _record(record.parent)
            under_way = record.parent.name in self._taken and not own.get("finished")
            if place is not None and not under_way:
                text = json.dumps({**dump, "run": place}, separators=(",", ":"), ensure_ascii=False)
                if hashlib.sha256(text.encode()).hexdigest() == own.get("digest"):
                    return record.parent
        return None


def _record(folder: Path) -> dict[str, Any]:
    path = folder / "record.json"
    return from_json(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else {}


def _run_block(folder: Path) -> dict[str, Any] | None:
    """Name and place with which a run was resolved; None where its file is gone."""
    path = folder / "run.yaml"
    if not path.is_file():
        return None
    tree = plain(read(path, str(path)))
    return tree.get("run") if isinstance(tree, dict) else None


def _short(grid: Mapping[str, Any]) -> dict[str, str]:
    """Last word of each key, the whole key where several end alike."""
    ends = [key.rpartition(".")[2] for key in grid]
    return {key: end if ends.count(end) == 1 and end != "name" else key for key, end in zip(grid, ends, strict=True)}


def _word(value: Any) -> str:
    """What a value is called in a name; long ones by a digest."""
    text = value if isinstance(value, str) else json.dumps(value)
    text = re.sub(r"[^A-Za-z0-9_.+]+", "-", text).strip("-") or "none"
    return text if len(text) <= 24 else hashlib.sha256(text.encode()).hexdigest()[:8]
