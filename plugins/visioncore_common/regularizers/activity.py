"""Predictions that stay small."""

from __future__ import annotations

from torch import Tensor

from visioncore_common.options.regularizer import ActivityOptions
from visioncore_common.regularizers.penalty import Penalty
from visioncore_engine.contracts import RegularizerFacts

__all__ = ["Activity"]


class Activity(Penalty):
    """Sum of ``|r|`` or ``r²`` over the columns of each prediction, and over predictions."""

    takes = "outputs"

    def __init__(self, options: ActivityOptions, facts: RegularizerFacts) -> None:
        super().__init__(options, facts)
        self._squared = options.norm == "l2"

    def of(self, parameter: Tensor) -> Tensor:
        """Size of one output."""
        return parameter.square().sum() if self._squared else parameter.abs().sum()
