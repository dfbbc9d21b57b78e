"""Soft thresholds, by the rate of a parameter or of each value."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_common.options.regularizer import ProximalL1Options
from visioncore_engine.contracts import Regularizer, RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import RegularizerOptions

__all__ = ["AdaptedProximalL1", "ProximalL1", "proximal_l1"]


def proximal_l1(options: ProximalL1Options, facts: RegularizerFacts) -> Regularizer:
    """Build the soft threshold, by the rate of the parameter or of each value.

    Raises
    ------
    ConfigError
        Where every matched parameter is frozen.
    """
    return ProximalL1(options, facts) if options.rates == "parameter" else AdaptedProximalL1(options, facts)


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


class AdaptedProximalL1(ProximalL1):
    """Soft threshold by strength · rate of each value, where the optimizer is of Adam's family.

    Adam divides the rate of a value by ``sqrt(v / (1 - beta2^t)) + eps``, with v the running mean of its squared
    gradients: the step is a gradient step in the metric of that diagonal, and so is its proximal step (Yun, Lozano &
    Yang 2021). Where there is no such v, the rate is the parameter's.
    """

    def __init__(self, options: ProximalL1Options, facts: RegularizerFacts) -> None:
        super().__init__(options, facts)
        self._optimizer = facts.optimizer

    @torch.no_grad()
    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Move every value towards 0 by strength times its rate, and no further than 0."""
        for name, parameter in parameters.items():
            if not parameter.requires_grad:
                continue
            scale = self._scale(parameter)
            if scale is None:
                super().proximal({name: parameter}, strength, rates)
            else:
                bound = strength * rates[name] / scale
                parameter.sub_(parameter.clamp(-bound, bound))

    def _scale(self, parameter: Tensor) -> Tensor | None:
        """What the optimizer divides the rate of each value by; None where it is the same for all."""
        if self._optimizer is None:
            return None
        state = self._optimizer.state.get(parameter, {})
        if "exp_avg_sq" not in state:
            return None
        group = next(own for own in self._optimizer.param_groups if any(parameter is other for other in own["params"]))
        correction = 1.0 - group["betas"][1] ** float(state["step"])
        scale: Tensor = (state["exp_avg_sq"] / correction).sqrt_().add_(group["eps"])
        return scale
