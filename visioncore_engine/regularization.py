"""Regularizers on named parameters: once per optimizer step, whatever the batch was cut into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Clock, Regularizer, RegularizerFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.objective import OutputPenalty
from visioncore_engine.options import Choice, RegularizerOptions
from visioncore_engine.parameters import match_parameters
from visioncore_engine.schedule import Schedule, value_at

__all__ = ["ActiveRegularizer", "Regularization", "output_penalties"]


@dataclass(frozen=True)
class ActiveRegularizer:
    """A regularizer with its parameters and the schedule of its strength."""

    id: str
    regularizer: Regularizer
    parameters: Mapping[str, nn.Parameter]
    strength: float | Schedule

    def touched(self) -> dict[str, nn.Parameter]:
        """Parameters that this step moves: those with a gradient. The others keep still (law L8)."""
        return {name: parameter for name, parameter in self.parameters.items() if parameter.grad is not None}

    def add_gradients(self, touched: Mapping[str, nn.Parameter], strength: float) -> Tensor | None:
        """Add the gradient of the penalty to ``.grad``: in closed form where the regularizer has one.

        Returns the penalty where it was needed for that.
        """
        gradients = {name: own for name, parameter in touched.items() if (own := parameter.grad) is not None}
        closed: Callable[..., None] | None = getattr(self.regularizer, "add_gradients", None)
        if closed is not None:
            closed(touched, gradients, strength)
            return None
        with torch.enable_grad():
            penalty = self.regularizer.penalty(touched)
        if penalty is None:
            return None
        added = torch.autograd.grad(penalty, list(touched.values()), allow_unused=True)
        for own, gradient in zip(gradients.values(), added, strict=True):
            if gradient is not None:
                own.add_(gradient, alpha=strength)
        return penalty.detach()


class Regularization:
    """All regularizers of a run."""

    def __init__(self, regularizers: Sequence[ActiveRegularizer]) -> None:
        self.regularizers = tuple(regularizers)
        self._known: dict[str, Tensor] = {}  # penalties of this step

    @classmethod
    def build(
        cls, choices: Sequence[Choice], model: nn.Module, optimizer: torch.optim.Optimizer | None = None
    ) -> Regularization:
        """Match every regularizer's patterns and build it.

        Raises
        ------
        ConfigError
            Where a pattern matches nothing, or only frozen parameters.
        """
        parameters = dict(model.named_parameters())
        built = []
        for choice in choices:
            options = choice.options
            assert isinstance(options, RegularizerOptions)
            if options.of == "outputs":
                continue  # a part of the loss: `output_penalties`
            key = f"regularizers.{choice.id}.match"
            try:
                matched = match_parameters(options.match, parameters, key)
            except ConfigError as error:
                raise error.at(choice.where) from error
            trainable = {name: parameter for name, parameter in matched.items() if parameter.requires_grad}
            if not trainable:
                raise ConfigError(
                    Problem(
                        what="only frozen parameters are matched", where=choice.where, key=key, given=str(options.match)
                    )
                )
            regularizer = _build(choice, RegularizerFacts(trainable, optimizer), "parameters")
            built.append(ActiveRegularizer(choice.id, regularizer, trainable, options.strength))
        return cls(built)

    @torch.no_grad()
    def add_gradients(self, clock: Clock) -> None:
        """Add the gradient of every penalty to ``.grad``."""
        self._known.clear()
        for active, strength, touched in self._acting(clock):
            penalty = active.add_gradients(touched, strength)
            if penalty is not None:
                self._known[active.id] = penalty

    @torch.no_grad()
    def values(self, clock: Clock) -> dict[str, Tensor]:
        """Weighed penalties of this step, by id, while its gradients are there."""
        values: dict[str, Tensor] = {}
        for active, strength, touched in self._acting(clock):
            penalty = self._known.get(active.id)
            if penalty is None:
                penalty = active.regularizer.penalty(touched)
            if penalty is not None:
                values[active.id] = penalty * strength
        return values

    def _acting(self, clock: Clock) -> Iterator[tuple[ActiveRegularizer, float, dict[str, nn.Parameter]]]:
        for active in self.regularizers:
            strength, touched = value_at(active.strength, clock), active.touched()
            if strength and touched:
                moment: Callable[[Clock], None] | None = getattr(active.regularizer, "at", None)
                if moment is not None:
                    moment(clock)
                yield active, strength, touched

    @torch.no_grad()
    def proximal_steps(self, clock: Clock, rates: Mapping[str, float]) -> None:
        """Run every proximal step, once, on the parameters that this step moved."""
        for active, strength, touched in self._acting(clock):
            active.regularizer.proximal(touched, strength, {name: rates[name] for name in touched})


def output_penalties(choices: Sequence[Choice]) -> list[OutputPenalty]:
    """Build the regularizers whose options say ``of: outputs``.

    Raises
    ------
    ConfigError
        Where one penalises parameters only.
    """
    found = []
    for choice in choices:
        options = choice.options
        assert isinstance(options, RegularizerOptions)
        if options.of == "outputs":
            regularizer = _build(choice, RegularizerFacts({}), "outputs")
            found.append(OutputPenalty(choice.id, regularizer, options.match, options.strength, choice.where))
    return found


def _build(choice: Choice, facts: RegularizerFacts, of: str) -> Regularizer:
    regularizer: Regularizer = choice.build(facts)
    takes = getattr(regularizer, "takes", "parameters")
    if takes != of:
        raise ConfigError(
            Problem(
                what=f"{choice.title} penalises {takes}",
                where=choice.where,
                key=f"regularizers.{choice.id}.of",
                given=repr(of),
                todo=f"write `of: {takes}`, with names of {takes} in `match`, or choose another regularizer",
            )
        )
    return regularizer
