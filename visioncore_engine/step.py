"""One optimizer step: from a share of a global batch to weights that have moved, or have not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_

from visioncore_engine.build import Parts
from visioncore_engine.compilation import Replays
from visioncore_engine.contracts import Clock
from visioncore_engine.data.draws import generator
from visioncore_engine.data.loader import PlanStep
from visioncore_engine.errors import RunError
from visioncore_engine.non_finite import wrong_gradients, wrong_terms
from visioncore_engine.objective import predict
from visioncore_engine.options import OptimizerOptions
from visioncore_engine.pace import Pace
from visioncore_engine.reduction import Agreement, Reduction, union_over_processes
from visioncore_engine.skips import Skips

__all__ = ["OptimizerStep"]

_SEEDS = 64  # steps whose seeds are drawn together


class OptimizerStep:
    """Seed, forward and backward, agreement, penalties, clipping, update, proximal steps: in this order, once.

    Every process calls `gradients` and then `update` for each plan step. All of them hold the same sums after the
    first, so that all of them move the same weights, or none, in the second.

    Parameters
    ----------
    parts
        Everything that was built from the run file.

    Attributes
    ----------
    skips
        Takes steps back, and counts them.
    loss
        Loss of the last step over all processes; None before the first.
    norm
        Norm of the last step's gradients; None where its loss was not finite.
    penalties
        Weighed penalties of the last step by id, where they were asked for.
    auxiliary
        This process's part of each extra term in the last step.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._trainable = {name: parameter for group in parts.groups for name, parameter in group.parameters.items()}
        self._parameters = list(self._trainable.values())
        self._rate_of = [group.lr for group in parts.groups]
        options = parts.run.optimizer.options
        assert isinstance(options, OptimizerOptions)
        self._clip = options.clip
        self._replays = Replays(graphs=parts.run.trainer.compile == "graphs")
        self._extra_terms = dict.fromkeys(parts.objective.extra_terms, 0.0)
        self._device, self._rank = torch.device("cpu"), 0
        self._reduction: Reduction
        self._full_precision: AbstractContextManager[None] = nullcontext()
        self._seeds: dict[tuple[int, int], int] = {}  # by epoch and step
        self._wrong: list[str] = []  # what was not finite in this process's share of the last step
        self.skips = Skips(parts.model, parts.optimizer, parts.run.policies)
        self.loss: float | None = None
        self.norm: Tensor | None = None
        self.penalties: Mapping[str, Tensor] = {}
        self.auxiliary: dict[str, float] = {}

    def settle(self, device: torch.device, rank: int) -> None:
        """Look at what every group uses, once the parameters are where they stay."""
        self._device, self._rank = device, rank
        if self._parts.run.trainer.precision.endswith("mixed"):
            self._full_precision = torch.autocast(device.type, enabled=False)
        self._reduction = Reduction(self._parts.model, self._parts.index, self._parts.objective)

    def begin_pass(self) -> None:
        """Make ready for a forward pass whose outputs outlive none before it."""
        self._replays.begin()

    # -----------------------------------------------------------------------------------------------------------
    # Gradients

    def gradients(self, step: PlanStep, clock: Clock, pace: Pace, *, stop: bool, end: bool) -> Agreement:
        """Forward and backward of every micro-batch, summed over all processes.

        Parameters
        ----------
        step
            This process's share of the global batch.
        clock, pace
            Where training stands, and its planned end.
        stop, end
            Flags of this process.

        Raises
        ------
        RunError
            Where nothing in the global batch counts, or the processes do not do the same work.
        """
        self._seed(step)
        self.skips.begin()
        for parameter in self._parameters:  # `zero_grad` opens a profiler's range first
            parameter.grad = None
        alike = {"the step": step.position.global_step, "the last step": pace.end, **self.skips.counts()}
        weights = self._reduction.weights(step.weights, alike)
        if not any(weights.values()):
            raise RunError(f"run failed: step {clock.step}: no valid value in the whole batch; check the sampler")
        loss, self._wrong = self._backward(step, clock, weights)
        return self._reduction.gradients(step.groups, loss, non_finite=bool(self._wrong), stop=stop, end=end)

    def _seed(self, step: PlanStep) -> None:
        # Stock layers (nn.Dropout) draw from the global generator: keyed by the step, a resumed run draws the same.
        place = step.position.epoch, step.position.step
        if place not in self._seeds:
            self._seeds = self._draw_seeds(*place)
        seed = self._seeds[place]
        # `torch.manual_seed` formats a stack trace for devices that are not there: longer than a small step.
        torch.default_generator.manual_seed(seed)
        if self._device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _draw_seeds(self, epoch: int, first: int) -> dict[tuple[int, int], int]:
        """Seeds of the next steps of an epoch: one by one, between other work, each takes four times as long."""
        steps = range(first, min(first + _SEEDS, self._parts.steps_per_epoch))
        keys = {(epoch, step): generator(self._parts.run.seed, epoch, step, self._rank) for step in steps}
        return {place: int(key.integers(2**63 - 1)) for place, key in keys.items()}

    def _backward(self, step: PlanStep, clock: Clock, weights: Mapping[str, float]) -> tuple[float | None, list[str]]:
        """Loss of this process's share, and the terms in which it is not finite."""
        objective = self._parts.objective
        total: float | None = None
        wrong: list[str] = []
        objective.at(clock)
        self.auxiliary = dict(self._extra_terms)
        for number, micro in enumerate(step.micros, start=1):
            if not micro.groups:
                continue
            self.begin_pass()
            batch = self._parts.transformed(micro, step.position.epoch, training=True)
            sums = objective.sums(predict(self._parts.model, batch), batch)
            loss = objective.total(sums, weights)
            if loss is None:
                continue
            value = loss.item()
            if not math.isfinite(value):
                wrong += wrong_terms(sums)
                continue
            if self.auxiliary:
                for term, part in objective.auxiliary_part(sums, weights).items():
                    self.auxiliary[term] += part
            if loss.requires_grad:  # not where all that these groups use is frozen
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                if number < len(step.micros):
                    self._replays.keep(self._parameters)
            total = value + (total or 0.0)
        return total, wrong

    # -----------------------------------------------------------------------------------------------------------
    # Update

    def update(
        self,
        step: PlanStep,
        clock: Clock,
        pace: Pace,
        agreed: Agreement,
        *,
        ask: Callable[[], None],
        say: bool,
        valued: bool,
    ) -> bool:
        """Move the weights, unless something is not finite or a callback objects.

        Parameters
        ----------
        step, clock, pace
            As for `gradients`.
        agreed
            What it returned.
        ask
            Gives callbacks the chance to object.
        say
            Whether this process tells the user of a step that is left out.
        valued
            Whether the values of the penalties are wanted.

        Returns
        -------
        Whether the weights have moved.
        """
        self.norm, self.penalties = None, {}
        if agreed.non_finite:
            self._refuse(clock, union_over_processes(self._wrong), say=say)
            return False
        self.loss = agreed.loss
        regularization = self._parts.regularization
        with self._full_precision:
            if regularization.regularizers:
                regularization.add_gradients(clock)
                if valued:
                    self.penalties = regularization.values(clock)
            self.norm = self._total_norm()
            # The sums that all processes hold are the same, so that all of them find the same here.
            if not math.isfinite(self.norm.item()):
                names = [self._parts.dataset.groups[group].name for group in step.groups]
                reasons = wrong_gradients(self._trainable, regularization.values(clock), names)
                self._refuse(clock, reasons, say=say)
                return False
            ask()
            if self.skips.asked:
                self.skips.take_back()
                return False
            self._move(clock, pace)
        return True

    def _refuse(self, clock: Clock, reasons: list[str], *, say: bool) -> None:
        self.skips.refuse(clock.step, reasons, say=say)

    def _total_norm(self) -> Tensor:
        """Norm of all gradients: that of `torch.nn.utils.get_total_norm`, where all of them are on one device."""
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        if not gradients:
            return torch.zeros(())
        norms = torch._foreach_norm(gradients)  # noqa: SLF001 - torch's kernel for many tensors has no other name
        norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
        return norm

    def _move(self, clock: Clock, pace: Pace) -> None:
        """Clip, step, and what belongs to a step."""
        if self._clip is not None:
            assert self.norm is not None
            clip_grads_with_norm_(self._parameters, self._clip, self.norm, foreach=True)
        factor = self._parts.scheduler.factor(round(pace.at(clock.step))) if self._parts.scheduler else 1.0
        rates = [rate * factor for rate in self._rate_of]
        for rate, group in zip(rates, self._parts.optimizer.param_groups, strict=True):
            group["lr"] = rate
        self._parts.optimizer.step()
        if self._parts.regularization.regularizers:
            own = zip(rates, self._parts.groups, strict=True)
            self._parts.regularization.proximal_steps(
                clock, {name: rate for rate, group in own for name in group.parameters}
            )
