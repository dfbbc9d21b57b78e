"""What the headers of a run's sessions say is wrong with it (`visioncore check`). Torch-free; reads no frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from visioncore_engine.errors import DataError, Problem
from visioncore_engine.options import Choice
from visioncore_neural.data.paths import find_sessions, resolve_root
from visioncore_neural.data.readers import Folder, Hdf5, Npz
from visioncore_neural.data.selection import collect, refuse_mixtures, select_units
from visioncore_neural.options.dataset import SessionsOptions
from visioncore_neural.recording import PREVIOUS, Recording

if TYPE_CHECKING:
    from visioncore_engine.config.run import RunConfig

__all__ = ["problems"]

_PLUGIN = "visioncore_neural"
_READERS: dict[str, Callable[[Any, Any], Folder | Npz | Hdf5]] = {"folder": Folder, "npz": Npz, "hdf5": Hdf5}
_MAKE_BEHAVIOR = ("velocity", "temporal_basis")
_VERBS = {"velocity": "differentiate"}


def problems(config: RunConfig) -> list[Problem]:
    """Find what is wrong with the sessions of a run.

    Sessions that are not there, headers that cannot be read, arrays that disagree in length or shape, patterns that
    match no session or unit, and side inputs that the run needs and sessions lack. The files of a reader of another
    plugin are not looked at.
    """
    options = config.data.options
    assert isinstance(options, SessionsOptions)
    try:
        recordings = _recordings(options)
        if recordings is None:
            return []
        refuse_mixtures(recordings)
        select_units(recordings, options.units)
    except DataError as error:
        return list(error.problems)
    return list(_lacking_sides(config, options, recordings))


def _recordings(options: SessionsOptions) -> tuple[Recording, ...] | None:
    """Headers of all sessions; None where only a stranger's reader understands them."""
    root, builder = resolve_root(options.root), _READERS.get(options.reader.name)
    if options.reader.plugin != _PLUGIN or builder is None:
        find_sessions(root, options.sessions, lambda _: True)
        return None

    def reader(path: Path) -> Folder | Npz | Hdf5:
        # In place of `contracts.ReaderFacts`, whose module imports torch.
        return builder(options.reader.options, cast("Any", SimpleNamespace(path=path)))

    paths = find_sessions(root, options.sessions, lambda path: reader(path).accepts())
    return collect(lambda path: reader(path).headers(), paths)


def _lacking_sides(config: RunConfig, options: SessionsOptions, recordings: Sequence[Recording]) -> Iterator[Problem]:
    made: list[str] = []
    for choice in options.prepare:
        of = getattr(choice.options, "of", "behavior" if choice.name == "split_relu" else ())
        for name in () if choice.plugin != _PLUGIN else (of,) if isinstance(of, str) else of:
            for recording in [] if name in made else _without(recordings, name):
                what = f"cannot {_VERBS.get(choice.name, 'change')} {name}, which {recording.where} does not have"
                todo = "leave the session out, or the preparation"
                yield Problem(key=f"data.prepare.{choice.id}", what=what, todo=todo)
        if choice.name in _MAKE_BEHAVIOR:
            made.append("behavior")
    made.append(PREVIOUS)
    for name in options.side or ():
        if name not in made:
            for recording in _without(recordings, name):
                yield Problem(key="data.side", what=f"{recording.where} has no {name}", todo="leave the session out")
    if all(choice.plugin == _PLUGIN for choice in options.prepare):
        yield from _needs_of_modulator(config, options, recordings, tuple(made))


def _needs_of_modulator(
    config: RunConfig, options: SessionsOptions, recordings: Sequence[Recording], made: tuple[str, ...]
) -> Iterator[Problem]:
    modulator = getattr(config.model.options, "modulator", None)
    if not isinstance(modulator, Choice):
        return
    for name in getattr(modulator.options, "inputs", ()):
        need = f"missing {name} for the modulator {modulator.name!r}, which needs it"
        served = ("behavior",) if options.side is None else options.side
        if name not in served:
            todo = f"add it to `data.side`, or take it from `inputs` of the modulator (served: {', '.join(served)})"
            yield Problem(key="model.modulator", what=f"{need}: the data do not serve it", todo=todo)
        elif options.side is None and name not in made:
            for recording in _without(recordings, name):
                todo = "leave the session out, or the modulator"
                yield Problem(key="model.modulator", what=f"{need}: {recording.where} has none", todo=todo)


def _without(recordings: Sequence[Recording], name: str) -> list[Recording]:
    return [recording for recording in recordings if name not in recording.arrays()]
