"""Smooth weights."""

from __future__ import annotations

import torch
from torch import Tensor

from visioncore_common.options.regularizer import LaplacianOptions
from visioncore_common.regularizers.penalty import Penalty, require
from visioncore_engine.contracts import RegularizerFacts

__all__ = ["Laplacian"]


class Laplacian(Penalty):
    """Sum of the squared discrete Laplacian along `axes`: 0 for weights that are constant or linear along them.

    At each place that has both neighbours along every axis the Laplacian is the sum over the axes of
    ``w[i - 1] - 2 w[i] + w[i + 1]``.

    Raises
    ------
    ConfigError
        For a parameter that lacks an axis, has fewer than three values along it, or has one of them named twice.
    """

    def __init__(self, options: LaplacianOptions, facts: RegularizerFacts) -> None:
        self._axes = options.axes
        require(
            facts,
            self._fits,
            f"a second difference along axes {self._axes} needs three values along each, and no axis twice",
            given=f"axes: {list(self._axes)}",
            other="other `axes`",
        )

    def _fits(self, parameter: Tensor) -> bool:
        inside = all(-parameter.ndim <= axis < parameter.ndim for axis in self._axes)
        differ = inside and len({axis % parameter.ndim for axis in self._axes}) == len(self._axes)
        return differ and all(parameter.shape[axis] >= 3 for axis in self._axes)

    def of(self, parameter: Tensor) -> Tensor:
        """Sum of the squares of the Laplacian."""
        return torch.stack([self._bend(parameter, axis) for axis in self._axes]).sum(dim=0).square().sum()

    def _bend(self, weight: Tensor, along: int) -> Tensor:
        """Second difference along an axis, at places inside along all of them."""
        for axis in self._axes:
            inner = weight.shape[axis] - 2
            if axis == along:
                low, middle, high = (weight.narrow(axis, start, inner) for start in range(3))
                weight = low - 2.0 * middle + high
            else:
                weight = weight.narrow(axis, 1, inner)
        return weight
