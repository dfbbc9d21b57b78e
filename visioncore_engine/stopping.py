"""Ending early: any process may ask, all of them end at the same step."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from visioncore_engine.reduction import sum_over_processes

__all__ = ["AgreeingTrainer"]


class AgreeingTrainer(pl.Trainer):
    """A Trainer whose `should_stop` is what all processes agreed on.

    A callback that sets `should_stop` on one process only would end that process's loop and leave the others waiting
    in their next reduction. Here setting it is asking: the question travels with the gradients of the next step, or is
    settled at the end of a validation or an epoch, whichever comes first, for any number of processes alike.
    """

    _asked = False
    _agreed = False

    @property
    def should_stop(self) -> bool:
        """Whether all processes end."""
        return self._agreed

    @should_stop.setter
    def should_stop(self, value: bool) -> None:
        self._asked = value

    @property
    def asks_to_stop(self) -> bool:
        """Whether something in this process asked to end."""
        return self._asked

    def settle(self, asked_anywhere: bool | None = None) -> None:
        """Agree; a collective of all processes where it is not known whether any of them asked."""
        if asked_anywhere is None:
            asked_anywhere = bool(sum_over_processes(torch.tensor([float(self._asked)])).item())
        self._agreed = self._agreed or asked_anywhere
