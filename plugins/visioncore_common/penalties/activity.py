"""Predictions that stay small."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_common.options.regularizer import ActivityOptions
from visioncore_engine.contracts import RegularizerFacts

__all__ = ["Activity"]


class Activity:
    """Sum of ``|r|`` or ``r²`` over the columns of each prediction, and over predictions."""

    takes = "outputs"

    def __init__(self, options: ActivityOptions, facts: RegularizerFacts) -> None:
        del facts  # outputs are handed over in each step
        self._squared = options.norm == "l2"

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Sum over outputs."""
        values = [value.square().sum() if self._squared else value.abs().sum() for value in parameters.values()]
        return torch.stack(values).sum() if values else None

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Change nothing."""
