"""What the parts of a trained encoder look like. N units, C channels, K frames, H, W pixels of the features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from visioncore_neural.stages.learnable_temporal import LearnableTemporal

__all__ = ["TemporalKernels", "spatial_masks", "temporal_kernels"]


@dataclass(frozen=True)
class TemporalKernels:
    """Filters of one temporal stage.

    Attributes
    ----------
    name
        The stage's name in the model.
    weights
        float64 (filters, C, K), oldest frame first.
    """

    name: str
    weights: np.ndarray


def spatial_masks(model: nn.Module, group: str) -> np.ndarray | None:
    """Where each unit of a group reads the features, float64 (N, H, W).

    None where the model has no readout per group, or the readout no mask.
    """
    readout = getattr(model, "readout", None)
    mask = getattr(readout(group), "mask", None) if callable(readout) else None
    if not callable(mask):
        return None
    with torch.inference_mode():
        return np.asarray(mask().double().cpu().numpy())


def temporal_kernels(model: nn.Module) -> list[TemporalKernels]:
    """Collect the filters of every `learnable_temporal` stage, first to last."""
    return [
        TemporalKernels(name, module.kernel().detach().double().cpu().numpy()[..., 0, 0])
        for name, module in model.named_modules()
        if isinstance(module, LearnableTemporal)
    ]
