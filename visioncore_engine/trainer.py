"""Lightning's Trainer for a run: our callbacks, loggers, checkpoints and processes, and nothing else."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import partial

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.trainer.states import RunningStage

from visioncore_engine.build import Parts
from visioncore_engine.checkpointing import CheckpointWriter
from visioncore_engine.config import Resolved
from visioncore_engine.contracts import CallbackFacts
from visioncore_engine.data.index import on_its_way
from visioncore_engine.data.loader import AHEAD, PlanLoader
from visioncore_engine.data.staging import CudaCopies, Staging
from visioncore_engine.devices import device_name
from visioncore_engine.display import ProgressDisplay
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.folder import RunFolder
from visioncore_engine.guard import vet_callbacks, vet_state
from visioncore_engine.launch import Place
from visioncore_engine.launch.entry import command_beside
from visioncore_engine.options import OptimizerOptions
from visioncore_engine.pulse import Pulse
from visioncore_engine.sinks import Sinks
from visioncore_engine.stopping import AgreeingTrainer
from visioncore_engine.strategy import GlobalBatchStrategy, PlacedProcesses
from visioncore_engine.watchdog import SETUP_ALLOWANCE, Watchdog

__all__ = ["build_trainer", "quiet_lightning", "train_loader"]

# What Lightning warns of and we know better: our loader reads ahead by a thread, we log when the run file says, the
# processes are ours to start.
_BESIDE_THE_POINT = (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*LeafSpec.*",
    ".*in eval mode at the start of training.*",  # what `transfer.freeze` names
    ".*callbacks used to create the checkpoint.*",  # `check_callbacks` says it
    ".*`srun` command is available.*",
    ".*sync_dist=True.*",  # what is logged is the same in all processes already
)


class _NoProfiler(PassThroughProfiler):
    """Opens no range around each of Lightning's hooks, fifty in a step: a context that does nothing serves them all."""

    _NOTHING = nullcontext()

    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]  # it is only entered and left
        """Measure nothing."""
        return self._NOTHING


class _Trainer(AgreeingTrainer):
    """Answers at once what Lightning's loop asks a dozen times in a step."""

    @property
    def training(self) -> bool:
        """Whether it trains; Lightning compares words for it."""
        return self.state.stage is RunningStage.TRAINING

    @training.setter
    def training(self, value: bool) -> None:
        if value:
            self.state.stage = RunningStage.TRAINING
        elif self.training:
            self.state.stage = None

    @property
    def lightning_module(self) -> pl.LightningModule:
        """What is trained; Lightning asks by way of two more properties."""
        module: pl.LightningModule = self._accelerator_connector.strategy._lightning_module  # noqa: SLF001 - see above
        return module

    @property
    def enable_validation(self) -> bool:
        """Every run validates: `guard.check_validation` refuses others."""
        return True


def build_trainer(
    resolved: Resolved,
    parts: Parts,
    place: Place,
    *,
    folder: RunFolder,
    sinks: Sinks,
    watchdog: Watchdog,
    quiet: bool,
) -> AgreeingTrainer:
    """Build the run's callbacks and a Trainer around them.

    Parameters
    ----------
    resolved, parts
        The run, and what was built of it.
    place
        This process among all.
    folder
        The run folder.
    sinks
        The loggers.
    watchdog
        Gets the signs of life.
    quiet
        Show nothing.

    Raises
    ------
    UserError
        Where a callback, or a state, would fail only later.
    """
    options, checkpoint = resolved.run.trainer, resolved.run.checkpoint
    writer = CheckpointWriter(checkpoint, folder.checkpoints)
    facts = CallbackFacts(
        folder.path,
        checkpoint.monitor,
        checkpoint.mode,
        parts.total_steps,
        parts.steps_per_epoch,
        heartbeat=watchdog.beat,
        sampler=parts.sampler,
        keep_checkpoint=writer.keep,
        offer_weights=writer.offer_weights,
        command=partial(command_beside, resolved.registry),
    )
    chosen: list[pl.Callback] = [choice.build(facts) for choice in resolved.run.callbacks]
    vet_callbacks(resolved, chosen)
    if parts.scheduler is not None and resolved.run.scheduler is not None:
        vet_state(resolved, "scheduler", resolved.run.scheduler, parts.scheduler.state)
    vet_state(resolved, "data", resolved.run.data, parts.dataset.state)
    # The writer comes first: what it saves at the start of a step is the state before any callback saw that step.
    own: list[pl.Callback] = [writer, Pulse(watchdog)]
    if not quiet:
        own.append(ProgressDisplay(parts.total_steps, checkpoint.monitor))
    trainer = _Trainer(
        accelerator="cpu" if device_name(resolved) == "cpu" else "gpu",
        devices=place.local_world_size,
        strategy=_strategy(resolved) if place.world_size > 1 else "auto",
        precision=options.precision,
        max_epochs=options.max_epochs if options.max_epochs is not None else -1,
        max_steps=options.max_steps if options.max_steps is not None else -1,
        check_val_every_n_epoch=options.check_val_every_n_epoch,
        log_every_n_steps=options.log_every_n_steps,
        deterministic=options.deterministic or None,
        detect_anomaly=options.detect_anomaly,
        logger=sinks,
        callbacks=[*own, *chosen],
        plugins=[writer.files, PlacedProcesses(place)],
        profiler=_NoProfiler(),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=str(folder.path),
    )
    running: list[pl.Callback] = vars(trainer)["callbacks"]  # set by a connector, so type checkers do not see it
    strangers = [type(callback).__name__ for callback in running if callback not in (*chosen, *own)]
    if strangers:
        raise ConfigError(
            Problem(
                what=f"installed packages add callbacks that the run file does not name: {', '.join(strangers)}",
                todo="uninstall the package that registers them under `pytorch_lightning.callbacks_factory`",
            )
        )
    return trainer


def _strategy(resolved: Resolved) -> GlobalBatchStrategy:
    limit = resolved.run.policies.watchdog
    # The watchdog names who hangs; torch's own limit only says that something was closed, so it comes later.
    seconds = max(1800.0, 0.0 if limit == "off" else 2 * SETUP_ALLOWANCE * limit)
    return GlobalBatchStrategy(timeout=timedelta(seconds=seconds))


def train_loader(parts: Parts, trainer: pl.Trainer) -> PlanLoader:
    """Plan steps from where Lightning's counters stand."""

    def start() -> tuple[int, int]:
        return trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.ready

    options = parts.run.optimizer.options
    assert isinstance(options, OptimizerOptions)
    return PlanLoader(
        parts.index,
        parts.sampler,
        weigh=parts.objective.weights,
        accumulate=options.accumulate,
        prefetch=parts.run.loader.prefetch,
        dtype=on_its_way(parts.run.loader.dtype, trainer.strategy.root_device),
        send=_send(parts, trainer.strategy.root_device),
        start=start,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )


def _send(parts: Parts, device: torch.device) -> Staging | None:
    """How batches come to a GPU while it computes; None where there is none, or nothing is read ahead."""
    loader, options = parts.run.loader, parts.run.optimizer.options
    assert isinstance(options, OptimizerOptions)
    if device.type != "cuda" or loader.prefetch == 0:
        return None
    ahead = AHEAD if loader.prefetch == "auto" else loader.prefetch
    return Staging(CudaCopies(device), num_slots=(ahead + 2) * options.accumulate)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence what Lightning says about itself; what we know better is a warning of ours or an error."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for message in _BESIDE_THE_POINT:
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
