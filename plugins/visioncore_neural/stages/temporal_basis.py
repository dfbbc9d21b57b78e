"""A fixed temporal basis. B windows, C channels, J functions, T frames, H, W pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import StageFacts
from visioncore_neural.options.frontend import TemporalBasisOptions
from visioncore_neural.stages.bases import temporal_basis

__all__ = ["TemporalBasis"]


class TemporalBasis(nn.Module):
    """Every channel of every pixel filtered by every function of a basis; nothing is learned.

    Channel ``c J + j`` of the output is channel c of the input under function j. Valid in time: an output frame sees
    ``kernel_size - 1`` earlier frames, and no later one.

    Attributes
    ----------
    basis
        (J, kernel_size), oldest frame first.
    out_shape, history, burn_in
        As every stage.
    """

    burn_in = 0

    def __init__(self, options: TemporalBasisOptions, facts: StageFacts) -> None:
        super().__init__()
        channels, height, width = facts.in_shape
        basis = torch.from_numpy(temporal_basis(options, facts.dt).copy()).to(torch.get_default_dtype())
        self.register_buffer("basis", basis, persistent=False)
        self.out_shape = (channels * len(basis), height, width)
        self.history = options.kernel_size - 1

    basis: Tensor

    def kernel(self) -> Tensor:
        """Filters that are applied to each channel, (J, 1, kernel_size, 1, 1), oldest frame first."""
        return self.basis[:, None, :, None, None]

    def forward(self, features: Tensor) -> Tensor:
        """Run the stage: (B, C, T, H, W) -> (B, C J, T - history, H, W)."""
        alone = features.reshape(-1, 1, *features.shape[2:])  # (B C, 1, T, H, W)
        filtered = nn.functional.conv3d(alone, self.kernel())
        return filtered.reshape(len(features), -1, *filtered.shape[2:])
