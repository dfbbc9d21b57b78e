"""Filters that differ."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from visioncore_common.regularizers.penalty import Penalty, require_axes
from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.options import RegularizerOptions

__all__ = ["Orthogonality"]


class Orthogonality(Penalty):
    """Sum of ``|| W W' - I ||²`` over the weights, where the rows of W are the filters, each over its norm.

    A weight (out, in, …) has `out` rows of all its other values. After Xie, Xiong & Pu (2017), with rows of norm 1 so
    that only directions count.

    Raises
    ------
    ConfigError
        For a parameter with fewer than two axes.
    """

    def __init__(self, options: RegularizerOptions, facts: RegularizerFacts) -> None:
        super().__init__(options, facts)
        require_axes(facts, 2, "a weight whose rows are filters", "", "weights only, e.g. 'core.*.weight'")

    def of(self, parameter: Tensor) -> Tensor:
        """Deviation of the rows of one weight."""
        rows = functional.normalize(parameter.flatten(1), dim=1)
        return (rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)).square().sum()
