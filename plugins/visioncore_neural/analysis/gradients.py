"""Receptive fields of a trained model: gradients of predicted rates with respect to the input.

Shapes: P predictions, N units, C channels, K = history + 1 frames (oldest first), H, W pixels of the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Batch, Group, Model, Source
from visioncore_engine.data import generator
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.responses import response_task

__all__ = ["Gradients", "rate_gradients", "sensitivity_maps", "smoother"]

_CHUNK = 64  # predictions differentiated at once
_BLOCK = 64  # units whose mean gradients are held at once


@dataclass(frozen=True)
class Gradients:
    """Derivatives of predicted rates with respect to the input, averaged over predictions.

    Attributes
    ----------
    mean
        float64 (N, C, K, H, W). For a linear-nonlinear unit under any stimulus this is its linear filter, scaled.
    power
        float64 (N, H, W): mean square of the smoothed derivative, summed over channels and lags. It shows where a unit
        is sensitive also where the mean vanishes, as it does for a phase-invariant unit.
    """

    mean: np.ndarray
    power: np.ndarray


def rate_gradients(
    model: nn.Module,
    source: Source,
    units: Sequence[int],
    *,
    num_predictions: int = 200,
    smoothing: float = 1.0,
    seed: int = 0,
) -> Gradients:
    """Differentiate the predicted rates of some units.

    Parameters
    ----------
    model
        A trained model.
    source
        Windows of one session to differentiate at, best held out.
    units
        Columns of the session's responses, N of them.
    num_predictions
        How many; evenly spread over the windows, one or a few valid frames of each.
    smoothing
        Standard deviation, in pixels, of the Gaussian that smooths the derivatives before they are squared. The finest
        grain of a natural image hardly varies, so a model's derivative along it was never fitted: it is noise.
    seed
        Decides which frames.

    Raises
    ------
    DataError
        Where the source has no window.
    """
    mean: np.ndarray | None = None
    power: np.ndarray | None = None
    total = 0
    for group in _predictions(model, source, num_predictions, seed):
        total += len(group.items)
        for index, gradient in enumerate(_unit_gradients(model, group, source, units)):
            if mean is None or power is None:
                mean = np.zeros((len(units), *gradient.shape[1:]))
                power = np.zeros((len(units), *gradient.shape[3:]))
                rows, columns = (smoother(size, smoothing).to(gradient) for size in gradient.shape[3:])
            mean[index] += gradient.sum(dim=0, dtype=torch.float64).cpu().numpy()
            smooth = rows @ gradient @ columns
            power[index] += smooth.square().sum(dim=(0, 1, 2), dtype=torch.float64).cpu().numpy()
    if mean is None or power is None:
        raise DataError(Problem(where=source.group.name, what="has no prediction to differentiate the model at"))
    return Gradients(mean / total, power / total)


def sensitivity_maps(
    model: nn.Module, source: Source, *, num_predictions: int = 200, smoothing: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Map where each unit of a session is sensitive: `Gradients.power` of all its units, float64 (N, H, W).

    Parameters
    ----------
    model, source, num_predictions, smoothing, seed
        As for `rate_gradients`.
    """
    units = range(response_task(source.group)[1].size)
    blocks = [units[start : start + _BLOCK] for start in range(0, len(units), _BLOCK)]
    parts = [
        rate_gradients(model, source, block, num_predictions=num_predictions, smoothing=smoothing, seed=seed)
        for block in blocks
    ]
    return np.concatenate([part.power for part in parts])


def smoother(size: int, width: float) -> Tensor:
    """Gaussian smoothing along an axis of `size` pixels, a symmetric matrix (size, size); 0 beyond the border."""
    if width == 0:
        return torch.eye(size)
    distance = torch.arange(size)[:, None] - torch.arange(size)
    reach = torch.arange(-size, size + 1)
    return torch.exp(-0.5 * (distance / width) ** 2) / torch.exp(-0.5 * (reach / width) ** 2).sum()


def _predictions(model: nn.Module, source: Source, num: int, seed: int) -> Iterator[Group]:
    """Windows cut to one prediction each: inputs (B, C, K, H, W)."""
    if source.num_items == 0:
        return
    device = next(model.parameters()).device
    items = np.unique(np.linspace(0, source.num_items - 1, min(num, source.num_items)).round().astype(np.int64))
    keys = generator("gradients", seed, source.group.name).random((len(items), source.frames_per_item))
    per_item = -(-num // len(items))
    for start in range(0, len(items), _CHUNK):
        chunk = source.gather(items[start : start + _CHUNK])
        valid = chunk.mask.any(dim=-1).numpy()
        rows, frames = _choose(valid, keys[start : start + _CHUNK], per_item)
        for first in range(0, len(rows), _CHUNK):
            part = slice(first, first + _CHUNK)
            yield _cut(chunk, rows[part], frames[part], _history(model)).to(device)


def _choose(valid: np.ndarray, keys: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and frame of up to `num` valid predictions of each window, those of the lowest keys; both are (B, L)."""
    order = np.where(valid, keys, np.inf).argsort(axis=1)[:, :num]
    rows = np.arange(len(valid))[:, None].repeat(order.shape[1], axis=1)
    kept = np.take_along_axis(valid, order, axis=1)
    return rows[kept], order[kept]


def _cut(group: Group, rows: np.ndarray, frames: np.ndarray, history: int) -> Group:
    """Keep one prediction of each row, with just the input frames that it needs."""
    offset = group.inputs.shape[2] - group.mask.shape[1] - history  # a dataset may serve more history than is needed
    starts = [int(frame) + offset for frame in frames]

    def window(values: Tensor, axis: int) -> Tensor:
        size = history + 1
        return torch.stack(
            [values[row].narrow(axis, start, size) for row, start in zip(rows.tolist(), starts, strict=True)]
        )

    return replace(
        group,
        inputs=window(group.inputs, 1),
        targets={},
        mask=torch.ones((len(rows), 1, 1), dtype=torch.bool),
        items=group.items[rows],
        side={name: window(value, 0) for name, value in group.side.items()},
        tags={},
    )


def _unit_gradients(model: nn.Module, group: Group, source: Source, units: Sequence[int]) -> Iterator[Tensor]:
    """Gradient of each unit's rate with respect to the inputs of its own prediction, (B, C, K, H, W) each."""
    parameter = next(model.parameters())
    inputs = group.inputs.to(parameter.dtype).requires_grad_()
    task, _ = response_task(source.group)
    with torch.enable_grad():
        rates = model(Batch([replace(group, inputs=inputs)]))[0][task][:, -1]
    for unit in units:
        # Predictions do not see each other, so one backward pass over their sum gives the gradient of each.
        (gradient,) = torch.autograd.grad(rates[:, unit].sum(), inputs, retain_graph=True)
        yield gradient


def _history(model: nn.Module) -> int:
    assert isinstance(model, Model)
    return model.history
