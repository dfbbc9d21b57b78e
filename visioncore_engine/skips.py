"""Steps that are left out: something is not finite (`policies.non_finite`), or a callback asks for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from visioncore_engine.buffers import BufferKeeper
from visioncore_engine.checkpoint import trained_weights
from visioncore_engine.config.run import PolicyOptions
from visioncore_engine.errors import RunError
from visioncore_engine.non_finite import is_finite

__all__ = ["Skips"]


class Skips:
    """Takes steps back before they change a weight or a state of the optimizer, counts them, and ends the run.

    A step that is left out keeps its place in the plan: counters, schedules and `max_steps` go on as if it had been
    taken, so that batch index, step and place in the plan stay one number. All processes call the same methods in the
    same step.

    Parameters
    ----------
    model, optimizer
        What a step changes.
    options
        The run's `policies` block.

    Attributes
    ----------
    save
        Saves the state before this step; set by what writes checkpoints.
    newest
        The last checkpoint, once it is on disk for all processes, None where there is none; set likewise.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, options: PolicyOptions) -> None:
        self._model, self._optimizer, self._options = model, optimizer, options
        self._buffers = BufferKeeper(model)
        self._num_skipped = self._num_non_finite = self._went_back_to = 0
        self.asked = False
        self.save: Callable[[], None] = lambda: None
        self.newest: Callable[[], Path | None] = lambda: None

    @property
    def num_skipped(self) -> int:
        """Steps left out so far, over the whole run and its resumes."""
        return self._num_skipped

    def counts(self) -> Mapping[str, int]:
        """What all processes must have alike, in words."""
        return {
            "the steps that were left out": self._num_skipped,
            "the step that they went back to": self._went_back_to,
        }

    def begin(self) -> None:
        """Remember what this step may change before it is known whether it counts."""
        self._buffers.keep()
        self.asked = False

    def take_back(self) -> None:
        """Leave this step out."""
        self._buffers.restore()
        self._num_skipped += 1

    def roll_back(self, payload: Mapping[str, Any]) -> None:
        """Leave this step out, and go on from the weights, buffers and optimizer state of a checkpoint."""
        self._model.load_state_dict(trained_weights(payload))
        self._optimizer.load_state_dict(payload["optimizer_states"][0])
        self._buffers.keep()
        self._went_back_to = int(payload["global_step"])
        self.asked = True

    def refuse(self, step: int, reasons: Sequence[str], *, say: bool) -> None:
        """Leave out a step that is not finite, where `policies.non_finite` and `policies.max_skips` let it.

        Parameters
        ----------
        step
            The optimizer step, counted from 0.
        reasons
            What is not finite.
        say
            Whether this process tells the user.

        Raises
        ------
        RunError
            Where the run must end; the state before this step was saved if it is finite.
        """
        told = ", ".join(reasons[:4]) + (f" and {len(reasons) - 4} more" if len(reasons) > 4 else "")
        limit = self._options.max_skips if self._options.non_finite == "skip" else 0
        if self._num_non_finite >= limit:
            self._buffers.restore()
            raise self._error(step, told)
        self.take_back()
        self._num_non_finite += 1
        if say:
            count = f"{self._num_non_finite} of at most {limit}"
            print(f"warning: step {step} is left out: {told} ({count})", file=sys.stderr)  # noqa: T201 - must be seen

    def _error(self, step: int, told: str) -> RunError:
        state = "the last checkpoint is finite"
        if all(is_finite(value) for value in (*self._model.parameters(), *self._model.buffers())):
            self.save()
            state = "the state before this step is saved"
        before = f"; {self._num_non_finite} steps were left out already (policies.max_skips)"
        error = RunError(
            f"run failed: step {step}: {told}{before if self._num_non_finite else ''}; {state}. Lower `optimizer.lr`, "
            "set `optimizer.clip`, look at these data, or leave such steps out with `policies.non_finite: skip`"
        )
        error.shows_traceback = self._options.non_finite == "raise"
        return error

    def state(self) -> dict[str, int]:
        """Counts, for a checkpoint."""
        return {"all": self._num_skipped, "non_finite": self._num_non_finite}

    def restore(self, state: Mapping[str, int]) -> None:
        """Take back a state."""
        self._num_skipped, self._num_non_finite = state["all"], state["non_finite"]
