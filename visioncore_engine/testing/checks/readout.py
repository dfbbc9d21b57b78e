"""Laws of readouts."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks import frames, modules
from visioncore_engine.testing.checks.modules import scene_of
from visioncore_engine.testing.observed import expect_same
from visioncore_engine.testing.scenes.module import draw, stirred
from visioncore_engine.testing.scenes.readout import ReadoutScene

__all__ = ["bias_is_added_last", "columns_are_apart", "frames", "modules", "together_is_each_alone"]

_CLOSE = {"rtol": 1e-9, "atol": 1e-10}


@check("readout")
def bias_is_added_last(case: Case) -> None:
    """`bias` has a value per column, and what is added to it is added to the output: no nonlinearity comes after."""
    scene = scene_of(case)
    assert isinstance(scene, ReadoutScene)
    module = stirred(case.build(scene)).eval()
    bias, size = module.bias, scene.facts.target.size
    assert isinstance(bias, nn.Parameter), f"`bias` must be a parameter, not {type(bias).__name__}"
    assert tuple(bias.shape) == (size,), f"`bias` has shape {tuple(bias.shape)}, not ({size},)"
    inputs = scene.draw(2, scene.frames(module))
    added = torch.arange(1.0, size + 1, dtype=torch.float64)
    with torch.no_grad():
        (before,) = scene.run(module, inputs).values()
        bias.add_(added)
        (after,) = scene.run(module, inputs).values()
    error = float((after - before - added).abs().max())
    assert error < 1e-9, (
        "a change of `bias` is not a change of the output: the model's start at the mean rates needs it"
    )


@check("readout")
def columns_are_apart(case: Case) -> None:
    """Each column has weights of its own: its output uses none of another column's."""
    scene = scene_of(case)
    module = stirred(case.build(scene)).eval()
    inputs = scene.draw(2, scene.frames(module))
    (output,) = scene.run(module, inputs).values()
    size = output.shape[-1]
    own = [value for value in module.parameters() if value.ndim and value.shape[0] == size]
    for column in range(size):
        gradients = torch.autograd.grad(output[..., column].sum(), own, retain_graph=True, allow_unused=True)
        for gradient in gradients:
            if gradient is not None:
                others = [row for row in range(size) if row != column]
                strange = float(gradient[others].abs().max()) if others else 0.0
                assert strange == 0.0, f"column {column} of the output uses the weights of another column"


@check("readout")
def together_is_each_alone(case: Case) -> None:
    """Where the class has `together`, several readouts give by it what each gives alone, and have its gradients."""
    scene = scene_of(case)
    readouts = [stirred(case.build(scene)).eval() for _ in range(3)]
    kind: Any = type(readouts[0])
    if "together" not in vars(kind):
        return
    for number, readout in enumerate(readouts):
        with torch.no_grad():
            for parameter in readout.parameters():
                parameter.add_(0.1 * draw(tuple(parameter.shape), number))
    for sizes in ([2, 2, 2], [3, 1, 2]):
        features = scene.draw(sum(sizes), scene.frames(readouts[0]))["features"].requires_grad_()
        alone = [readout(share) for readout, share in zip(readouts, torch.split(features, sizes), strict=True)]
        joined = kind.together(readouts, features, sizes)
        shown = {f"readout {number}": value for number, value in enumerate(joined)}
        expected = {f"readout {number}": value for number, value in enumerate(alone)}
        expect_same(shown, expected, "`together` gives something else than each readout alone", **_CLOSE)
        inputs = [features, *(parameter for readout in readouts for parameter in readout.parameters())]
        found, needed = (
            torch.autograd.grad([value.square().sum() for value in values], inputs, allow_unused=True)
            for values in (joined, alone)
        )
        for one, other in zip(found, needed, strict=True):
            assert (one is None) == (other is None), "`together` reaches other weights than each readout alone"
            if one is not None and other is not None:
                same = torch.allclose(one, other, rtol=1e-9, atol=1e-10)
                assert same, "`together` has other gradients than each readout alone"
