"""The regularizer `orthogonal`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from example_lab.options import OrthogonalOptions
from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["Orthogonal"]


class Orthogonal:
    """Soft orthogonality: sum over the matched weights of ``|| W W' - I ||²``, filters being the rows of W.

    A weight (out, in, …) is taken as the matrix (out, in · …); with `normalize`, rows are first brought to unit norm,
    so that only their directions count. After Xie, Xiong & Pu (2017), "All you need is beyond a good init".

    Parameters
    ----------
    options
        What the run file says.
    facts
        The parameters that `match` matched.

    Raises
    ------
    ConfigError
        Where a matched parameter has fewer than two dimensions.
    """

    def __init__(self, options: OrthogonalOptions, facts: RegularizerFacts) -> None:
        flat = [name for name, parameter in facts.parameters.items() if parameter.ndim < 2]
        if flat:
            raise ConfigError(
                Problem(
                    what="parameters with fewer than two dimensions have no filters to compare",
                    key="match",
                    given=", ".join(flat),
                    todo="match weights only, e.g. 'core.*.weight'",
                )
            )
        self._normalize = options.normalize

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Sum of squared deviations of the Gram matrices from the identity, before `strength`."""
        return torch.stack([self._deviation(weight.flatten(1)) for weight in parameters.values()]).sum()

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Do nothing: the penalty is smooth."""

    def _deviation(self, rows: Tensor) -> Tensor:
        if self._normalize:
            rows = torch.nn.functional.normalize(rows, dim=1)
        gram = rows @ rows.T
        return (gram - torch.eye(len(rows), dtype=gram.dtype, device=gram.device)).square().sum()
