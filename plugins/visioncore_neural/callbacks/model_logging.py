"""Pictures and evaluations of a model that learns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn

from visioncore_engine.contracts import CallbackFacts, Training
from visioncore_neural.analysis.parts import temporal_kernels
from visioncore_neural.callbacks.snapshots import Process, Snapshots, start_process
from visioncore_neural.options.callback import ModelLoggingOptions
from visioncore_neural.report.mosaic import Picture, mosaic

__all__ = ["ModelLogging"]

_log = logging.getLogger(__name__)


class ModelLogging(pl.Callback):
    """Draws temporal kernels and spatial masks into ``pictures/`` of the run folder after validations.

    The first process copies the values and goes on; a thread draws. What is drawn goes to the loggers that take
    pictures, as ``pictures/kernels`` and ``pictures/masks``. A picture that cannot be drawn or written is said and
    counted, and training goes on.

    Where `evaluate_every` is set, the checkpoint after a validation is evaluated by a process of its own (`Snapshots`),
    whose scores are logged at the step of the checkpoint.

    Parameters
    ----------
    options, facts
        What the run file says, and the run.
    start
        Starts a process; for tests.
    """

    def __init__(
        self,
        options: ModelLoggingOptions,
        facts: CallbackFacts,
        start: Callable[[Sequence[str], Path], Process] = start_process,
    ) -> None:
        self._options, self._folder = options, facts.run_dir / "pictures"
        self._num_validations = 0
        self._thread: ThreadPoolExecutor | None = None
        self._drawn: list[tuple[int, Path, Future[None]]] = []  # step, file
        self.num_failed = 0
        self.snapshots = None if options.evaluate_every is None else Snapshots(facts, options.wait_minutes, start)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy what is to be drawn, where a picture is due, and ask for an evaluation, where one is due."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self._num_validations += 1
        if not trainer.is_global_zero:
            return
        if self.snapshots is not None and self._num_validations % (self._options.evaluate_every or 1) == 0:
            self.snapshots.ask()
        if self._num_validations % self._options.every == 0:
            self._picture(trainer, pl_module)

    def _picture(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pictures = _snapshot(pl_module, self._options.num_units)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="model_logging")
        for name, rows in pictures.items():
            path = self._folder / f"{name}-{trainer.global_step:08d}.png"
            drawn = self._thread.submit(_draw, path, rows, signed=name == "kernels")
            self._drawn.append((trainer.global_step, path, drawn))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Hand over what was drawn and evaluated meanwhile."""
        del outputs, batch, batch_idx
        if self._drawn:
            self._collect(pl_module, wait=False)
        if self.snapshots is not None:
            self.snapshots.turn(partial(_log_row, trainer))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the evaluation that was under way when a run was stopped."""
        del pl_module
        if self.snapshots is not None and trainer.is_global_zero:
            self.snapshots.resume(trainer.global_step)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the checkpoint that is to be evaluated."""
        del pl_module, checkpoint
        if self.snapshots is not None:
            self.snapshots.save(trainer.global_step)

    def _collect(self, module: pl.LightningModule, *, wait: bool) -> None:
        """Hand over what is drawn, and say which pictures failed."""
        for one in [one for one in self._drawn if wait or one[2].done()]:
            self._drawn.remove(one)
            step, path, drawn = one
            error = drawn.exception()
            if error is None:
                assert isinstance(module, Training)
                module.log_pictures({f"pictures/{path.stem.rpartition('-')[0]}": path}, step)
                continue
            self.num_failed += 1
            _log.warning("a picture was not drawn (%d so far): %s: %s", self.num_failed, type(error).__name__, error)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the last pictures, and for the last evaluation a bounded time."""
        self._close(pl_module)
        if self.snapshots is not None:
            self.snapshots.close(partial(_log_row, trainer))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Wait for the last pictures of a run that fails, too; end the evaluation."""
        del trainer, exception
        if self.snapshots is not None:
            self.snapshots.kill()
        self._close(pl_module)

    def _close(self, module: pl.LightningModule) -> None:
        self._collect(module, wait=True)
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def state_dict(self) -> dict[str, Any]:
        """Validations so far, and counts of snapshots."""
        snapshots = {} if self.snapshots is None else {"snapshots": self.snapshots.state()}
        return {"num_validations": self._num_validations, **snapshots}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back a state."""
        self._num_validations = int(state_dict["num_validations"])
        if self.snapshots is not None:
            self.snapshots.restore(state_dict.get("snapshots", {}))


def _log_row(trainer: pl.Trainer, values: Mapping[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(dict(values), step)


def _snapshot(model: nn.Module, num_units: int) -> dict[str, list[tuple[str, np.ndarray]]]:
    """Copies of kernels (C, K) and masks (H, W), a row of them per part of the model."""
    kernels = [(stage.name, stage.weights.copy()) for stage in temporal_kernels(model)]
    masks = []
    for name, part in model.named_modules():
        mask = getattr(part, "mask", None)
        if callable(mask):
            with torch.inference_mode():
                masks.append((name.rpartition(".")[2], mask()[:num_units].double().cpu().numpy().copy()))
    return {name: rows for name, rows in (("kernels", kernels), ("masks", masks)) if rows}


def _draw(path: Path, rows: Sequence[tuple[str, np.ndarray]], *, signed: bool) -> None:
    shown = {name: [Picture(image, str(number)) for number, image in enumerate(images)] for name, images in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    mosaic(shown, signed=signed).savefig(path)
