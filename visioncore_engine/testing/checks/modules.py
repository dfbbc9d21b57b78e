"""Laws of every module: adapters, stages, modulators, readouts and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.observed import expect_same
from visioncore_engine.testing.scenes.module import ModuleScene, Outputs, doubled, draw, stirred, taken
from visioncore_engine.testing.worlds import seeded

__all__ = [
    "KINDS",
    "autocast_to_bfloat16_works",
    "drawn_again",
    "eval_mode_is_deterministic",
    "examples_do_not_leak",
    "fitting_scenes",
    "follows_the_dtype",
    "gradient_is_that_of_the_output",
    "gradients_reach_everything",
    "inputs_are_left_alone",
    "memory_layout_does_not_matter",
    "order_of_windows_does_not_matter",
    "scene_of",
    "shapes_are_as_declared",
    "weights_are_all_that_it_is",
]

KINDS = ("adapter", "stage", "modulator", "readout", "model")
"""Kinds that build an `nn.Module`."""

_CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def scene_of(case: Case) -> ModuleScene:
    """Scene of a module."""
    scene = case.scene_of()
    assert isinstance(scene, ModuleScene), f"the scene of {case} must be a {ModuleScene.__name__}"
    return scene


def drawn_again(case: Case, scene: ModuleScene, seed: int) -> nn.Module:
    """Build the module with the initial values of another seed."""
    choice = case.choose()
    with seeded(seed):
        module: nn.Module = choice.build(scene.facts)
    return module


def fitting_scenes(case: Case, scene: ModuleScene) -> Iterator[tuple[ModuleScene, Any]]:
    """Scenes that the module fits, with the module; those of other shapes that it refuses are left out."""
    yield scene, case.build(scene)
    for other in scene.others():
        try:
            built = case.build(other)
        except UserError:
            continue
        yield other, built


@check(*KINDS)
def shapes_are_as_declared(case: Case) -> None:
    """Outputs have the declared shape, for one window and for several, short ones and long ones."""
    scene = scene_of(case)
    fitting = list(fitting_scenes(case, scene))
    assert len(fitting) > 1 or not scene.others(), (
        "the module was refused for every other shape of its input: take the sizes from the facts"
    )
    for fits, built in fitting:
        module = doubled(built).eval()
        for num, more in ((1, 1), (3, 4)):
            inputs = fits.draw(num, fits.frames(built, more))
            found = {name: tuple(value.shape) for name, value in fits.run(module, inputs).items()}
            declared = dict(fits.declared(built, inputs))
            given = {name: tuple(value.shape) for name, value in inputs.items()}
            assert found == declared, f"the output has shape {found}, but {declared} is declared for inputs {given}"


@check(*KINDS)
def examples_do_not_leak(case: Case) -> None:
    """A window's output depends on nothing else in its batch."""
    scene = scene_of(case)
    built = case.build(scene)
    inputs = scene.draw(3, scene.frames(built))
    other = {name: value.clone() for name, value in inputs.items()}
    for value in other.values():
        value[1] += 3.0 * draw(tuple(value[1].shape), 9)
    for module, mode in _modes(built):
        law = (
            f"another window in the batch changes what is predicted for a window ({mode} mode): nothing may look "
            "across the batch; where it normalises over the batch, say so by `batch_statistics = True`"
        )
        one, two = (_run(scene, module, given) for given in (inputs, other))
        expect_same(_rows(one, (0, 2)), _rows(two, (0, 2)), law, **_CLOSE)
        expect_same(_rows(one, (0,)), _run(scene, module, taken(inputs, (0,))), law, **_CLOSE)


