"""Smooth weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_common.options.regularizer import LaplacianOptions
from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["Laplacian"]


class Laplacian:
    """Sum of the squared discrete Laplacian along `axes`: 0 for weights that are constant or linear along them.

    At each place that has both neighbours along every axis the Laplacian is the sum over the axes of
    ``w[i - 1] - 2 w[i] + w[i + 1]``.

    Raises
    ------
    ConfigError
        For a parameter that lacks an axis, or has fewer than three values along it.
    """

    def __init__(self, options: LaplacianOptions, facts: RegularizerFacts) -> None:
        self._axes = options.axes
        short = [name for name, parameter in facts.parameters.items() if not self._fits(parameter)]
        if short:
            raise ConfigError(
                Problem(
                    what=f"a second difference along axes {self._axes} needs three values along each; "
                    f"too few in {', '.join(short)}",
                    key="regularizers.match",
                    given=f"axes: {list(self._axes)}",
                    todo="leave these out of `match`, or choose other `axes`",
                )
            )

    def _fits(self, parameter: Tensor) -> bool:
        inside = all(-parameter.ndim <= axis < parameter.ndim for axis in self._axes)
        return inside and all(parameter.shape[axis] >= 3 for axis in self._axes)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Sum over the parameters."""
        return torch.stack([self._of(value) for value in parameters.values()]).sum() if parameters else None

    def _of(self, weight: Tensor) -> Tensor:
        return torch.stack([self._bend(weight, axis) for axis in self._axes]).sum(dim=0).square().sum()

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

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Change nothing."""
