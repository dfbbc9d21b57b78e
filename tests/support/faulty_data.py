"""Faulty datasets, readers and preparations. Each is a fault that some system had, or could have."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from visioncore_common.examples.arrays import arrays
from visioncore_common.examples.dataset import ExampleDataset
from visioncore_common.examples.shapes import rendered_shapes
from visioncore_common.examples.source import ExampleSource
from visioncore_engine.contracts import DatasetFacts
from visioncore_neural.data.readers import Folder, Hdf5, Npz
from visioncore_neural.data.sessions import Sessions
from visioncore_neural.preparations.affine import PixelNorm, Standardize
from visioncore_neural.preparations.velocity import Velocity
from visioncore_neural.recording import SPLITS
from visioncore_neural.simulation.dataset import Synthetic


class ValidationIsTraining(Synthetic):
    """The subset is unwrapped and forgotten: validation is the whole training set."""

    def sources(self, split, history):
        return super().sources("train", history)


class MeansOverValidationToo(Sessions):
    """Mean rates come from all frames, those of validation and test too."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.groups = tuple(
            dataclasses.replace(
                group,
                targets={
                    task: dataclasses.replace(target, mean=tuple(np.asarray(session.recording.robs).mean(0).tolist()))
                    for task, target in group.targets.items()
                },
            )
            for group, session in zip(self.groups, self._sessions, strict=True)
        )


class HistoryAcrossTheEdge(Synthetic):
    """Windows are checked for fewer lags than they serve: they cross into other trials and splits."""

    def _windows(self, index, split, history):
        return super()._windows(index, split, 0)


class TwoGroupsOfOneName(Synthetic):
    """A session that was recorded twice overwrites itself: two groups have one name."""

    def __init__(self, options, facts):
        super().__init__(options, facts)
        self.groups = tuple(dataclasses.replace(group, name="m1_a") for group in self.groups)


class WeightsOfFrames(Synthetic):
    """Weights count all predicted frames, the invalid ones too."""

    def sources(self, split, history):
        sources = super().sources(split, history)
        for source in sources:
            source.windows = dataclasses.replace(source.windows, weight=source.windows.count.astype(np.float64))
        return sources


class StateFittedAgain(Sessions):
    """The state of a checkpoint is ignored and fitted anew."""

    def __init__(self, options, facts):
        super().__init__(options, DatasetFacts(facts.seed))


def scale_of_everything(options, facts):
    """Standardised by all examples, held-out ones too."""
    dataset = arrays(options, facts)
    everything = [dataclasses.replace(group, split=np.zeros_like(group.split)) for group in dataset._examples]
    other = ExampleDataset(
        options, everything, dataset.groups[0].targets[options.task].ids, options.grouping, facts.state
    )
    dataset._scales = other._scales
    return dataset


def fingerprint_of_the_name(options, facts):
    """The fingerprint is that of the file's name: another content under it goes unseen."""
    dataset = arrays(options, facts)
    names = {group.name: group.name for group in dataset.groups}
    dataset.fingerprints = lambda: names
    return dataset


class _Sorted(ExampleSource):
    def gather(self, items):
        return super().gather(np.sort(items))


class _NotFinite(ExampleSource):
    def gather(self, items):
        group = super().gather(items)
        group.inputs[~group.mask] = float("nan")
        return group


class _Stateful(ExampleSource):
    def gather(self, items):
        self._last = items  # another thread writes here too
        found = super().gather(self._last)
        return dataclasses.replace(
            found, inputs=found.inputs + 1e-3 * self.__dict__.setdefault("_calls", 0) * self._count()
        )

    def _count(self):
        self._calls += 1
        return 1


def _with(source):
    """Builder of the examples in files, with sources of another class."""

    def build(options, facts):
        dataset = arrays(options, facts)
        original = dataset.sources

        def sources(split, history):
            found = original(split, history)
            for one in found:
                one.__class__ = source
            return found

        dataset.sources = sources
        return dataset

    return build


sorted_windows = _with(_Sorted)
nan_inputs = _with(_NotFinite)
drifting_windows = _with(_Stateful)


def seeded_by_the_clock(options, facts):
    """Draws from the global generator, which another part of the run moves."""
    seed = int(np.random.randint(2**31))  # noqa: NPY002 - the fault
    return rendered_shapes(options, dataclasses.replace(facts, seed=seed))


class TrialsAveraged(Npz):
    """Trial numbers are pooled with the frames: bins across an edge become trials that never were."""

    def read(self):
        recording = super().read()
        trial = np.asarray(recording.trial).astype(np.float64)
        pooled = (trial + np.roll(trial, -1)) / 2
        return dataclasses.replace(recording, trial=np.floor(pooled).astype(np.int32))


class ZerosForWhatIsDamaged(Hdf5):
    """A file that cannot be read becomes zeros, with the labels of another."""

    def read(self):
        try:
            return super().read()
        except Exception:  # noqa: BLE001 - the fault
            from visioncore_neural.testing import example_recording

            recording = example_recording()
            return dataclasses.replace(recording, stim=np.zeros_like(recording.stim))


class ChangesTheFolder(Folder):
    """Changes the working folder of everybody to find its files."""

    def read(self):
        if self._path.is_dir():
            os.chdir(self._path)
        return super().read()


class WritesACache(Folder):
    """Writes a cache beside the data while it reads."""

    def read(self):
        recording = super().read()
        (self._path / "cache.tmp").write_bytes(b"cache")
        return recording


class UnitsNotReindexed(Npz):
    """The mask keeps the stored order of units while responses are sorted."""

    def read(self):
        recording = super().read()
        return dataclasses.replace(recording, robs=np.asarray(recording.robs)[:, ::-1])


class AcrossTrials(Velocity):
    """Differences run across the edges of trials and splits."""

    def apply(self, recording, state):
        prepared = super().apply(recording, state)
        behavior = np.array(prepared.behavior)
        values = recording.values(self._of, slice(None))
        behavior[1:, -values.shape[1] :] = np.diff(values, axis=0) / np.float32(recording.dt)
        return dataclasses.replace(prepared, behavior=behavior)


class FittedOnEverything(Standardize):
    """Mean and deviation of all frames."""

    def fit(self, recording, train):
        return super().fit(recording, np.ones_like(train))


class FittedWhenApplied(Standardize):
    """Fits again on the recording that it prepares."""

    def apply(self, recording, state):
        train = np.asarray(recording.split) == SPLITS["train"]
        return super().apply(recording, self.fit(recording, train))


class InPlace(PixelNorm):
    """Scales the frames of the caller."""

    def apply(self, recording, state):
        recording.stim[:] = (np.asarray(recording.stim) - state["center"]) / state["range"]
        return recording


class StateOutsideTheState(Standardize):
    """Keeps what it fitted in the object: after a resume nothing is prepared."""

    def fit(self, recording, train):
        self.fitted = super().fit(recording, train)
        return {"fitted": True}

    def apply(self, recording, state):
        return super().apply(recording, getattr(self, "fitted", {}))


class ArrayInTheState(Standardize):
    """The state holds NumPy arrays, which no checkpoint gives back."""

    def fit(self, recording, train):
        state = super().fit(recording, train)
        return {key: {name: np.asarray(value) for name, value in moments.items()} for key, moments in state.items()}


class SeedsEverybody(PixelNorm):
    """Sets the global seed in every call, in the middle of a run."""

    def fit(self, recording, train):
        np.random.seed(1002)  # noqa: NPY002 - the fault
        return super().fit(recording, train)
