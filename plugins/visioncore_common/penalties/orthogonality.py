"""Filters that differ."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import RegularizerOptions

__all__ = ["Orthogonality"]


class Orthogonality:
    """Sum of ``|| W W' - I ||²`` over the weights, where the rows of W are the filters, each over its norm.

    A weight (out, in, …) has `out` rows of all its other values. After Xie, Xiong & Pu (2017), with rows of norm 1 so
    that only directions count.

    Raises
    ------
    ConfigError
        For a parameter with fewer than two axes.
    """

    def __init__(self, options: RegularizerOptions, facts: RegularizerFacts) -> None:
        del options  # the engine holds the strength
        flat = [name for name, parameter in facts.parameters.items() if parameter.ndim < 2]
        if flat:
            raise ConfigError(
                Problem(
                    what="parameters with one axis have no rows to compare",
                    key="regularizers.match",
                    given=", ".join(flat),
                    todo="match weights only, e.g. 'core.*.weight'",
                )
            )

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Sum over the parameters."""
        return (
            torch.stack([_deviation(value.flatten(1)) for value in parameters.values()]).sum() if parameters else None
        )

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Change nothing."""


def _deviation(rows: Tensor) -> Tensor:
    rows = functional.normalize(rows, dim=1)
    return (rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype, device=rows.device)).square().sum()
