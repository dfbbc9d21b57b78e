"""Readout through several Gaussian windows. B windows, C channels, T frames, H, W pixels, N units, K Gaussians."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import ReadoutFacts
from visioncore_neural.options.readout import GaussianMixtureOptions
from visioncore_neural.readouts.weighted import Weighted, products
from visioncore_neural.readouts.windows import centres, gaussian_windows

__all__ = ["GaussianMixture"]


class GaussianMixture(Weighted):
    """Each unit sees the features through K Gaussian windows: for units that look at several places.

    With windows w_k as of `Gaussian`, a unit weighs channel c at a pixel with ``sum_k p_k w_k(pixel) f_c``, the shares
    p a softmax of its `logits`; without `shared_features` each window has its own weights, ``sum_k w_k(pixel) f_kc``.

    Parameters
    ----------
    options
        What the user wrote.
    facts
        Shape of the features, and number of units.

    Attributes
    ----------
    features
        Channel weights, (N, C) or, not shared, (N, K, C); normal with standard deviation 1 / C, or 1 / (C sqrt(K)).
    logits
        (N, K), 0 at the start; None where features are not shared.
    mean, log_std
        (N, K, 2), as (x, y): the width is ``min_std + exp(log_std)``.
    theta
        (N, K) radians, None without `rotate`.
    bias
        (N,).
    """

    def __init__(self, options: GaussianMixtureOptions, facts: ReadoutFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        places = (facts.target.size, options.num_gaussians)
        self._min_std = options.min_std
        shape = (places[0], channels) if options.shared_features else (*places, channels)
        scale = channels if options.shared_features else channels * options.num_gaussians**0.5
        self.features = nn.Parameter(torch.randn(shape) / scale)
        self.logits = nn.Parameter(torch.zeros(places)) if options.shared_features else None
        self.mean = nn.Parameter((torch.randn(*places, 2) * options.init_mean_scale).clamp_(-1, 1))
        self.log_std = nn.Parameter(torch.full((*places, 2), math.log(options.init_std - options.min_std)))
        self.theta = nn.Parameter(torch.zeros(places)) if options.rotate else None
        self.bias = nn.Parameter(torch.zeros(places[0]))
        self.register_buffer("x", centres(width), persistent=False)
        self.register_buffer("y", centres(height), persistent=False)

    x: Tensor
    y: Tensor

    @property
    def std(self) -> Tensor:
        """Widths of the windows (N, K, 2), as (x, y)."""
        return self._min_std + self.log_std.exp()

    def windows(self) -> Tensor:
        """Windows in space, (N, K, H, W); each sums to 1."""
        theta = None if self.theta is None else self.theta.flatten()
        windows = gaussian_windows(self.x, self.y, self.mean.flatten(0, 1), self.std.flatten(0, 1), theta)
        return windows.view(*self.mean.shape[:2], *windows.shape[1:])

    def mask(self) -> Tensor:
        """Where each unit looks, (N, H, W), sum 1: windows by their share, or by the norm of their features."""
        if self.logits is not None:
            share = self.logits.softmax(dim=1)
        else:
            share = nn.functional.normalize(self.features.norm(dim=2), p=1.0, dim=1)
        return torch.einsum("nk,nkhw->nhw", share, self.windows())

    def weights(self) -> Tensor:
        """Windows times channel weights, (N, H W C)."""
        if self.logits is not None:
            return (self.mask().unsqueeze(-1) * self.features[:, None, None, :]).flatten(1)
        return torch.einsum("nkhw,nkc->nhwc", self.windows(), self.features).flatten(1)

    @classmethod
    def together(cls, readouts: Sequence[GaussianMixture], features: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """Drives of several readouts."""
        return products(readouts, [own.weights() for own in readouts], features, sizes)
