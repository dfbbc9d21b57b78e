"""What our penalties share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import RegularizerOptions

__all__ = ["Penalty", "require", "require_axes"]


class Penalty:
    """A regularizer that is a sum over parameters (or outputs), and has no proximal step.

    Those whose gradient has a closed form add it (`add_gradients`); of the others autograd finds it.
    """

    def __init__(self, options: RegularizerOptions, facts: RegularizerFacts) -> None:
        del options, facts  # the engine holds the strength and hands over the parameters

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor | None:
        """Differentiable scalar: the sum over the parameters."""
        return torch.stack([self.of(parameter) for parameter in parameters.values()]).sum() if parameters else None

    def of(self, parameter: Tensor) -> Tensor:
        """Penalty of one parameter, a scalar."""
        raise NotImplementedError

    def proximal(self, parameters: Mapping[str, Tensor], strength: float, rates: Mapping[str, float]) -> None:
        """Change nothing."""


def require(facts: RegularizerFacts, fits: Callable[[Tensor], bool], what: str, given: str, other: str) -> None:
    """Refuse parameters of a shape that a penalty has no meaning for.

    Raises
    ------
    ConfigError
        Naming those that do not fit.
    """
    unfit = [name for name, parameter in facts.parameters.items() if not fits(parameter)]
    if unfit:
        raise ConfigError(
            Problem(
                what=f"{what}; too few in {', '.join(unfit)}",
                key="regularizers.match",
                given=given,
                todo=f"leave these out of `match`, or choose {other}",
            )
        )


def require_axes(facts: RegularizerFacts, num_axes: int, what: str, given: str, other: str) -> None:
    """Refuse parameters with fewer axes than a penalty has a meaning for.

    Raises
    ------
    ConfigError
        Naming those with too few.
    """

    def fits(parameter: Tensor) -> bool:
        return parameter.ndim >= num_axes

    require(facts, fits, f"{what} needs {num_axes} axes or more", given, other)
