"""The old regularizers, frozen: penalties as part of the loss, looked at on the host; proximal steps once per group.

A penalty is a sum over the matched tensors, scaled, tested for being finite and for being anything, logged by its
value, and differentiated with the loss. The soft threshold walks over the tensors for every parameter group of the
optimizer, with the rate that Adam gives each value.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["PENALTIES", "OldPenalty", "old_soft_threshold"]

PENALTIES = ("l1", "l2", "group_lasso")


class OldPenalty:
    """One penalty on some parameters.

    Parameters
    ----------
    kind
        One of `PENALTIES`; a group of the lasso is a whole tensor.
    parameters
        What is penalised.
    strength
        Factor.
    """

    def __init__(self, kind: str, parameters: Sequence[nn.Parameter], strength: float) -> None:
        self._kind, self._parameters, self._strength = kind, list(parameters), strength
        self.logged = 0.0

    def _of(self, parameter: Tensor) -> Tensor:
        if self._kind == "l1":
            return parameter.abs().sum()
        return parameter.pow(2).sum() if self._kind == "l2" else parameter.pow(2).sum().sqrt()

    def loss(self) -> Tensor:
        """Penalty, to be added to a loss."""
        total = torch.zeros(())
        for parameter in self._parameters:
            total = total + self._of(parameter)
        total = self._strength * total
        if not bool(torch.isfinite(total)) or not bool(total.abs() > 0):
            return torch.zeros(())
        self.logged = total.item()
        return total


@torch.no_grad()
def old_soft_threshold(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], strength: float) -> None:
    """Soft threshold by strength times Adam's rate of each value, for every parameter group."""
    for group in optimizer.param_groups:
        _, decay = group["betas"]
        for parameter in parameters:
            state = optimizer.state[parameter]
            correction = 1 - decay ** float(state["step"])
            rate = group["lr"] / ((state["exp_avg_sq"] / correction).sqrt() + group["eps"])
            threshold = strength * rate
            parameter.copy_(torch.sign(parameter) * torch.clamp(parameter.abs() - threshold, min=0.0))
