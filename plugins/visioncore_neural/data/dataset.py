"""Recordings as a `contracts.Dataset`: one group per session, windows per split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from visioncore_engine.contracts import DatasetFacts, GroupSpec, PreparationFacts, Table, TargetSpec
from visioncore_engine.errors import ConfigError, DataError, Problem, nearest
from visioncore_neural.data.checks import input_problems, response_problems, split_problems
from visioncore_neural.data.fingerprint import recording_fingerprint
from visioncore_neural.data.source import SessionSource
from visioncore_neural.data.splits import assign_split
from visioncore_neural.data.windows import Stretches, Windows, find_stretches, missing_frames, predictable_frames, tile
from visioncore_neural.options.dataset import RecordingsOptions, SplitOptions
from visioncore_neural.recording import SPLITS, Recording

__all__ = ["RecordingsDataset"]


@dataclass(frozen=True)
class _Session:
    """One opened recording."""

    recording: Recording  # prepared, units selected
    split: np.ndarray  # int8 (T,)
    fingerprint: str
    state: Mapping[str, Any]


class RecordingsDataset:
    """Sessions, their preparations and their windows.

    Parameters
    ----------
    recordings
        As read.
    options
        Windows, preparations, units, side inputs.
    facts
        Holds the preparation state of a checkpoint, where there is one.
    split
        How frames are split in recordings that do not say so themselves.
    facts_of
        More plain values for `GroupSpec.facts`, by session.

    Raises
    ------
    DataError
        Where recordings cannot be used as they are, with session, array and first bad frame.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        options: RecordingsOptions,
        facts: DatasetFacts,
        *,
        split: SplitOptions | None = None,
        facts_of: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        _refuse_mixtures(recordings)
        self._options = options
        selected = _select_units(recordings, options.units)
        self._sessions = tuple(self._open(recording, split or SplitOptions(), facts) for recording in selected)
        prepared = [session.recording for session in self._sessions]
        self._side = _side_inputs(prepared, options.side)
        problems = [problem for recording in prepared for problem in input_problems(recording, self._side)]
        if problems:
            raise DataError(*problems)
        self.groups = tuple(
            _group(session, self._side, (facts_of or {}).get(session.recording.name, {})) for session in self._sessions
        )
        self._sources: dict[tuple[str, int], tuple[SessionSource, ...]] = {}
        self._predictable: dict[tuple[int, int], np.ndarray] = {}
        self._history = options.window.history if isinstance(options.window.history, int) else 0

    def _open(self, recording: Recording, rule: SplitOptions, facts: DatasetFacts) -> _Session:
        problems = [
            *response_problems(recording),
            *input_problems(recording, ("stim",)),
            *split_problems(recording),
        ]
        if problems:
            raise DataError(*problems)
        split = assign_split(recording, rule) if recording.split is None else np.asarray(recording.split, dtype=np.int8)
        train = (split == SPLITS["train"]) & (np.asarray(recording.trial) >= 0) & recording.valid_frames()
        if not train.any():
            raise DataError(
                Problem(where=recording.where, key="split", what="has no valid training frame", todo="leave it out")
            )
        fingerprint = recording_fingerprint(recording)
        known = None if facts.state is None else facts.state.get(recording.name)
        if facts.state is not None and known is None:
            raise DataError(
                Problem(
                    where=recording.where,
                    what="the checkpoint has no preparation state for it",
                    given=f"sessions of the checkpoint: {', '.join(facts.state) or 'none'}",
                )
            )
        recording = replace(recording, split=split)
        state: dict[str, Any] = {}
        for choice in self._options.prepare:
            preparation = choice.build(PreparationFacts(group=recording.name))
            state[choice.id] = preparation.fit(recording, train) if known is None else known[choice.id]
            recording = preparation.apply(recording, state[choice.id])
        return _Session(recording, split, fingerprint, state)

    def sources(self, split: str, history: int) -> Sequence[SessionSource]:
        """One source per session, in the order of `groups`.

        Parameters
        ----------
        split
            ``train``, ``validation``, ``test`` or ``repeats``.
        history
            Input frames that the model needs before the first predicted one.

        Raises
        ------
        DataError
            For another split, or where a session has no window to train on.
        ConfigError
            Where `window.history` is less than the model needs.
        """
        if split not in SPLITS:
            raise DataError(Problem(key="split", what=f"there are {', '.join(SPLITS)}", given=split))
        history = self._served_history(history)
        if (split, history) not in self._sources:
            self._sources[split, history] = tuple(
                self._source(index, split, history) for index in range(len(self._sessions))
            )
        self._history = history
        return self._sources[split, history]

    def _served_history(self, needed: int) -> int:
        wanted = self._options.window.history
        if wanted == "auto":
            return needed
        if wanted < needed:
            raise ConfigError(
                Problem(
                    key="data.window.history",
                    what=f"the model needs {needed} frames before the first predicted one",
                    given=str(wanted),
                    todo="leave it at 'auto'",
                )
            )
        return wanted

    def _source(self, index: int, split: str, history: int) -> SessionSource:
        session, length = self._sessions[index], self._options.window.length
        windows, predictable = self._windows(index, split, history)
        if split == "train" and len(windows) == 0:
            stretches = _of_split(self._stretches(index), split)
            longest = int((stretches.stop - stretches.start).max()) if len(stretches) else 0
            raise DataError(
                Problem(
                    where=session.recording.where,
                    what=f"has no training window: {history + 1} frames in a row of one trial and split are needed",
                    given=f"the longest run has {longest} frames",
                )
            )
        return SessionSource(
            self.groups[index],
            index,
            session.recording,
            windows,
            predictable,
            history=history,
            length=length,
        )

    def _stretches(self, index: int) -> Stretches:
        session = self._sessions[index]
        return find_stretches(np.asarray(session.recording.trial), session.split)

    def _windows(self, index: int, split: str, history: int) -> tuple[Windows, np.ndarray]:
        recording, length = self._sessions[index].recording, self._options.window.length
        stretches = self._stretches(index)
        if (index, history) not in self._predictable:
            missing = missing_frames(recording, tuple(self._side))
            self._predictable[index, history] = predictable_frames(stretches, missing, history)
        predictable = self._predictable[index, history]
        windows = tile(_of_split(stretches, split), predictable & recording.valid_frames(), history, length)
        if self._options.max_frames is not None:
            kept = np.searchsorted(np.cumsum(windows.weight), self._options.max_frames) + 1
            windows = Windows(windows.first[:kept], windows.count[:kept], windows.weight[:kept])
        return windows, predictable

    def fingerprints(self) -> dict[str, str]:
        """Content hash of each session, before preparation."""
        return {session.recording.name: session.fingerprint for session in self._sessions}

    def state(self) -> dict[str, Any]:
        """State of each preparation by session and block id."""
        return {session.recording.name: dict(session.state) for session in self._sessions}

    def summary(self) -> Table:
        """Give a row per session: units, frames, and what each split predicts with the history last asked for.

        ``<split>`` counts predicted frames, ``no_history`` valid frames that cannot be predicted because their history
        crosses a trial or split edge or does not exist, ``invalid`` frames in which no response counts.
        """
        columns = ("session", "subject", "units", "frames", "dt", "shape", "mean_per_frame", *SPLITS)
        rows = [self._summary_row(index) for index in range(len(self._sessions))]
        return Table(columns=(*columns, "no_history", "invalid", "valid_fraction"), rows=rows)

    def _summary_row(self, index: int) -> dict[str, Any]:
        session = self._sessions[index]
        recording, group = session.recording, self.groups[index]
        valid = recording.valid_frames()
        placed = np.zeros(recording.num_frames, dtype=bool)
        for start, stop in zip(*self._bounds(index), strict=True):
            placed[start:stop] = True
        predicted = {name: int(self._windows(index, name, self._history)[0].weight.sum()) for name in SPLITS}
        predictable = self._predictable[index, self._history]
        return {
            "session": recording.name,
            "subject": recording.subject,
            "units": recording.num_units,
            "frames": recording.num_frames,
            "dt": recording.dt,
            "shape": "x".join(str(size) for size in recording.stim.shape[1:]),
            "mean_per_frame": round(float(np.nanmean(group.targets["robs"].mean)), 6),
            **predicted,
            "no_history": int((valid & placed & ~predictable).sum()),
            "invalid": int((~valid).sum()),
            "valid_fraction": round(float(valid.mean()), 4),
        }

    def _bounds(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        stretches = self._stretches(index)
        return stretches.start, stretches.stop


def _of_split(stretches: Stretches, split: str) -> Stretches:
    chosen = stretches.split == SPLITS[split]
    return Stretches(stretches.start[chosen], stretches.stop[chosen], stretches.split[chosen])


def _group(session: _Session, side: tuple[str, ...], facts: Mapping[str, Any]) -> GroupSpec:
    recording = session.recording
    tags = {"frame": recording.num_frames}
    if recording.repeat_frame is not None:
        tags["repeat_frame"] = int(np.asarray(recording.repeat_frame).max()) + 1
    target = TargetSpec(
        kind=recording.kind,
        size=recording.num_units,
        columns="units",
        ids=recording.units,
        mean=_training_mean(session),
    )
    _, channels, height, width = recording.stim.shape
    return GroupSpec(
        name=recording.name,
        labels={"sessions": recording.name, "subjects": recording.subject},
        input_shape=(channels, height, width),
        targets={"robs": target},
        side={name: int(recording.array(name).shape[1]) for name in side},
        tags=tags,
        dt=recording.dt,
        facts={**({"degrees_per_pixel": recording.degrees_per_pixel} if recording.degrees_per_pixel else {}), **facts},
    )


def _training_mean(session: _Session) -> tuple[float, ...]:
    """Mean of each unit over its valid training frames; NaN for a unit that has none."""
    recording = session.recording
    train = (session.split == SPLITS["train"]) & (np.asarray(recording.trial) >= 0)
    total = np.zeros(recording.num_units)
    num = np.zeros(recording.num_units)
    for chunk in recording.chunks():
        counted = recording.validity(chunk) & train[chunk][:, None]
        total += np.where(counted, recording.counts(chunk), 0).sum(0, dtype=np.float64)
        num += np.broadcast_to(counted, (len(counted), recording.num_units)).sum(0)
    return tuple(float(t / n) if n else math.nan for t, n in zip(total, num, strict=True))


def _refuse_mixtures(recordings: Sequence[Recording]) -> None:
    """Names must differ, time steps and inputs must agree."""
    if not recordings:
        raise DataError(Problem(key="data", what="there is no recording"))
    twice = [name for name, times in Counter(recording.name for recording in recordings).items() if times > 1]
    problems = [
        Problem(
            where=" and ".join(recording.path or "memory" for recording in recordings if recording.name == name),
            what="two sessions have one name",
            given=name,
            todo="session names identify heads, tables and checkpoints; rename one",
        )
        for name in twice
    ]
    first = recordings[0]
    problems += [
        Problem(
            where=recording.where,
            key="dt",
            what=f"session {first.name!r} has {first.dt:g} s per frame",
            given=f"{recording.dt:g} s",
            todo="bring all sessions to one rate",
        )
        for recording in recordings
        if not math.isclose(recording.dt, first.dt, rel_tol=1e-3)
    ]
    if problems:
        raise DataError(*problems)


def _side_inputs(recordings: Sequence[Recording], asked: tuple[str, ...] | None) -> tuple[str, ...]:
    if asked is None:
        return ("behavior",) if all(recording.behavior is not None for recording in recordings) else ()
    lacking = [
        Problem(where=recording.where, key="data.side", what=f"the session has no {name!r}")
        for name in asked
        for recording in recordings
        if name not in recording.arrays()
    ]
    if lacking:
        raise DataError(*lacking)
    return tuple(dict.fromkeys(asked))


def _select_units(recordings: Sequence[Recording], patterns: tuple[str, ...]) -> list[Recording]:
    """Keep units whose ``<session>/<unit id>`` matches a pattern.

    Raises
    ------
    DataError
        Where a pattern matches nothing, or a session loses all its units.
    """
    if patterns == ("*",):
        return list(recordings)
    names = [[f"{recording.name}/{unit}" for unit in recording.units] for recording in recordings]
    everything = [name for group in names for name in group]
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in everything)]
    if unmatched:
        raise DataError(
            *(
                Problem(
                    key="data.units",
                    what="matches no unit; patterns are matched against `<session>/<unit id>`",
                    given=repr(pattern),
                    todo=f"the nearest is {nearest(pattern, everything) or everything[0]!r}",
                )
                for pattern in unmatched
            )
        )
    selected = []
    for recording, group in zip(recordings, names, strict=True):
        kept = [i for i, name in enumerate(group) if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if not kept:
            raise DataError(
                Problem(where=recording.where, key="data.units", what="leaves no unit of this session; leave it out")
            )
        selected.append(recording if len(kept) == len(group) else recording.select(np.array(kept, dtype=np.int64)))
    return selected
