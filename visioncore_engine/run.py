"""Train a resolved run: folder, parts, Lightning, checkpoints, evaluation, report."""

from __future__ import annotations

import json
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from visioncore_engine import record as records
from visioncore_engine.attribution import culprit_of, standing_in
from visioncore_engine.build import Parts, build
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.checkpointing import CheckpointFiles, CheckpointWriter
from visioncore_engine.config import Resolved
from visioncore_engine.continuation import check_callbacks, check_parts, steps_left
from visioncore_engine.contracts import CallbackFacts
from visioncore_engine.data.loader import EvaluationLoader, PlanLoader
from visioncore_engine.data.subset import fixed_part
from visioncore_engine.display import ProgressDisplay, describe_parts, parameter_rows
from visioncore_engine.errors import CheckpointError, ConfigError, EngineError, Problem, RunError, Stopped
from visioncore_engine.evaluation import evaluate_split, write_results
from visioncore_engine.folder import RunFolder, write_text
from visioncore_engine.launch import Launcher, Place
from visioncore_engine.launch.entry import Entry, begin, enter
from visioncore_engine.module import TrainingModule
from visioncore_engine.options import OptimizerOptions
from visioncore_engine.pulse import Pulse
from visioncore_engine.restore import load
from visioncore_engine.resume import check_resume, rounding
from visioncore_engine.signals import flagged_signals, own_signals
from visioncore_engine.sinks import Sinks, open_sinks
from visioncore_engine.stopping import AgreeingTrainer
from visioncore_engine.strategy import GlobalBatchStrategy, PlacedProcesses
from visioncore_engine.watchdog import SETUP_ALLOWANCE, Watchdog

__all__ = ["RunResult", "count_gpus", "dry_build", "train", "train_entered"]


