"""Penalties and proximal steps on parameters. The engine multiplies by `strength` and calls each once per step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_common.options.regularizer import GroupLassoOptions
from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import RegularizerOptions

__all__ = ["L1", "L2", "GroupLasso", "ProximalL1"]


class _Penalty:
    """A regularizer that is a sum over parameters and has no proximal step."""

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Differentiable scalar: the sum over the parameters."""
        return torch.stack([self.of(parameter) for parameter in parameters.values()]).sum() if parameters else None

    def of(self, parameter: Tensor) -> Tensor:
        """Penalty of one parameter, a scalar."""
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


class L2(_Penalty):
    """Sum of squares (not halved: the gradient is 2 w)."""

    def __init__(self, options: RegularizerOptions, facts: RegularizerFacts) -> None:
        del options, facts  # the engine holds the strength and hands over the parameters

    def of(self, parameter: Tensor) -> Tensor:
        """Sum of w²."""
        return parameter.square().sum()


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
        axis = self._axis
        groups = parameter[None] if axis is None else parameter.movedim(axis, 0)
        groups = groups.reshape(len(groups), -1)
        norms: Tensor = torch.linalg.vector_norm(groups, dim=1).sum()
        return norms * groups.shape[1] ** 0.5 if self._size_scaled else norms


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
        for name, parameter in parameters.items():
            if parameter.requires_grad:
                bound = strength * rates[name]
                parameter.sub_(parameter.clamp(-bound, bound))
