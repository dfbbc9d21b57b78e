"""Train a resolved run: folder, parts, Lightning, checkpoints, evaluation, report."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from visioncore_engine import record as records
from visioncore_engine.attribution import culprit_of, missed, standing_in
from visioncore_engine.build import Parts, build
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.config import Resolved
from visioncore_engine.continuation import check_callbacks, check_parts, steps_left
from visioncore_engine.data.loader import EvaluationLoader
from visioncore_engine.data.subset import fixed_part
from visioncore_engine.devices import check_devices, count_gpus, device_name, keep_freed_memory, may_fuse
from visioncore_engine.display import describe_parts, parameter_rows
from visioncore_engine.errors import CheckpointError, EngineError, RunError, Stopped, StorageError
from visioncore_engine.evaluation import evaluate_split, write_results
from visioncore_engine.folder import STORAGE_ERRORS, RunFolder, write_text
from visioncore_engine.launch import Launcher, Place
from visioncore_engine.launch.entry import Entry, begin, enter
from visioncore_engine.memory import advice, ran_out_of_memory
from visioncore_engine.module import TrainingModule
from visioncore_engine.restore import load
from visioncore_engine.resume import check_resume, rounding
from visioncore_engine.signals import flagged_signals, own_signals
from visioncore_engine.sinks import Sinks, open_sinks
from visioncore_engine.trainer import build_trainer, quiet_lightning, train_loader
from visioncore_engine.watchdog import Watchdog

__all__ = ["RunResult", "dry_build", "train", "train_entered"]


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
    device = device_name(resolved)
    parts = build(resolved, fused=may_fuse(resolved, device))
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


def _take_device(resolved: Resolved, place: Place) -> str:
    """Make ready what this process trains on, and name it."""
    if resolved.run.trainer.threads is not None:
        torch.set_num_threads(resolved.run.trainer.threads)
    check_devices(resolved, place)
    device = device_name(resolved)
    if device == "cpu":
        keep_freed_memory()
    return device


def _train_here(resolved: Resolved, entry: Entry, place: Place, watchdog: Watchdog, *, quiet: bool) -> RunResult:
    """Train in this process, which may be one of several."""
    run, folder, resume, first = resolved.run, entry.folder, entry.resume, place.rank == 0
    quiet = quiet or not first
    saved = _last_checkpoint(folder) if resume else None
    if saved:
        check_resume(resolved, saved[1]["visioncore"]["run"])
    device = _take_device(resolved, place)
    state = saved[1]["visioncore"]["data_state"] if saved else None
    parts = build(resolved, fused=may_fuse(resolved, device), state=state)
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
    with quiet_lightning(), _failures_named(resolved, place):
        resume_ids = saved[1]["visioncore"]["loggers"] if saved else {}
        sinks = open_sinks(resolved, folder.path, resume_ids) if first else Sinks(folder.path)
        trainer = build_trainer(resolved, parts, place, folder=folder, sinks=sinks, watchdog=watchdog, quiet=quiet)
        if saved and first:
            check_callbacks(trainer, saved[1])
        own_signals(trainer)
        with flagged_signals(module), _told_when_stopped(entry.launcher, module, first=first):
            trainer.fit(
                module,
                train_dataloaders=train_loader(parts, trainer),
                val_dataloaders=EvaluationLoader(
                    parts.validation,
                    run.loader.evaluation_batch_size,
                    items=fixed_part(parts.validation, run.loader.validation_fraction, run.seed),
                    dtype=run.loader.dtype,
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
    with _failures_named(resolved, place):
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


@contextmanager
def _failures_named(resolved: Resolved, place: Place) -> Iterator[None]:
    """Tell whose code failed, what to try where memory ran out, and when it was another process that failed."""
    try:
        yield
    except EngineError:
        raise
    except (Exception, SystemExit) as error:  # a plugin that calls `sys.exit` has not finished the run
        culprit = culprit_of(error, resolved)
        if told := missed(error):
            raise RunError(f"run failed: {culprit}another process has ended, and says why itself ({told})") from error
        if ran_out_of_memory(error):
            rank = f" on rank {place.rank}" if place.world_size > 1 else ""
            todo = advice(resolved.run, error, place.world_size)
            what = str(error).partition("\n")[0] or type(error).__name__
            raise RunError(f"run failed: {culprit}out of memory{rank}: {what}; {todo}") from error
        if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
            raise StorageError(f"storage failed: {culprit}{error}") from error
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        raise RunError(f"run failed: {culprit}{type(error).__name__}: {error}{notes}") from error
