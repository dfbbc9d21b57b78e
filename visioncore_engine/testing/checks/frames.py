"""Laws of modules that see frames, oldest first: what they declare about time is true."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks.modules import scene_of
from visioncore_engine.testing.scenes.module import Inputs, ModuleScene, changed_frame, stirred

__all__ = ["history_is_no_shorter_than_used", "history_is_used", "time_is_causal"]

_TIMED = ("adapter", "stage", "modulator", "readout")
_MOST = 8  # frames that are changed, one at a time


def _changes(scene: ModuleScene, module: nn.Module, inputs: Inputs, frame: int) -> list[bool]:
    """For each output frame: whether another input frame `frame` changes it."""
    axis = scene.out_time_axis()
    with torch.no_grad():
        one, two = scene.run(module, inputs), scene.run(module, changed_frame(scene, inputs, frame))
    moved: Tensor | None = None
    for name, value in one.items():
        difference = (value - two[name]).abs().movedim(axis, 0).flatten(1).amax(1) > 1e-9
        moved = difference if moved is None else moved | difference
    assert moved is not None, "there is no output"
    return [bool(found) for found in moved]


def _tried(num_frames: int) -> list[int]:
    step = max(1, num_frames // _MOST)
    return sorted({*range(0, num_frames, step), num_frames - 1})


@check(*_TIMED)
def time_is_causal(case: Case) -> None:
    """No output frame depends on a later input frame."""
    scene = scene_of(case)
    module = stirred(case.build(scene)).eval()
    history = scene.history(module)
    inputs = scene.draw(2, scene.frames(module, 4))
    for frame in _tried(scene.frames(module, 4)):
        early = [
            at for at, moved in enumerate(_changes(scene, module, inputs, frame)) if moved and at + history < frame
        ]
        assert not early, (
            f"input frame {frame} changes output frame {early[0]}, which belongs to input frame {early[0] + history}: "
            "frames come oldest first, and no output may see later ones"
        )


@check(*_TIMED)
def history_is_no_shorter_than_used(case: Case) -> None:
    """No output frame depends on frames older than the declared history."""
    scene = scene_of(case)
    module = stirred(case.build(scene)).eval()
    if scene.burn_in(module):
        return  # the state of a recurrent stage has no bound, and says so
    history = scene.history(module)
    inputs = scene.draw(2, scene.frames(module, 4))
    for frame in _tried(scene.frames(module, 4)):
        late = [at for at, moved in enumerate(_changes(scene, module, inputs, frame)) if moved and at > frame]
        assert not late, (
            f"input frame {frame} changes output frame {late[0]}, {late[0] + history - frame} frames later, but the "
            f"declared history is {history} frames: a window would not hold what its predictions need"
        )


@check(*_TIMED)
def history_is_used(case: Case) -> None:
    """The oldest and the newest frame that an output frame may see do change it."""
    scene = scene_of(case)
    module = stirred(case.build(scene)).eval()
    history, burn_in = scene.history(module), scene.burn_in(module)
    assert history >= 0, f"history is {history}"
    assert burn_in >= 0, f"burn_in is {burn_in}"
    inputs = scene.draw(2, scene.frames(module, 4))
    newest = _changes(scene, module, inputs, history)
    assert newest[0], (
        f"the first output frame does not see its own input frame {history}: output frame t belongs to input frame "
        "t + history, and frames come oldest first"
    )
    oldest = _changes(scene, module, inputs, 0)
    assert oldest[0], (
        f"the first output frame does not see input frame 0: the declared history of {history} is too long"
    )
    if burn_in:
        assert any(oldest[1:]), f"no later frame depends on frame 0: there is no state that needs {burn_in} frames"
