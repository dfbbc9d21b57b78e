"""Laws of stages."""

from __future__ import annotations

import torch

from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks import frames, modules
from visioncore_engine.testing.checks.modules import scene_of
from visioncore_engine.testing.scenes.module import doubled

__all__ = ["every_channel_starts_alive", "frames", "long_windows_are_short_ones_side_by_side", "modules"]


@check("stage")
def long_windows_are_short_ones_side_by_side(case: Case) -> None:
    """What a frame's output is does not depend on how long the window around it is."""
    scene = scene_of(case)
    module = doubled(case.build(scene)).eval()
    if scene.burn_in(module):
        return  # where a recurrent stage began shows in its state, which is what `burn_in` is for
    inputs = scene.draw(2, scene.frames(module, 5))
    start, stop = 2, 2 + scene.frames(module, 1)
    (name, whole), *_ = scene.run(module, inputs).items()
    part = scene.run(module, {key: value[:, :, start:stop] for key, value in inputs.items()})[name]
    expected = whole.narrow(scene.out_time_axis(), start, 1)
    error = float((part - expected).detach().abs().max())
    assert error < 1e-9, (
        f"the same frames in a longer window give another output (by {error:g}): nothing may be averaged or normalised "
        "over the frames of a window"
    )


@check("stage")
def every_channel_starts_alive(case: Case) -> None:
    """At the start every channel of the output varies with the input: one that is constant learns late or never."""
    scene = scene_of(case)
    module = doubled(case.build(scene)).eval()
    with torch.no_grad():
        (output,) = scene.run(module, scene.draw(3, scene.frames(module))).values()
    still = (output.movedim(1, 0).flatten(1).std(1) < 1e-12).nonzero().flatten().tolist()
    assert not still, f"channels {still} of the output are constant at the start"
