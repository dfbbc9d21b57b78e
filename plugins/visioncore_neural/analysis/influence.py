"""How far back a model and its stages look. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Batch, Group

__all__ = ["Influence", "influence_by_lag", "influence_of"]

_NUM_PROBES = 4


@dataclass(frozen=True)
class Influence:
    """Share of each lag in what moves the last output frame.

    Attributes
    ----------
    name
        Where the part stands in the model; ``model`` is all of it, from the stimulus to the rates.
    shares
        float64 (T,), sum 1: entry k belongs to the input frame k frames before the output frame. All NaN where nothing
        moves it.
    """

    name: str
    shares: np.ndarray


def influence_of(call: Callable[[Tensor], Tensor], inputs: Tensor, time: int = 2, seed: int = 0) -> np.ndarray:
    """Energy of the derivatives of the last output frame with respect to each input frame, as shares of their sum.

    The sum of squares of a Jacobian J is the mean of ``|J' v|^2`` over standard normal v, of which a few are drawn.

    Parameters
    ----------
    call
        From inputs to outputs, both oldest frame first.
    inputs
        (B, C, T, H, W).
    time
        Axis of time in the outputs.
    seed
        Decides the v.

    Returns
    -------
    float64 (T,), newest frame first.
    """
    seen = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        output = call(seen)
        last = output.select(time, output.shape[time] - 1)
    draw = torch.Generator().manual_seed(seed)
    energy = np.zeros(inputs.shape[2])
    for _ in range(_NUM_PROBES if last.requires_grad else 0):
        probe = torch.randn(last.shape, generator=draw).to(last)
        (gradient,) = torch.autograd.grad(last, seen, probe, retain_graph=True, allow_unused=True)
        if gradient is not None:
            energy += gradient.double().square().sum(dim=(0, 1, 3, 4)).cpu().numpy()
    total = energy.sum()
    return energy[::-1] / total if total > 0 else np.full_like(energy, np.nan)


def influence_by_lag(model: nn.Module, group: Group) -> list[Influence]:
    """Measure every stage of a model on the features that reach it, and then the model as a whole.

    Parameters
    ----------
    model
        In eval mode, on the device of the group. Its ``core``, ``modulator`` and ``recurrent`` are looked at.
    group
        Windows of one recording, inputs (B, C, T, H, W).
    """
    stages = _stages(model)
    met: dict[str, tuple[Any, ...]] = {}
    handles = [
        stage.register_forward_pre_hook(lambda _, given, name=name: met.__setitem__(name, given))
        for name, stage in stages.items()
    ]
    try:
        with torch.no_grad():
            model(Batch([group]))
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for name, (features, *side) in met.items():
        found.append(Influence(name, influence_of(_alone(stages[name], side), features)))
    if getattr(model, "uses_inputs", True):
        found.append(Influence("model", influence_of(_rates(model, group), group.inputs, time=1)))
    return found


def _stages(model: nn.Module) -> dict[str, nn.Module]:
    slots = ((slot, getattr(model, slot, None)) for slot in ("core", "modulator", "recurrent"))
    found: dict[str, nn.Module] = {}
    for slot, part in slots:
        if isinstance(part, nn.ModuleList):
            found |= {f"{slot}.{index} ({type(stage).__name__})": stage for index, stage in enumerate(part)}
        elif isinstance(part, nn.Module):
            found[f"{slot} ({type(part).__name__})"] = part
    return found


def _rates(model: nn.Module, group: Group) -> Callable[[Tensor], Tensor]:
    def rates(inputs: Tensor) -> Tensor:
        output: Tensor = model(Batch([Group(**{**vars(group), "inputs": inputs})]))[0][task]
        return output

    task = next(iter(group.targets))
    return rates


def _alone(stage: nn.Module, side: Sequence[Any]) -> Callable[[Tensor], Tensor]:
    def run(features: Tensor) -> Tensor:
        output: Any = stage(features, *side)
        first: Tensor = output[0] if isinstance(output, tuple) else output
        return first

    return run
