"""Recordings as a `contracts.Dataset`: one group per session, windows per split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from visioncore_engine.contracts import DatasetFacts, PreparationFacts, Table
from visioncore_engine.errors import ConfigError, DataError, Problem
from visioncore_engine.options import Choice
from visioncore_neural.data.arrays import Array
from visioncore_neural.data.checks import input_problems, response_problems, split_problems
from visioncore_neural.data.fingerprint import recording_fingerprint
from visioncore_neural.data.group import group_of
from visioncore_neural.data.selection import collect, refuse_mixtures, select_units, side_inputs
from visioncore_neural.data.source import SessionSource
from visioncore_neural.data.splits import assign_split
from visioncore_neural.data.windows import Stretches, Windows, find_stretches, missing_frames, predictable_frames, tile
from visioncore_neural.options.dataset import RecordingsOptions, SplitOptions
from visioncore_neural.recording import PREVIOUS, SPLITS, Recording

__all__ = ["RecordingsDataset"]


@dataclass(frozen=True)
class _Session:
    """One opened recording."""

    recording: Recording  # prepared, units selected
    split: np.ndarray  # int8 (T,)
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
        refuse_mixtures(recordings)
        self._fingerprints = {recording.name: recording_fingerprint(recording) for recording in recordings}
        self._options = options
        selected = select_units(recordings, options.units)
        self._sessions = collect(lambda recording: self._open(recording, split or SplitOptions(), facts), selected)
        prepared = [session.recording for session in self._sessions]
        self._side = side_inputs(prepared, options.side)
        self._read_sides = tuple(name for name in self._side if name != PREVIOUS)
        problems = [problem for recording in prepared for problem in input_problems(recording, self._read_sides)]
        if problems:
            raise DataError(*problems)
        self.groups = tuple(
            group_of(
                session.recording,
                session.split,
                self._side,
                {**_recorded_facts(recording), **(facts_of or {}).get(recording.name, {})},
            )
            for recording, session in zip(selected, self._sessions, strict=True)
        )
        self._sources: dict[tuple[str, int], tuple[SessionSource, ...]] = {}
        self._kept: dict[str, Tensor] = {}  # stimuli on the device, by session
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
        # A copy: a view of a map would keep its file open, one for each session.
        split = assign_split(recording, rule) if recording.split is None else np.array(recording.split, dtype=np.int8)
        recording = replace(recording, split=split)
        train = _training_frames(recording)
        known = None if facts.state is None else _known_state(recording, self._options.prepare, facts.state)
        state: dict[str, Any] = {}
        for choice in self._options.prepare:
            preparation = choice.build(PreparationFacts(group=recording.name))
            state[choice.id] = preparation.fit(recording, train) if known is None else known[choice.id]
            before, recording = recording, preparation.apply(recording, state[choice.id])
            if recording.valid is not before.valid or recording.columns is not before.columns:
                train = _training_frames(recording)
        return _Session(recording, np.asarray(recording.split, dtype=np.int8), state)

    def large_arrays(self) -> dict[str, Array]:
        """Give the stimuli, by session."""
        return {session.recording.name: session.recording.stim for session in self._sessions}

    def replace_arrays(self, arrays: Mapping[str, np.ndarray | Tensor]) -> None:
        """Read the stimuli of some sessions from here instead; tensors are gathered where they are."""
        self._kept |= {name: array for name, array in arrays.items() if isinstance(array, Tensor)}
        self._sessions = tuple(
            replace(session, recording=replace(session.recording, stim=array))
            if isinstance(array := arrays.get(session.recording.name), np.ndarray)
            else session
            for session in self._sessions
        )
        self._sources.clear()

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
            kept=self._kept.get(session.recording.name),
        )

    def _stretches(self, index: int) -> Stretches:
        session = self._sessions[index]
        return find_stretches(np.asarray(session.recording.trial), session.split)

    def _windows(self, index: int, split: str, history: int) -> tuple[Windows, np.ndarray]:
        recording, length = self._sessions[index].recording, self._options.window.length
        stretches = self._stretches(index)
        if (index, history) not in self._predictable:
            missing = missing_frames(recording, self._read_sides)
            self._predictable[index, history] = predictable_frames(stretches, missing, history)
        predictable = self._predictable[index, history]
        windows = tile(_of_split(stretches, split), predictable & recording.valid_frames(), history, length)
        if self._options.max_frames is not None:
            kept = np.searchsorted(np.cumsum(windows.weight), self._options.max_frames) + 1
            windows = Windows(windows.first[:kept], windows.count[:kept], windows.weight[:kept])
        return windows, predictable

    def fingerprints(self) -> dict[str, str]:
        """Content hash of each session as it was read, before units were chosen and prepared."""
        return dict(self._fingerprints)

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


def _recorded_facts(recording: Recording) -> dict[str, Any]:
    """What a trained model has to know of a recording as it was before it was prepared."""
    return {} if recording.behavior is None else {"behavior_names": list(recording.behavior_names)}


def _training_frames(recording: Recording) -> np.ndarray:
    """Frames that are trained on, bool (T,)."""
    train = (np.asarray(recording.split) == SPLITS["train"]) & (np.asarray(recording.trial) >= 0)
    train = train & recording.valid_frames()
    if not train.any():
        raise DataError(
            Problem(where=recording.where, key="split", what="has no valid training frame", todo="leave it out")
        )
    return np.asarray(train)


def _known_state(recording: Recording, prepare: Sequence[Choice], state: Mapping[str, Any]) -> Mapping[str, Any]:
    """State of a session's preparations in a checkpoint."""
    known = state.get(recording.name)
    lacking = "it" if known is None else ", ".join(repr(choice.id) for choice in prepare if choice.id not in known)
    if known is None or lacking:
        raise DataError(
            Problem(
                where=recording.where,
                key="data.prepare",
                what=f"the checkpoint has no preparation state for {lacking}",
                given=f"sessions of the checkpoint: {', '.join(state) or 'none'}",
            )
        )
    return dict(known)


def _of_split(stretches: Stretches, split: str) -> Stretches:
    chosen = stretches.split == SPLITS[split]
    return Stretches(stretches.start[chosen], stretches.stop[chosen], stretches.split[chosen])
