"""Naming what is not finite: terms of the loss, penalties, gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from visioncore_engine.reduction import rank_in_words

__all__ = ["is_finite", "wrong_gradients", "wrong_terms"]


def is_finite(value: Tensor | None) -> bool:
    """Whether every value is a number; nothing is finite too."""
    return value is None or bool(value.isfinite().all())


def wrong_terms(sums: Mapping[tuple[str, str], Tensor]) -> list[str]:
    """Name the terms of a loss that are not finite, with their group and this process.

    Parameters
    ----------
    sums
        Masked sums by (group, term); where all of them are finite, it is what divides them.
    """
    named = [f"term {term!r} of {group!r}" for (group, term), value in sums.items() if not is_finite(value)]
    return [f"the loss is not finite in {name}{rank_in_words()}" for name in named or ["its weights"]]


def wrong_gradients(
    parameters: Mapping[str, nn.Parameter], penalties: Mapping[str, Tensor], groups: Iterable[str]
) -> list[str]:
    """Name the penalties and gradients that are not finite.

    Parameters
    ----------
    parameters
        Trainable parameters by name.
    penalties
        Value of each penalty of the step, by id.
    groups
        Groups of the step.
    """
    wrong = [f"the penalty of {name!r} is not finite" for name, value in penalties.items() if not is_finite(value)]
    names = (name for name, parameter in parameters.items() if not is_finite(parameter.grad))
    wrong += [f"the gradient of {name!r} is not finite though the loss is" for name in names]
    where = ", ".join(map(repr, groups))
    return [f"{reason} (in {where})" for reason in wrong or ["the norm of the gradient is not finite"]]
