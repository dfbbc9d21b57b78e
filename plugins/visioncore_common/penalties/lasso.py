"""Group lasso, by what is a group."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_common.options.regularizer import GroupLassoOptions
from visioncore_common.regularizers import GroupLasso
from visioncore_engine.contracts import Regularizer, RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["FilterLasso", "group_lasso"]


def group_lasso(options: GroupLassoOptions, facts: RegularizerFacts) -> Regularizer:
    """Build the lasso of units, channels, filters or tensors.

    Raises
    ------
    ConfigError
        For a parameter without the axes that form the groups.
    """
    return FilterLasso(options, facts) if options.groups == "filter" else GroupLasso(options, facts)


class FilterLasso:
    """Sum of the Euclidean norms of the kernels from each input to each output; the gradient at 0 is 0.

    Raises
    ------
    ConfigError
        For a parameter with fewer than two axes.
    """

    def __init__(self, options: GroupLassoOptions, facts: RegularizerFacts) -> None:
        self._size_scaled = options.size_scaled
        flat = [name for name, parameter in facts.parameters.items() if parameter.ndim < 2]
        if flat:
            raise ConfigError(
                Problem(
                    what=f"a kernel from input to output needs two axes or more; too few in {', '.join(flat)}",
                    key="regularizers.match",
                    given="groups: filter",
                    todo="leave these out of `match`, or choose other `groups`",
                )
            )

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Sum over the parameters."""
        return torch.stack([self._of(value) for value in parameters.values()]).sum() if parameters else None

    def _of(self, weight: Tensor) -> Tensor:
        kernels = weight.flatten(2) if weight.ndim > 2 else weight.unsqueeze(-1)
        factor = kernels.shape[2] ** 0.5 if self._size_scaled else 1.0
        norms: Tensor = torch.linalg.vector_norm(kernels, dim=2)
        return norms.sum() * factor

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Change nothing."""
