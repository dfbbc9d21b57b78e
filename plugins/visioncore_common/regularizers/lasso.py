"""Group lasso, by what is a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visioncore_common.options.regularizer import GroupLassoOptions
from visioncore_common.regularizers.penalty import Penalty, require_axes
from visioncore_engine.contracts import Regularizer, RegularizerFacts

__all__ = ["FilterLasso", "GroupLasso", "group_lasso"]


def group_lasso(options: GroupLassoOptions, facts: RegularizerFacts) -> Regularizer:
    """Build the lasso of units, channels, filters or tensors.

    Raises
    ------
    ConfigError
        For a parameter without the axes that form the groups.
    """
    return FilterLasso(options, facts) if options.groups == "filter" else GroupLasso(options, facts)


class GroupLasso(Penalty):
    """Sum over groups of the Euclidean norm of each group's weights; its gradient at 0 is 0.

    Raises
    ------
    ConfigError
        For a parameter without the axis that forms the groups.
    """

    def __init__(self, options: GroupLassoOptions, facts: RegularizerFacts) -> None:
        self._axis = {"unit": 0, "channel": 1, "tensor": None}[options.groups]
        self._size_scaled = options.size_scaled
        needed = 0 if self._axis is None else self._axis + 1
        require_axes(facts, needed, f"a group along axis {self._axis}", f"groups: {options.groups}", "other `groups`")

    def of(self, parameter: Tensor) -> Tensor:
        """Sum of the groups' norms."""
        return self._norms(parameter).sum() * self._factor(parameter)

    def add_gradients(self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], strength: float) -> None:
        """Add each value over the norm of its group; 0 in a group of zeros."""
        alike: dict[tuple[torch.Size, torch.dtype, torch.device], list[str]] = {}
        for name, parameter in parameters.items():
            alike.setdefault((parameter.shape, parameter.dtype, parameter.device), []).append(name)
        for names in alike.values():
            values, added = [parameters[name] for name in names], [gradients[name] for name in names]
            factor = strength * self._factor(values[0])
            torch._foreach_addcdiv_(added, values, self._norms_of_many(values), value=factor)

    def _norms_of_many(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Norms of tensors of one shape, by one kernel; never below the smallest normal number, so that 0 / 0 is 0."""
        stacked = parameters[0].unsqueeze(0) if len(parameters) == 1 else torch.stack(list(parameters))
        norms = self._norms(stacked, batch=1).clamp_min(torch.finfo(stacked.dtype).tiny)
        return list(norms.unbind(0))

    def _norms(self, parameter: Tensor, batch: int = 0) -> Tensor:
        """Norm of each group, with as many axes as the parameter, behind `batch` axes of tensors alike."""
        kept = range(batch) if self._axis is None else (*range(batch), self._axis + batch)
        axes = [axis for axis in range(parameter.ndim) if axis not in kept]
        norms: Tensor = torch.linalg.vector_norm(parameter, dim=axes, keepdim=True) if axes else parameter.abs()
        return norms

    def _factor(self, parameter: Tensor) -> float:
        """Square root of the values in a group, where norms are scaled by it."""
        size = parameter.numel() if self._axis is None else parameter.numel() // parameter.shape[self._axis]
        return float(size**0.5) if self._size_scaled else 1.0


class FilterLasso(Penalty):
    """Sum of the Euclidean norms of the kernels from each input to each output; the gradient at 0 is 0.

    Raises
    ------
    ConfigError
        For a parameter with fewer than two axes.
    """

    def __init__(self, options: GroupLassoOptions, facts: RegularizerFacts) -> None:
        self._size_scaled = options.size_scaled
        require_axes(facts, 2, "a kernel from input to output", "groups: filter", "other `groups`")

    def of(self, parameter: Tensor) -> Tensor:
        """Sum of the kernels' norms."""
        kernels = parameter.flatten(2) if parameter.ndim > 2 else parameter.unsqueeze(-1)
        factor = kernels.shape[2] ** 0.5 if self._size_scaled else 1.0
        norms: Tensor = torch.linalg.vector_norm(kernels, dim=2)
        return norms.sum() * factor
