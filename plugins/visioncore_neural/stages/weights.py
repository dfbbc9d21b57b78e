"""How weights start, and what kernels they make: windows against aliasing, norms apart from directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["BoundedLinear", "hann", "kernel_of", "norms", "start_recurrent"]


def hann(size: int, power: float) -> Tensor:
    """Hann window to a power, (size,), mean square 1: ``sin(pi (i + 1) / (size + 1)) ** (2 power)``.

    Unlike the periodic and the symmetric form it is 0 nowhere: every weight of a kernel has an effect. With mean square
    1 it leaves the variance of a kernel of independent weights as it is.
    """
    places = torch.arange(1, size + 1, dtype=torch.float64)
    window = torch.sin(torch.pi * places / (size + 1)) ** (2 * power)
    return (window / window.square().mean().sqrt()).to(torch.get_default_dtype())


def norms(weight: Tensor) -> Tensor:
    """Euclidean norm of each filter of (O, ...), (O, 1, ...)."""
    flat: Tensor = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return flat.view(-1, *[1] * (weight.ndim - 1))


def kernel_of(weight: Tensor, window: Tensor | None, gain: Tensor | None, *, unit: bool) -> Tensor:
    """Kernel of the filters `weight` (O, ...): under the window, then with norm 1 (`unit`) or `gain` (O,).

    Salimans & Kingma (NeurIPS 2016) for the norms.
    """
    kernel = weight if window is None else weight * window
    if gain is not None:
        return kernel * (gain.view(-1, *[1] * (weight.ndim - 1)) / norms(kernel))
    return kernel / norms(kernel) if unit else kernel


class BoundedLinear(nn.Linear):
    """Linear layer whose weights are divided by their largest singular value where that is more than 1.

    After Miyato et al. (ICLR 2018); the value itself, and not an estimate that each call improves: a call changes
    nothing, so that neither the cut of a batch nor evaluation shows. Weights of 0 stay 0.
    """

    def bounded(self) -> Tensor:
        """Weights that are applied, (out, in)."""
        largest: Tensor = torch.linalg.matrix_norm(self.weight, ord=2)
        return self.weight / largest.clamp(min=1.0)

    def forward(self, values: Tensor) -> Tensor:
        """Apply to (..., in)."""
        return nn.functional.linear(values, self.bounded(), self.bias)


def start_recurrent(layers: nn.RNNBase, remember: slice) -> None:
    """Input weights with Xavier's variance, state weights orthogonal, biases 0 but 1 at the gate that remembers."""
    for name, parameter in layers.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            for part in torch.split(parameter.data, parameter.shape[1]):
                nn.init.orthogonal_(part)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):
                nn.init.ones_(parameter.data[remember])
