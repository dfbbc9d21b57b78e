"""Where the curriculum of the sampler stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl

from visioncore_common.options.callback import CurriculumLogOptions
from visioncore_engine.contracts import CallbackFacts, Position, Training
from visioncore_engine.errors import ConfigError, Problem

__all__ = ["CurriculumLog", "HasCurriculum"]


@runtime_checkable
class HasCurriculum(Protocol):
    """A sampler that changes what it draws as training goes on, and says how."""

    def curriculum(self, position: Position) -> Mapping[str, float]:
        """Values at a position of the plan, by name; a function of the plan alone, so that processes agree."""
        ...


class CurriculumLog(pl.Callback):
    """Logs what the sampler says of its curriculum, as ``train/curriculum/<name>``.

    Raises
    ------
    ConfigError
        Where the run's sampler has none.
    """

    def __init__(self, options: CurriculumLogOptions, facts: CallbackFacts) -> None:
        sampler: object = facts.sampler
        if not isinstance(sampler, HasCurriculum):
            raise ConfigError(
                Problem(
                    what="the sampler has no curriculum that could be logged",
                    key="callbacks.curriculum_log",
                    todo="leave it out, or choose a sampler that has one, such as contrast_weighted",
                )
            )
        self._sampler, self._every = sampler, options.every

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Ask for the step that begins."""
        del batch_idx
        if trainer.global_step % self._every:
            return
        position = batch.position
        assert isinstance(position, Position)
        assert isinstance(pl_module, Training)
        for name, value in self._sampler.curriculum(position).items():
            pl_module.track(f"curriculum/{name}", value)
