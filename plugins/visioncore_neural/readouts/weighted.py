"""What readouts share: one matrix of weights per recording. B windows, C channels, T frames, H, W pixels, N units."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Weighted", "products", "stacked"]


class Weighted(nn.Module):
    """A readout that is one product with a matrix of weights, and a bias (N,)."""

    bias: nn.Parameter

    def weights(self) -> Tensor:
        """Weight of every pixel and channel for each unit, (N, H W C)."""
        raise NotImplementedError

    @staticmethod
    def rows(features: Tensor) -> Tensor:
        """Bring features (B, C, T, H, W) to one row per frame, (B, T, H W C)."""
        return features.permute(0, 2, 3, 4, 1).flatten(2)  # a view of channels-last features

    def forward(self, features: Tensor) -> Tensor:
        """Drive of every unit in every frame: (B, C, T, H, W) -> (B, T, N)."""
        return _product(self.rows(features), self.weights(), self.bias)


def products(
    readouts: Sequence[Weighted], weights: Sequence[Tensor], features: Tensor, sizes: Sequence[int]
) -> list[Tensor]:
    """Drive of each readout's own windows, the next `sizes[i]` of `features`, each (B_i, T, N_i)."""
    rows, biases = readouts[0].rows(features), [readout.bias for readout in readouts]
    if features.device.type != "cpu" and _alike(sizes, weights):
        return stacked(rows, weights, biases)
    # On a CPU a product at a time: the weights of one recording stay in the cache, those of all would not.
    shares = torch.split(rows, list(sizes))
    return [_product(*each) for each in zip(shares, weights, biases, strict=True)]


def stacked(rows: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> list[Tensor]:
    """All products as one, for as many windows and units in each recording: on a GPU, one launch for all.

    Parameters
    ----------
    rows
        (G B, T, K): those of G recordings, one after another.
    weights, biases
        G of (N, K), and of (N,).

    Returns
    -------
    list of Tensor
        G of (B, T, N).
    """
    num, frames = len(weights), rows.shape[1]
    drives = torch.bmm(rows.reshape(num, -1, rows.shape[2]), torch.stack(list(weights)).transpose(1, 2))
    drives = drives + torch.stack(list(biases)).unsqueeze(1)
    return list(drives.view(num, -1, frames, drives.shape[2]).unbind(0))


def _product(rows: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    # The bias outside: under autocast the product is rounded to bfloat16, and the drive is mostly bias.
    return nn.functional.linear(rows, weights) + bias


def _alike(sizes: Sequence[int], weights: Sequence[Tensor]) -> bool:
    return all(a == b for a, b in pairwise(sizes)) and all(a.shape == b.shape for a, b in pairwise(weights))