# What Lightning warns of and we know better: our loader reads ahead by a thread, we log when the run file says, the
# processes are ours to start.
_BESIDE_THE_POINT = (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*LeafSpec.*",
    ".*callbacks used to create the checkpoint.*",  # `check_callbacks` says it
    ".*`srun` command is available.*",
    ".*sync_dist=True.*",  # what is logged is the same in all processes already
)


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves: its folder and the scores of its best checkpoint on the validation split."""

    run_dir: Path
    scores: Mapping[str, float]
    handed_to: str = ""  # who trains it later, where nobody has yet


def dry_build(resolved: Resolved) -> str:
    """Build every part without training, and say what would train.

    Raises
    ------
    UserError
        For everything that training would refuse before its first step.
    """
    device = _device(resolved)
    parts = build(resolved, fused=_fused(resolved, device))
    return describe_parts(parts, device=device, precision=resolved.run.trainer.precision)


def train(resolved: Resolved, *, resume: bool = False, quiet: bool = False) -> RunResult:
    """Train a run.

    Parameters
    ----------
    resolved
        What `visioncore_engine.resolve` returned.
    resume
        Continue the run's folder from its last checkpoint.
    quiet
        Show nothing.

    Returns
    -------
    The run folder and the scores of the best checkpoint.

    Raises
    ------
    UserError
        For mistakes in the run file, the data or the checkpoint, before the first step.
    RunError
        Where a plugin or the numbers failed.
    """
    entry = enter(resolved, resume=resume, quiet=quiet, count_gpus=partial(count_gpus, resolved))
    return train_entered(resolved, entry, quiet=quiet)


def train_entered(resolved: Resolved, entry: Entry, *, quiet: bool = False) -> RunResult:
    """Train in this process, if it is one of those that train; else tell what others did."""
    if entry.place is not None:
        watchdog = _watchdog(resolved, entry.folder, entry.place)
        with watchdog.running():
            return _train_here(resolved, entry, entry.place, watchdog, quiet=quiet)
    folder = entry.folder
    if entry.handed_to:
        return RunResult(folder.path, {}, entry.handed_to)
    scores = json.loads((folder.path / "scores.json").read_text())["validation"]
    return RunResult(folder.path, {f"val/{name}": value for name, value in scores.items()})


def _watchdog(resolved: Resolved, folder: RunFolder, place: Place) -> Watchdog:
    limit = resolved.run.policies.watchdog
    return Watchdog(
        math.inf if limit == "off" else limit,
        folder.path / "stacks",
        rank=place.rank,
        world_size=place.world_size,
        locate=partial(standing_in, resolved=resolved),
    )


def _train_here(resolved: Resolved, entry: Entry, place: Place, watchdog: Watchdog, *, quiet: bool) -> RunResult:
    """Train in this process, which may be one of several."""
    run, folder, resume, first = resolved.run, entry.folder, entry.resume, place.rank == 0
    quiet = quiet or not first
    saved = _last_checkpoint(folder) if resume else None
    if saved:
        check_resume(resolved, saved[1]["visioncore"]["run"])
    if run.trainer.threads is not None:
        torch.set_num_threads(run.trainer.threads)
    _check_devices(resolved, place)
    device = _device(resolved)
    state = saved[1]["visioncore"]["data_state"] if saved else None
    parts = build(resolved, fused=_fused(resolved, device), state=state)
    if saved:
        check_parts(resolved, parts, saved[1], str(saved[0]))
        if not steps_left(parts, saved[1], str(saved[0])) and first:
            print(f"nothing to do: {folder.path} is finished; scoring it again", file=sys.stderr)  # noqa: T201 - must be seen
    record = _record(resolved, parts, folder if resume else None)
    if saved and first:
        size, threads, release = place.world_size, torch.get_num_threads(), record["libraries"]["torch"]
        if note := rounding(saved[1]["visioncore"], processes=size, threads=threads, torch=release):
            print(f"warning: {note}", file=sys.stderr)  # noqa: T201 - must be seen
    if first:
        begin(folder, resolved, keep=resume or entry.begun)
        write_text(folder.record_file, records.to_json(record))
    if not quiet:
        print(describe_parts(parts, device=device, precision=run.trainer.precision), flush=True)  # noqa: T201 - asked for
    module = TrainingModule(parts, {"run": resolved.dump(), "record": record})
    module.goes_on_from = f"step {saved[1]['global_step']}" if saved else "the start"
    with _quiet_lightning(), _failures_named(resolved):
        resume_ids = saved[1]["visioncore"]["loggers"] if saved else {}
        sinks = open_sinks(resolved, folder.path, resume_ids) if first else Sinks(folder.path)
        trainer = _trainer(resolved, parts, place, folder=folder, sinks=sinks, watchdog=watchdog, quiet=quiet)
        if saved and first:
            check_callbacks(trainer, saved[1])
        own_signals(trainer)
        with flagged_signals(module), _told_when_stopped(entry.launcher, module, first=first):
            trainer.fit(
                module,
                train_dataloaders=_train_loader(parts, trainer),
                val_dataloaders=EvaluationLoader(
                    parts.validation,
                    run.loader.evaluation_batch_size,
                    items=fixed_part(parts.validation, run.loader.validation_fraction, run.seed),
                    rank=place.rank,
                    world_size=place.world_size,
                ),
                ckpt_path=str(saved[0]) if saved else None,
                weights_only=True,
            )
    watchdog.stop()  # nobody waits for what follows, and it may take its time
    if dist.is_initialized():
        dist.destroy_process_group()  # what follows is one process's work: no collective may wait for the others
    if not first:
        return RunResult(folder.path, {})
    best = "best" if (folder.checkpoints / "best.ckpt").exists() else "last"
    model = load(folder.checkpoint(best), registry=resolved.registry)
    results = evaluate_split(run, parts.dataset, model, "validation")
    write_results(folder, {"validation": results})
    record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    write_text(folder.record_file, records.to_json(record))
    _write_report(folder, resolved)
    scores = {f"val/{name}": value for result in results.values() for name, value in result.scalars.items()}
    return RunResult(folder.path, scores)


@contextmanager
def _told_when_stopped(launcher: Launcher, module: TrainingModule, *, first: bool) -> Iterator[None]:
    """Tell the launcher, in the first process, that the run has saved and ends on a signal."""
    try:
        yield
    except Stopped:
        if first:
            launcher.stopped(module.stop_requested)
        raise


def _record(resolved: Resolved, parts: Parts, before: RunFolder | None) -> dict[str, Any]:
    """Record of the run; one that is resumed keeps when it was started, and says when it went on."""
    record = records.collect(resolved, data=dict(parts.dataset.fingerprints()))
    record["parameters"] = parameter_rows(parts)
    if before is not None and before.record_file.exists():
        earlier = records.from_json(before.record_file.read_text(), str(before.record_file))
        record["resumed"] = [*earlier.get("resumed", []), record["started"]]
        record["started"] = earlier["started"]
    return record


def _write_report(folder: RunFolder, resolved: Resolved) -> None:
    # A report that cannot be drawn must not turn a finished training into a failure: it is said, and the run stands.
    from visioncore_engine.report import write

    try:
        write(folder.path, registry=resolved.registry)
    except Exception as error:  # noqa: BLE001 - whatever a plugin's section raises; see above
        print(f"warning: the report could not be drawn: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - must be seen


def _last_checkpoint(folder: RunFolder) -> tuple[Path, dict[str, Any]] | None:
    """Newest checkpoint of a run that can be read: the last, else the generation before it, and say so.

    None where the run ended before its first checkpoint: it then starts again from its first step.
    """
    last, previous = folder.checkpoints / "last.ckpt", folder.checkpoints / "last.prev.ckpt"
    if not last.exists() and not previous.exists():
        print(f"warning: {folder.path} has no checkpoint yet; starting from the first step", file=sys.stderr)  # noqa: T201 - must be seen
        return None
    try:
        return last, read_checkpoint(last)
    except CheckpointError as error:
        if not previous.exists():
            raise
        payload = read_checkpoint(previous)
        print(f"warning: {error}; falling back to {previous.name}", file=sys.stderr)  # noqa: T201 - must be seen
        return previous, payload


def count_gpus(resolved: Resolved) -> int:
    """GPUs of this host that the run may use."""
    return torch.cuda.device_count() if resolved.run.trainer.accelerator != "cpu" else 0


def _check_devices(resolved: Resolved, place: Place) -> None:
    """Refuse more processes on this host than it has GPUs, where it has any that the run may use."""
    num_gpus = count_gpus(resolved)
    if num_gpus and place.local_world_size > num_gpus:
        raise ConfigError(
            Problem(
                what=f"{num_gpus} devices are present",
                where=resolved.where("trainer.devices"),
                key="trainer.devices",
                given=str(place.local_world_size),
                todo=f"ask for {num_gpus} at most, or write auto",
            )
        )


def _device(resolved: Resolved) -> str:
    trainer = resolved.run.trainer
    available = torch.cuda.is_available()
    if trainer.accelerator == "gpu" and not available:
        raise ConfigError(
            Problem(
                what="no GPU is available here",
                where=resolved.where("trainer.accelerator"),
                key="trainer.accelerator",
                todo="write auto or cpu",
            )
        )
    return torch.cuda.get_device_name() if available and trainer.accelerator != "cpu" else "cpu"


def _fused(resolved: Resolved, device: str) -> bool:
    return resolved.run.trainer.precision != "bf16-true" or device != "cpu"


def _trainer(
    resolved: Resolved,
    parts: Parts,
    place: Place,
    *,
    folder: RunFolder,
    sinks: Sinks,
    watchdog: Watchdog,
    quiet: bool,
) -> pl.Trainer:
    options, checkpoint = resolved.run.trainer, resolved.run.checkpoint
    facts = CallbackFacts(
        folder.path,
        checkpoint.monitor,
        checkpoint.mode,
        parts.total_steps,
        parts.steps_per_epoch,
        heartbeat=watchdog.beat,
    )
    chosen: list[pl.Callback] = [choice.build(facts) for choice in resolved.run.callbacks]
    # The writer comes first: what it saves at the start of a step is the state before any callback saw that step.
    own: list[pl.Callback] = [CheckpointWriter(checkpoint, folder.checkpoints), Pulse(watchdog)]
    if not quiet:
        own.append(ProgressDisplay(parts.total_steps, checkpoint.monitor))
    trainer = AgreeingTrainer(
        accelerator="cpu" if _device(resolved) == "cpu" else "gpu",
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
        plugins=[CheckpointFiles(), PlacedProcesses(place)],
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


def _train_loader(parts: Parts, trainer: pl.Trainer) -> PlanLoader:
    def start() -> tuple[int, int]:
        return trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.ready

    options = parts.run.optimizer.options
    assert isinstance(options, OptimizerOptions)
    return PlanLoader(
        parts.index,
        parts.sampler,
        accumulate=options.accumulate,
        prefetch=parts.run.loader.prefetch,
        start=start,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
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


@contextmanager
def _failures_named(resolved: Resolved) -> Iterator[None]:
    """Tell whose code failed."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        culprit = culprit_of(error, resolved)
        raise RunError(f"run failed: {culprit}{type(error).__name__}: {error}") from error
