"""Penalties and proximal steps on parameters. The engine multiplies by `strength` and calls each once per step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visioncore_common.options.regularizer import GroupLassoOptions
from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import RegularizerOptions

__all__ = ["L1", "L2", "GroupLasso", "ProximalL1"]


class _Penalty:
    """A regularizer that is a sum over parameters, with a gradient in closed form, and has no proximal step."""

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Differentiable scalar: the sum over the parameters."""
        return torch.stack([self.of(parameter) for parameter in parameters.values()]).sum() if parameters else None

    def of(self, parameter: Tensor) -> Tensor:
        """Penalty of one parameter, a scalar."""
        raise NotImplementedError

    def add_gradients(self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], strength: float) -> None:
        """Add `strength` times the gradient of the penalty to each of `gradients`, by name, in place."""
        raise NotImplementedError

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Change nothing."""


class L1(_Penalty):
    """Sum of absolute values; its gradient at 0 is 0."""

    def __init__(self, options: RegularizerOptions, facts: RegularizerFacts) -> None:
        del options, facts  # the engine holds the strength and hands over the parameters

    def of(self, parameter: Tensor) -> Tensor:
        """Sum of |w|."""
        return parameter.abs().sum()

    def add_gradients(self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], strength: float) -> None:
        """Add the sign of each value."""
        signs = torch._foreach_sign(list(parameters.values()))  # noqa: SLF001 - torch's kernels for many tensors have no other name
        torch._foreach_add_(list(gradients.values()), signs, alpha=strength)


class L2(_Penalty):
    """Sum of squares (not halved: the gradient is 2 w)."""

    def __init__(self, options: RegularizerOptions, facts: RegularizerFacts) -> None:
        del options, facts  # the engine holds the strength and hands over the parameters

    def of(self, parameter: Tensor) -> Tensor:
        """Sum of w²."""
        return parameter.square().sum()

    def add_gradients(self, parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor], strength: float) -> None:
        """Add twice each value."""
        torch._foreach_add_(list(gradients.values()), list(parameters.values()), alpha=2.0 * strength)


class GroupLasso(_Penalty):
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
        flat = [name for name, parameter in facts.parameters.items() if parameter.ndim < needed]
        if flat:
            raise ConfigError(
                Problem(
                    what=f"groups along axis {self._axis} need parameters with {needed} axes or more; "
                    f"too few in {', '.join(flat)}",
                    key="regularizers.match",
                    given=f"groups: {options.groups}",
                    todo="leave these out of `match`, or choose other `groups`",
                )
            )

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


class ProximalL1:
    """Soft threshold by strength · rate after each optimizer step: exact zeros, where the penalty only comes near.

    The proximal operator of the l1 norm (Parikh & Boyd 2014, §6.5.2). Frozen parameters are left alone.
    """

    def __init__(self, options: RegularizerOptions, facts: RegularizerFacts) -> None:
        del options
        if not any(parameter.requires_grad for parameter in facts.parameters.values()):
            raise ConfigError(
                Problem(
                    what="every matched parameter is frozen, a proximal step would change it all the same",
                    key="regularizers.match",
                    given=", ".join(facts.parameters),
                    todo="match trainable parameters",
                )
            )

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Return None: nothing is added to the loss."""
        return None

    @torch.no_grad()
    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Move every value towards 0 by strength times the parameter's rate, and no further than 0."""
        moved = [
            (parameter, strength * rates[name]) for name, parameter in parameters.items() if parameter.requires_grad
        ]
        if moved:
            values, bounds = map(list, zip(*moved, strict=True))
            shrunk = torch._foreach_clamp_max(values, bounds)  # noqa: SLF001 - torch has one kernel for many tensors by this name only
            torch._foreach_clamp_min_(shrunk, [-bound for bound in bounds])
            torch._foreach_sub_(values, shrunk)
