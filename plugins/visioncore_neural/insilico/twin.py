"""A trained model of sessions, asked about arrays. T frames, C channels, H x W pixels, N units, K behavior channels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

import visioncore_engine
from visioncore_engine.component import resolve_address
from visioncore_engine.contracts import Batch, GroupSpec, PreparationFacts
from visioncore_engine.errors import Problem, UsageError
from visioncore_engine.options import Options
from visioncore_neural.analysis.gradients import Gradients, rate_gradients
from visioncore_neural.data.source import SessionSource
from visioncore_neural.data.windows import find_stretches, missing_frames, predictable_frames, tile
from visioncore_neural.recording import PREVIOUS, SPLITS, Recording
from visioncore_neural.responses import aligned, response_task

__all__ = ["Twin"]

_AT_ONCE = 1024  # predicted frames in a batch
_MAKE_BEHAVIOR = ("velocity", "temporal_basis")  # preparations that may make behavior of the eye position


class _Trained(Protocol):
    """What `visioncore_engine.load` returns, as far as it is used here."""

    model: nn.Module  # the model itself

    @property
    def groups(self) -> Mapping[str, GroupSpec]:
        """Specification of each session."""
        ...

    @property
    def description(self) -> Mapping[str, Any]:
        """What the checkpoint says of itself."""
        ...

    @property
    def history(self) -> int:
        """Input frames before the first predicted one."""
        ...


class Twin:
    """A trained model that takes stimuli as they were recorded, and answers in the recorded units.

    Stored preparation states are applied (nothing is fitted anew), trials are kept apart, and windows are those of
    training, so that a prediction for a recorded stimulus is the one that evaluation scores.

    Parameters
    ----------
    trained
        What `visioncore_engine.load` returned.

    Examples
    --------
    >>> twin = Twin.load("runs/demo/checkpoints/best.ckpt")  # doctest: +SKIP
    >>> rates = twin.predict("m1_a", stim, behavior=behavior)  # doctest: +SKIP
    """

    def __init__(self, trained: _Trained) -> None:
        self.trained = trained
        data = trained.description["run"]["data"]
        window = data.get("window", {})
        self._length = int(window.get("length", 1))
        served = window.get("history", "auto")
        self.history = max(int(trained.history), served if isinstance(served, int) else 0)
        self._prepare: Mapping[str, Mapping[str, Any]] = data.get("prepare") or {}
        self._state: Mapping[str, Any] = trained.description["data_state"]

    @classmethod
    def load(cls, path: str | Path) -> Twin:
        """Load a checkpoint; the data need not be on this machine.

        Raises
        ------
        CheckpointError, PluginError
            As `visioncore_engine.load`.
        """
        return cls(visioncore_engine.load(path))

    @property
    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions."""
        return tuple(self.trained.groups)

    def units(self, session: str) -> tuple[str, ...]:
        """Ids of a session's units, in the order of predictions."""
        return response_task(self._group(session))[1].ids

    def behavior_names(self, session: str) -> tuple[str, ...]:
        """Names of a session's behavior channels as recorded, in the order in which `predict` takes them."""
        return tuple(self._group(session).facts.get("behavior_names", ()))

    def predict(
        self,
        session: str,
        stim: np.ndarray,
        behavior: np.ndarray | None = None,
        *,
        eyepos: np.ndarray | None = None,
        responses: np.ndarray | None = None,
        trial: np.ndarray | None = None,
    ) -> np.ndarray:
        """Predict the responses of a session's units to any stimulus.

        Parameters
        ----------
        session
            Whose units.
        stim
            (T, C, H, W), oldest first, in the numbers in which the session's stimulus was recorded.
        behavior, eyepos
            (T, K) and (T, 2), as recorded: needed where the model reads them, or a preparation that makes its behavior;
            behavior that is made of eye positions alone is not asked for. `behavior_names` says which K they are.
        responses
            (T, N) recorded responses, where the model reads those of earlier frames.
        trial
            int (T,): frames of one number in a row are one trial, -1 is in none; by default all are one.

        Returns
        -------
        float64 (T, N), expected counts per frame; NaN for frames whose history does not lie in their trial.

        Raises
        ------
        UsageError
            For an unknown session, a shape that is not the session's, or a side input that the model needs and that is
            not given, by name.
        """
        source = self.source(session, stim, behavior, eyepos=eyepos, responses=responses, trial=trial)
        task, target = response_task(source.group)
        rates = np.full((source.recording.num_frames, target.size), np.nan)
        size = max(1, _AT_ONCE // source.frames_per_item)
        for start in range(0, source.num_items, size):
            items = np.arange(start, min(start + size, source.num_items))
            output = self._run(source, items, task)
            frames = source.frames(items)
            kept = frames >= 0
            rates[frames[kept]] = output[torch.from_numpy(kept)].double().cpu().numpy()
        return rates

    def receptive_fields(
        self,
        session: str,
        stim: np.ndarray,
        behavior: np.ndarray | None = None,
        *,
        units: Sequence[str] | None = None,
        num_predictions: int = 200,
        **more: Any,
    ) -> Gradients:
        """Gradients of predicted rates with respect to the prepared stimulus, averaged over a stimulus.

        Parameters
        ----------
        session, stim, behavior, **more
            As for `predict`.
        units
            Ids of units; all by default.
        num_predictions
            At how many frames the model is differentiated.

        Raises
        ------
        UsageError
            As `predict`, and for an unknown unit.
        """
        source = self.source(session, stim, behavior, **more)
        places = range(len(self.units(session))) if units is None else [self.place(session, unit) for unit in units]
        return rate_gradients(self.trained.model, source, list(places), num_predictions=num_predictions, smoothing=0.0)

    def ablation(
        self,
        session: str,
        stim: np.ndarray,
        behavior: np.ndarray,
        *,
        seed: int = 0,
        **more: Any,
    ) -> dict[str, np.ndarray]:
        """Predict with behavior, with its mean in its place, and with each channel shuffled over frames.

        Parameters
        ----------
        session, stim, behavior, **more
            As for `predict`.
        seed
            Decides the permutations; one per channel, over the frames of all trials.

        Returns
        -------
        float64 (T, N) each: ``whole``, ``mean``, and one for each channel, by its name, in which it alone is shuffled;
        ``channel_k`` for a channel without a name, or called like one of the others
        """
        behavior = np.asarray(behavior)
        names = self._names_of(session, behavior.shape)
        found = {"whole": self.predict(session, stim, behavior, **more)}
        mean = np.broadcast_to(behavior.mean(0), behavior.shape)
        found["mean"] = self.predict(session, stim, mean, **more)
        for channel in range(behavior.shape[1]):
            order = np.random.default_rng([seed, channel]).permutation(len(behavior))
            shuffled = behavior.copy()
            shuffled[:, channel] = behavior[order, channel]
            name = names[channel] if names[channel] not in found else f"channel_{channel}"
            found[name] = self.predict(session, stim, shuffled, **more)
        return found

    def source(
        self,
        session: str,
        stim: np.ndarray,
        behavior: np.ndarray | None = None,
        *,
        eyepos: np.ndarray | None = None,
        responses: np.ndarray | None = None,
        trial: np.ndarray | None = None,
    ) -> SessionSource:
        """Windows of a stimulus, prepared as in training; arguments as for `predict`."""
        group = self._group(session)
        stim = np.asarray(stim)
        num, ids = len(stim), self.units(session)
        given = {"behavior": behavior, "eyepos": eyepos, PREVIOUS: responses}
        needed = [name for name in group.side if name in getattr(self.trained.model, "side_inputs", tuple(group.side))]
        lacking = [name for name in self._recorded_for(group, needed) if given.get(name) is None]
        if lacking:
            words = {PREVIOUS: "responses"}
            todo = "give " + ", ".join(f"{words.get(name, name)}=" for name in lacking)
            raise UsageError(Problem(where=session, what=f"the model needs {', '.join(lacking)}", todo=todo))
        recording = Recording(
            name=session,
            subject=group.labels.get("subjects", ""),
            dt=group.dt or 1.0,
            stim=stim,
            robs=np.zeros((num, len(ids)), dtype=np.float32) if responses is None else np.asarray(responses),
            valid=np.ones(num, dtype=bool),
            trial=np.zeros(num, dtype=np.int32) if trial is None else np.asarray(trial),
            units=ids,
            split=np.full(num, SPLITS["test"], dtype=np.int8),
            behavior=None if behavior is None else np.asarray(behavior),
            behavior_names=() if behavior is None else self._names_of(session, np.shape(behavior)),
            eyepos=None if eyepos is None else np.asarray(eyepos),
        )
        recording = self._prepared(recording)
        if tuple(recording.stim.shape[1:]) != group.input_shape:
            what = f"a stimulus of this session has frames (C, H, W) = {group.input_shape}"
            raise UsageError(Problem(where=session, key="stim", what=what, given=str(tuple(recording.stim.shape[1:]))))
        for name in needed:
            array = recording.arrays().get(name)
            if array is not None and array.shape[1] != group.side[name]:
                what = f"{name} of this session has {group.side[name]} channels"
                raise UsageError(Problem(where=session, key=name, what=what, given=str(array.shape[1])))
        served = replace(group, side={name: group.side[name] for name in needed}, tags={})
        stretches = find_stretches(np.asarray(recording.trial), np.asarray(recording.split))
        read = tuple(name for name in needed if name != PREVIOUS)
        predictable = predictable_frames(stretches, missing_frames(recording, read), self.history)
        windows = tile(stretches, predictable, self.history, self._length)
        index = self.sessions.index(session)
        return SessionSource(served, index, recording, windows, predictable, history=self.history, length=self._length)

    def place(self, session: str, unit: str) -> int:
        """Column of a unit among those of its session.

        Raises
        ------
        UsageError
            For an unknown unit.
        """
        ids = self.units(session)
        if unit not in ids:
            raise UsageError(
                Problem(where=session, what="there is no such unit", given=repr(unit), todo=f"units: {', '.join(ids)}")
            )
        return ids.index(unit)

    def _group(self, session: str) -> GroupSpec:
        if session not in self.trained.groups:
            todo = f"sessions: {', '.join(self.trained.groups)}"
            raise UsageError(Problem(what="the model has no such session", given=repr(session), todo=todo))
        return self.trained.groups[session]

    def _recorded_for(self, group: GroupSpec, needed: Sequence[str]) -> list[str]:
        """Side inputs that were recorded, for those that the model reads: preparations may make behavior of another."""
        blocks = [block for block in self._prepare.values() if block["name"].rpartition(":")[2] in _MAKE_BEHAVIOR]
        if "behavior" not in needed or not any(block["of"] == "eyepos" for block in blocks):
            return list(needed)
        asked = [name for name in needed if name != "behavior" or "behavior_names" in group.facts]
        return list(dict.fromkeys([*asked, "eyepos"]))

    def _names_of(self, session: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Names of the channels of an array of behavior; preparations choose by them."""
        names = self.behavior_names(session)
        if len(shape) != 2 or (names and shape[1] != len(names)):
            what = f"behavior of this session is (T, {len(names) or 'K'}): {', '.join(names) or 'frames by channels'}"
            raise UsageError(Problem(where=session, key="behavior", what=what, given=str(shape)))
        return names or tuple(f"channel_{index}" for index in range(shape[1]))

    def _prepared(self, recording: Recording) -> Recording:
        """Apply the run's preparations with the states of the checkpoint."""
        registry = visioncore_engine.discover()
        for name, block in self._prepare.items():
            entry = registry.find("preparation", block["name"])
            address = entry.component.options or "visioncore_engine.options:Options"
            model: type[Options] = resolve_address(address, entry.home)
            options = model.model_validate_json(json.dumps({key: one for key, one in block.items() if key != "name"}))
            preparation = resolve_address(entry.component.build, entry.home)(options, PreparationFacts(recording.name))
            recording = preparation.apply(recording, self._state[recording.name][name])
        return recording

    def _run(self, source: SessionSource, items: np.ndarray, task: str) -> Tensor:
        parameter = next(self.trained.model.parameters())
        group = source.gather(items).to(parameter.device, parameter.dtype)
        with torch.inference_mode():
            output = self.trained.model(Batch([group]))[0][task]
        return aligned(output, source.frames_per_item)
