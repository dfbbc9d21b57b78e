"""Laws of preparations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from visioncore_engine.contracts import Preparation
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import difference, expect_same
from visioncore_engine.testing.saved import moved_numbers, saved_and_loaded
from visioncore_engine.testing.scenes.preparation import PreparationScene

__all__ = [
    "every_fitted_number_is_used",
    "every_training_segment_counts",
    "fit_sees_training_frames_only",
    "frames_stay",
    "missing_frames_spoil_no_other",
    "nothing_is_fitted_when_applied",
    "recording_is_left_alone",
    "segments_are_not_mixed",
    "state_is_plain",
]


def _scene(case: Case) -> tuple[PreparationScene, Preparation]:
    scene = case.scene_of()
    assert isinstance(scene, PreparationScene), f"the scene of {case} must be a {PreparationScene.__name__}"
    preparation: Preparation = case.build(scene)
    return scene, preparation


@check("preparation")
def fit_sees_training_frames_only(case: Case) -> None:
    """What is fitted depends on the training frames alone: NaN or any number elsewhere changes nothing."""
    scene, preparation = _scene(case)
    expected = preparation.fit(scene.recording, scene.train)
    for value in (float("nan"), 1e4):
        other = scene.changed(scene.recording, ~scene.train, value)
        law = "frames that are not trained on change what is fitted: use only those where `train` is True"
        expect_same(expected, preparation.fit(other, scene.train), law)


@check("preparation")
def missing_frames_spoil_no_other(case: Case) -> None:
    """Training frames whose values are NaN or infinite leave the frames of other segments finite."""
    scene, preparation = _scene(case)
    lacking = scene.train & (np.cumsum(scene.train) % 7 == 1)
    others = ~np.isin(scene.segments, scene.segments[lacking])
    for value in (float("nan"), float("inf")):
        recording = scene.changed(scene.recording, lacking, value)
        with np.errstate(invalid="ignore"):
            prepared = scene.view(preparation.apply(recording, preparation.fit(recording, scene.train)))
        for name, values in prepared.items():
            spoilt = int(np.count_nonzero(~np.isfinite(np.asarray(values)[others])))
            assert not spoilt, f"{spoilt} values of {name} are not finite because some training frames are {value}"


@check("preparation")
def every_training_segment_counts(case: Case) -> None:
    """Where some training frames decide what is fitted, those of every training segment do."""
    scene, preparation = _scene(case)
    expected = preparation.fit(scene.recording, scene.train)
    counted = {}
    for number in np.unique(scene.segments[scene.train]):
        other = scene.changed(scene.recording, (scene.segments == number) & scene.train, 3.0)
        counted[int(number)] = difference(expected, preparation.fit(other, scene.train)) is not None
    ignored = [number for number, counts in counted.items() if not counts]
    assert not ignored or not any(counted.values()), (
        f"training frames of the segments {ignored} change nothing that is fitted, those of others do"
    )


@check("preparation")
def every_fitted_number_is_used(case: Case) -> None:
    """Another value of any number in the state prepares otherwise."""
    scene, preparation = _scene(case)
    state = preparation.fit(scene.recording, scene.train)
    expected = _view(scene, preparation, state)
    for place, moved in moved_numbers(state):
        found = _view(scene, preparation, moved)
        assert difference(expected, found) is not None, f"the number at {place} of the state changes nothing"


@check("preparation")
def state_is_plain(case: Case) -> None:
    """What is fitted survives a checkpoint, and prepares the same afterwards."""
    scene, preparation = _scene(case)
    state = preparation.fit(scene.recording, scene.train)
    expected = _view(scene, preparation, state)
    fresh: Preparation = case.build(scene)
    found = _view(scene, fresh, saved_and_loaded(state))
    law = "another instance with the state of a checkpoint prepares otherwise: keep all that was fitted in the state"
    expect_same(expected, found, law)


def _view(scene: PreparationScene, preparation: Preparation, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return dict(scene.view(preparation.apply(scene.recording, state)))


@check("preparation")
def nothing_is_fitted_when_applied(case: Case) -> None:
    """Applying a state fits nothing: held-out frames are prepared alike whatever the training frames are."""
    scene, preparation = _scene(case)
    state = preparation.fit(scene.recording, scene.train)
    expected = _view(scene, preparation, state)
    expect_same(expected, _view(scene, preparation, state), "applied twice, it prepares otherwise")
    other = scene.changed(scene.recording, scene.train, 3.0)
    found = scene.view(preparation.apply(other, state))
    law = "other training frames change how held-out frames are prepared: fit in `fit` only, and mix no trials"
    held_out = ~np.isin(scene.segments, scene.segments[scene.train])
    assert held_out.any(), "the scene has no segment without training frames"
    expect_same(_rows(expected, held_out), _rows(found, held_out), law)


def _rows(view: Mapping[str, np.ndarray], frames: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(values)[frames] for name, values in view.items()}


@check("preparation")
def segments_are_not_mixed(case: Case) -> None:
    """A prepared frame depends on frames of its own trial and split alone."""
    scene, preparation = _scene(case)
    state = preparation.fit(scene.recording, scene.train)
    expected = _view(scene, preparation, state)
    for number in np.unique(scene.segments):
        inside = scene.segments == number
        found = scene.view(preparation.apply(scene.changed(scene.recording, inside, 3.0), state))
        law = "a difference, filter or running mean crosses the edge of a trial or split: start anew at each of them"
        expect_same(_rows(expected, ~inside), _rows(found, ~inside), law)


@check("preparation")
def recording_is_left_alone(case: Case) -> None:
    """Neither fitting nor applying changes the recording that is given."""
    scene, preparation = _scene(case)
    before = {name: np.array(values) for name, values in scene.view(scene.recording).items()}
    state = preparation.fit(scene.recording, scene.train)
    prepared = preparation.apply(scene.recording, state)
    law = "it writes into the recording: return a copy, or other scales, since others hold the same arrays"
    expect_same(before, dict(scene.view(scene.recording)), law)
    kind = type(scene.recording)
    assert isinstance(prepared, kind), f"it returns {type(prepared).__name__}, not a {kind.__name__}"


@check("preparation")
def frames_stay(case: Case) -> None:
    """The prepared recording has as many frames, and what there was is still there."""
    scene, preparation = _scene(case)
    prepared = _view(scene, preparation, preparation.fit(scene.recording, scene.train))
    lacking = [name for name in scene.view(scene.recording) if name not in prepared]
    assert not lacking, f"it takes away {', '.join(lacking)}"
    for name, values in prepared.items():
        assert len(values) == len(scene.train), f"{name} has {len(values)} frames after it, {len(scene.train)} before"
