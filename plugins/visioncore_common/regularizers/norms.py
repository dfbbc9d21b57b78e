"""Norms of values, each for itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_common.regularizers.penalty import Penalty

__all__ = ["L1", "L2"]


class L1(Penalty):
    """Sum of absolute values; its gradient at 0 is 0."""

    def of(self, parameter: Tensor) -> Tensor:
        """Sum of |w|."""
        return parameter.abs().sum()

    def add_gradients(self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], strength: float) -> None:
        """Add the sign of each value."""
        signs = torch._foreach_sign(list(parameters.values()))  # noqa: SLF001 - torch's kernels for many tensors have no other name
        torch._foreach_add_(list(gradients.values()), signs, alpha=strength)


class L2(Penalty):
    """Sum of squares (not halved: the gradient is 2 w)."""

    def of(self, parameter: Tensor) -> Tensor:
        """Sum of w²."""
        return parameter.square().sum()

    def add_gradients(self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], strength: float) -> None:
        """Add twice each value."""
        torch._foreach_add_(list(gradients.values()), list(parameters.values()), alpha=2.0 * strength)
