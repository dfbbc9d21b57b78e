"""The stimulus that excites a unit most, by gradient ascent. C channels, K frames, H x W pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Batch, Group
from visioncore_engine.data import generator
from visioncore_engine.errors import Problem, UsageError
from visioncore_neural.analysis.gradients import smoother
from visioncore_neural.insilico.twin import Twin
from visioncore_neural.responses import response_task

__all__ = ["ExcitingInput", "exciting_input"]


@dataclass(frozen=True)
class ExcitingInput:
    """What was found.

    Attributes
    ----------
    stim
        float32 (C, K, H, W), oldest frame first, in the numbers that the model reads (prepared).
    rates
        Predicted rate after each step, float64 (steps + 1,).
    """

    stim: np.ndarray
    rates: np.ndarray


def exciting_input(
    twin: Twin,
    session: str,
    unit: str,
    *,
    norm: float = 10.0,
    order: float = 2.0,
    bounds: tuple[float, float] | None = None,
    steps: int = 200,
    rate: float = 0.1,
    jitter: int = 0,
    blur: float = 0.0,
    variation: float = 0.0,
    side: dict[str, np.ndarray] | None = None,
    seed: int = 0,
) -> ExcitingInput:
    """Climb the predicted rate of a unit over stimuli of one norm.

    A step goes where the rate rises fastest for its length in the norm ``(sum |x|^p)^(1/p)``: along
    ``sign(g) |g|^(1/(p-1))`` of the gradient g, which is g itself for the Euclidean norm, and its sign for the largest
    magnitude.

    Parameters
    ----------
    twin, session, unit
        Whose unit.
    norm
        Norm of the stimulus, around 0 in the numbers that the model reads.
    order
        Order p of the norm, above 1: 2 is Euclidean, a lower one gathers the stimulus in few pixels, a higher one
        spreads it, and `math.inf` bounds each pixel.
    bounds
        Smallest and largest value of a pixel; values are cut after the norm is set, so that the norm is then a bound.
    steps, rate
        Steps of ascent, and the length of each as a share of `norm`; it falls to 0 along a cosine.
    jitter
        Pixels by which the stimulus may be shifted, at random, before a gradient is taken.
    blur
        Standard deviation in pixels of the Gaussian by which gradients are smoothed in space; 0 for none.
    variation
        Weight of the total variation in space that is subtracted.
    side
        Side inputs (K, size) by name, 0 where not given.
    seed
        Decides the start and the shifts: the same seed gives the same stimulus.

    Raises
    ------
    UsageError
        For an unknown session or unit, an order of 1 or less, or a negative blur.
    """
    _refuse(order=order, blur=blur)
    place, group = twin.place(session, unit), twin.trained.groups[session]
    task, _ = response_task(group)
    frames = twin.trained.history + 1
    channels, height, width = group.input_shape
    draws = generator("exciting", seed, session, unit)
    parameter = next(twin.trained.model.parameters())
    start = draws.normal(size=(channels, frames, height, width)).astype(np.float32)
    stim = _bounded(torch.from_numpy(start).to(parameter), norm, order, bounds)
    rows, columns = (smoother(size, blur).to(parameter) for size in (height, width))
    template = _group(twin, session, frames, side or {})

    def predicted(values: Tensor) -> Tensor:
        outputs: Tensor = twin.trained.model(Batch([replace(template, inputs=values[None])]))[0][task]
        return outputs[0, -1, place]

    rates = []
    for step in range(steps):
        shift = tuple(int(value) for value in draws.integers(-jitter, jitter + 1, size=2)) if jitter else (0, 0)
        moved = torch.roll(stim, shift, dims=(2, 3)).requires_grad_()
        with torch.enable_grad():
            value = predicted(moved)
            rates.append(float(value.detach()))
            goal = value - variation * _variation(moved)
            (gradient,) = torch.autograd.grad(goal, moved)
        gradient = torch.roll(gradient, (-shift[0], -shift[1]), dims=(2, 3))
        length = rate * norm * 0.5 * (1 + np.cos(np.pi * step / steps))
        stim = _bounded(stim + length * _steepest(rows @ gradient @ columns, order), norm, order, bounds)
    with torch.no_grad():
        rates.append(float(predicted(stim)))
    return ExcitingInput(stim.cpu().numpy(), np.array(rates, dtype=np.float64))


def _refuse(*, order: float, blur: float) -> None:
    if not order > 1:
        raise UsageError(Problem(key="order", what="must be above 1", given=f"{order:g}"))
    if not blur >= 0:
        raise UsageError(Problem(key="blur", what="must be 0 or more", given=f"{blur:g}"))


def _bounded(stim: Tensor, norm: float, order: float, bounds: tuple[float, float] | None) -> Tensor:
    stim = stim * (norm / torch.linalg.vector_norm(stim, order).clamp(min=1e-12))
    return stim if bounds is None else stim.clamp(*bounds)


def _steepest(gradient: Tensor, order: float) -> Tensor:
    """Direction of unit norm in which a function of this gradient rises fastest; 0 for a gradient of 0."""
    shares = gradient / gradient.abs().amax().clamp(min=1e-12)  # powers of which neither overflow nor vanish
    direction = shares.sign() * shares.abs().pow(1 / (order - 1))
    unit: Tensor = direction / torch.linalg.vector_norm(direction, order).clamp(min=1e-12)
    return unit


def _variation(stim: Tensor) -> Tensor:
    return (stim[..., 1:, :] - stim[..., :-1, :]).abs().sum() + (stim[..., 1:] - stim[..., :-1]).abs().sum()


def _group(twin: Twin, session: str, frames: int, side: dict[str, np.ndarray]) -> Group:
    """One window of one prediction, without inputs."""
    spec, parameter = twin.trained.groups[session], next(twin.trained.model.parameters())
    given = {
        name: torch.from_numpy(np.asarray(side.get(name, np.zeros((frames, size))), dtype=np.float32)).to(parameter)[
            None
        ]
        for name, size in spec.side.items()
    }
    return Group(
        name=session,
        index=twin.sessions.index(session),
        inputs=torch.zeros(0),
        targets={},
        mask=torch.ones((1, 1, 1), dtype=torch.bool, device=parameter.device),
        items=torch.zeros(1, dtype=torch.int64),
        side=given,
    )