def _modes(built: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    yield stirred(built).eval(), "eval"
    if not (_says(built, "batch_statistics") or _says(built, "stochastic")):
        yield stirred(built).train(), "train"


def _says(built: nn.Module, word: str) -> bool:
    return any(bool(getattr(part, word, False)) for part in built.modules())


def _run(scene: ModuleScene, module: nn.Module, inputs: dict[str, Tensor]) -> Outputs:
    with torch.no_grad(), seeded():
        return scene.run(module, inputs)


def _rows(outputs: Mapping[str, Tensor], rows: tuple[int, ...]) -> Outputs:
    return {name: value[list(rows)] for name, value in outputs.items()}


@check(*KINDS)
def order_of_windows_does_not_matter(case: Case) -> None:
    """Windows in another order give the same outputs in that order."""
    scene = scene_of(case)
    built = case.build(scene)
    inputs = scene.draw(4, scene.frames(built))
    module, order = stirred(built).eval(), (2, 0, 3, 1)
    one = _rows(_run(scene, module, inputs), order)
    expect_same(one, _run(scene, module, taken(inputs, order)), "the place in the batch shows in the output", **_CLOSE)


@check(*KINDS)
def eval_mode_is_deterministic(case: Case) -> None:
    """In eval mode two calls are alike and change nothing in the module."""
    scene = scene_of(case)
    built = case.build(scene)
    inputs = scene.draw(3, scene.frames(built))
    module = stirred(built).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad():
        one = scene.run(module, inputs)
        two = scene.run(module, inputs)
    expect_same(one, two, "two calls in eval mode differ: draw at random only where `self.training`")
    expect_same(before, dict(module.state_dict()), "a call in eval mode changes the module's parameters or buffers")
    assert not any(part.training for part in module.modules()), "a call switches the module back to train mode"


@check(*KINDS)
def gradients_reach_everything(case: Case) -> None:
    """Every parameter and every input gets a gradient that is finite and not zero."""
    scene = scene_of(case)
    built = case.build(scene)
    module = stirred(built).eval()
    inputs = {name: value.requires_grad_() for name, value in scene.draw(3, scene.frames(built)).items()}
    outputs = scene.run(module, inputs)
    total = torch.stack([(value * draw(tuple(value.shape), 3)).sum() for value in outputs.values()]).sum()
    torch.autograd.backward([_learnable(total)])
    lost = [name for name, value in module.named_parameters() if value.requires_grad and _lost(value.grad)]
    assert not lost, (
        f"no gradient reaches the parameters {', '.join(lost)}: they would never be learned (a `.item()`, `.detach()` "
        "or `torch.no_grad()` on their way, or nothing uses them)"
    )
    lost = [
        " or ".join(names) for names in scene.needed(built, inputs) if all(_lost(inputs[name].grad) for name in names)
    ]
    assert not lost, f"no gradient reaches the inputs {', '.join(lost)}: nothing that they say can be learned from"
    wrong = [name for name, value in module.named_parameters() if value.grad is not None and _not_finite(value.grad)]
    assert not wrong, f"gradients that are not finite in {', '.join(wrong)}"


@check(*KINDS)
def gradient_is_that_of_the_output(case: Case) -> None:
    """Along any direction, inputs and parameters change the output as their gradient says."""
    scene = scene_of(case)
    module = stirred(case.build(scene)).eval()
    inputs = scene.draw(2, scene.frames(module))
    leaves = {**inputs, **dict(module.named_parameters())}
    directions = {name: draw(tuple(value.shape), 21) for name, value in leaves.items()}
    for value in inputs.values():
        value.requires_grad_()
    total = _weighed(scene.run(module, inputs))
    moving = [name for name, value in leaves.items() if value.requires_grad]
    gradients = torch.autograd.grad(_learnable(total), [leaves[name] for name in moving], allow_unused=True)
    slope = sum(
        float((gradient * directions[name]).sum())
        for name, gradient in zip(moving, gradients, strict=True)
        if gradient is not None
    )
    ends = []
    with torch.no_grad():
        for step in (1e-6, -1e-6):
            for name in moving:
                leaves[name].add_(step * directions[name])
            ends.append(float(_weighed(scene.run(module, inputs))))
            for name in moving:
                leaves[name].sub_(step * directions[name])
    found = (ends[0] - ends[1]) / 2e-6
    assert abs(found - slope) <= 1e-3 * max(abs(slope), abs(found)) + 1e-4, (
        f"along a direction the output changes by {found:g}, its gradient says {slope:g}: a part of it is detached, "
        "rounded on its way, or not what is computed"
    )


def _learnable(total: Tensor) -> Tensor:
    assert total.requires_grad, "no gradient reaches anything: the output is taken out of the graph"
    return total


def _weighed(outputs: Outputs) -> Tensor:
    return torch.stack([(value * draw(tuple(value.shape), 22)).sum() for value in outputs.values()]).sum()


def _lost(gradient: Tensor | None) -> bool:
    return gradient is None or not bool(gradient.abs().max() > 1e-14)


def _not_finite(gradient: Tensor) -> bool:
    return not bool(gradient.isfinite().all())


@check(*KINDS)
def inputs_are_left_alone(case: Case) -> None:
    """A call changes none of its inputs in place."""
    scene = scene_of(case)
    built = case.build(scene)
    inputs = scene.draw(2, scene.frames(built))
    before = {name: value.clone() for name, value in inputs.items()}
    _run(scene, stirred(built).train(), inputs)
    expect_same(before, inputs, "the module writes into its input: others read the same tensor")


@check(*KINDS)
def memory_layout_does_not_matter(case: Case) -> None:
    """Inputs that lie in memory in another way give the same outputs."""
    scene = scene_of(case)
    built = case.build(scene)
    inputs = scene.draw(2, scene.frames(built))
    strided = {name: value.transpose(0, -1).contiguous().transpose(0, -1) for name, value in inputs.items()}
    module = stirred(built).eval()
    law = "an input with other strides gives another output: read it by index or `reshape`, not by `view` or `data`"
    expect_same(_run(scene, module, inputs), _run(scene, module, strided), law, **_CLOSE)


@check(*KINDS)
def weights_are_all_that_it_is(case: Case) -> None:
    """All parameters exist before the first call, and `state_dict` gives the whole module back, strictly."""
    scene = scene_of(case)
    built = case.build(scene)
    inputs = scene.draw(2, scene.frames(built))
    names = {name: tuple(value.shape) for name, value in built.state_dict().items()}
    module = stirred(built).eval()
    expected = _run(scene, module, inputs)
    after = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert names == after, (
        f"the first call changes which weights there are ({sorted(set(names) ^ set(after)) or 'their shapes'}): make "
        "all of them in the constructor, or no optimizer ever sees them"
    )
    other = doubled(drawn_again(case, scene, 91)).eval()
    other.load_state_dict(module.state_dict(), strict=True)
    law = (
        "weights loaded into a module of another seed do not make it the same: keep all state in parameters or buffers"
    )
    expect_same(expected, _run(scene, other, inputs), law, **_CLOSE)


@check(*KINDS)
def follows_the_dtype(case: Case) -> None:
    """In float64 it computes in float64, in float32 it gives float32."""
    scene = scene_of(case)
    built = case.build(scene)
    inputs = scene.draw(2, scene.frames(built))
    module = stirred(built).eval()
    exact = _run(scene, module, inputs)
    rounded = _run(scene, module.float(), {name: value.float() for name, value in inputs.items()})
    for name, value in exact.items():
        assert value.dtype == torch.float64, (
            f"{name}: {value.dtype} from float64: keep tensors in buffers or parameters"
        )
        assert rounded[name].dtype == torch.float32, f"{name}: {rounded[name].dtype} from float32"
        error = float((value - rounded[name]).abs().max())
        size = float(value.abs().max())
        assert error <= 1e-3 * size + 1e-4, f"{name}: float32 is off by {error:g} of {size:g}"
        # A module that computes in float32 at heart gives the same in both.
        assert error > 0 or size == 0, f"{name}: the same numbers in float64 and in float32: it rounds inside"


@check(*KINDS)
def autocast_to_bfloat16_works(case: Case) -> None:
    """Under autocast to bfloat16 it runs, forwards and backwards, and is about right."""
    scene = scene_of(case)
    built = case.build(scene)
    module = stirred(built).float().eval()
    inputs = {name: value.float() for name, value in scene.draw(2, scene.frames(built)).items()}
    exact = _run(scene, module, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = scene.run(module, inputs)
    if any(parameter.requires_grad for parameter in module.parameters()):  # else there is nothing to learn
        total = torch.stack([value.float().square().sum() for value in outputs.values()]).sum()
        torch.autograd.backward([_learnable(total)])
    for name, value in outputs.items():
        assert bool(value.isfinite().all()), f"{name}: not finite under autocast to bfloat16"
        error = float((value.detach().float() - exact[name]).abs().mean())
        size = float(exact[name].abs().mean())
        assert error <= 0.1 * size + 0.05, f"{name}: under autocast to bfloat16 off by {error:g} of {size:g}"
    wrong = [name for name, value in module.named_parameters() if value.grad is not None and _not_finite(value.grad)]
    assert not wrong, f"gradients under autocast that are not finite in {', '.join(wrong)}"
