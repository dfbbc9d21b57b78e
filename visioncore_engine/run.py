"""Train a resolved run: folder, parts, Lightning, checkpoints, evaluation, report."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from visioncore_engine import record as records
from visioncore_engine.attribution import standing_in
from visioncore_engine.build import Parts, build
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.compilation import compile_parts
from visioncore_engine.config import Resolved
from visioncore_engine.continuation import check_callbacks, check_parts, steps_left
from visioncore_engine.contracts import Dataset
from visioncore_engine.data import native
from visioncore_engine.data.homes import Housing, settle
from visioncore_engine.data.index import on_its_way
from visioncore_engine.data.loader import EvaluationLoader
from visioncore_engine.data.subset import fixed_part
from visioncore_engine.devices import check_devices, count_gpus, device_name, keep_freed_memory, may_fuse
from visioncore_engine.display import describe_parts, parameter_rows
from visioncore_engine.errors import CheckpointError, ConfigError, Stopped
from visioncore_engine.evaluation import evaluate_split, write_results
from visioncore_engine.failures import failures_named
from visioncore_engine.folder import RunFolder, write_text
from visioncore_engine.launch import Launcher, Place
from visioncore_engine.launch.entry import Entry, begin, enter
from visioncore_engine.module import TrainingModule
from visioncore_engine.profiling import Profile
from visioncore_engine.restore import load
from visioncore_engine.resume import check_plugins, check_resume, rounding
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
    profile: Mapping[str, Any] | None = None  # what `Profile.summary` gave, where the run was measured


def dry_build(resolved: Resolved) -> str:
    """Build every part without training, and say what would train.

    Raises
    ------
    UserError
        For everything that training would refuse before its first step.
    """
    device = device_name(resolved)
    with failures_named(resolved, Place(), training=False):
        parts = build(resolved, fused=may_fuse(resolved, device))
    return describe_parts(parts, device=device, precision=resolved.run.trainer.precision)


def train(
    resolved: Resolved, *, resume: bool = False, quiet: bool = False, profile: Profile | None = None
) -> RunResult:
    """Train a run.

    Parameters
    ----------
    resolved
        What `visioncore_engine.resolve` returned.
    resume
        Continue the run's folder from its last checkpoint.
    quiet
        Show nothing.
    profile
        Measures what each component costs; the record of the run holds what it found.

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
    return train_entered(resolved, entry, quiet=quiet, profile=profile)


def train_entered(
    resolved: Resolved, entry: Entry, *, quiet: bool = False, profile: Profile | None = None
) -> RunResult:
    """Train in this process, if it is one of those that train; else tell what others did."""
    if entry.place is not None:
        watchdog = _watchdog(resolved, entry.folder, entry.place)
        with watchdog.running(), nullcontext() if profile is None else profile.watching():
            return _train_here(resolved, entry, entry.place, watchdog, quiet=quiet, profile=profile)
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
    torch.set_float32_matmul_precision(resolved.run.trainer.matmul_precision)
    torch.backends.cudnn.allow_tf32 = resolved.run.trainer.matmul_precision != "highest"
    check_devices(resolved, place)
    device = device_name(resolved)
    if device == "cpu":
        keep_freed_memory()
    return device


@dataclass(frozen=True)
class _Prepared:
    """What is there before the first step: the parts, the record, and the checkpoint that training goes on from."""

    parts: Parts
    record: dict[str, Any]
    saved: tuple[Path, dict[str, Any]] | None


def _prepare(resolved: Resolved, entry: Entry, place: Place) -> _Prepared:
    """Build the parts; refuse to go on from a checkpoint that is not of this run."""
    folder, first = entry.folder, place.rank == 0
    saved = _last_checkpoint(folder) if entry.resume else None
    record = _record(resolved, folder if entry.resume else None)
    notes = []
    if saved:
        own = saved[1]["visioncore"]
        check_resume(resolved, own["run"])
        if note := check_plugins(resolved, own["record"], record, str(saved[0])):
            notes.append(note)
            record["warnings"] = [*record.get("warnings", ()), note]  # who reads the results is to know it too
    device = _take_device(resolved, place)
    if reason := native.use(resolved.run.loader.gather):
        notes.append(f"windows are gathered by torch, nothing was compiled: {reason}")
    state = saved[1]["visioncore"]["data_state"] if saved else None
    parts = build(resolved, fused=may_fuse(resolved, device), state=state, house=_house(resolved, folder, place))
    if resolved.run.trainer.compile:
        try:
            compile_parts(parts.model, device, graphs=resolved.run.trainer.compile == "graphs")
        except ConfigError as error:
            raise error.at(resolved.where("trainer.compile"), "trainer.compile") from error
    housing = parts.housing.plain() if parts.housing else None
    record |= {"data": dict(parts.dataset.fingerprints()), "parameters": parameter_rows(parts)}
    record |= {"loader": {"gather": native.describe(), "frames": housing}}
    if parts.transfer is not None:
        record["transfer"] = parts.transfer.plain()
        notes += parts.transfer.notes
        record["warnings"] = [*record.get("warnings", ()), *parts.transfer.notes]
    if saved:
        check_parts(resolved, parts, saved[1], str(saved[0]))
        if not steps_left(parts, saved[1], str(saved[0])) and first:
            print(f"nothing to do: {folder.path} is finished; scoring it again", file=sys.stderr)  # noqa: T201 - must be seen
        size, threads, release = place.world_size, torch.get_num_threads(), record["libraries"]["torch"]
        notes.append(rounding(saved[1]["visioncore"], processes=size, threads=threads, torch=release))
    for note in filter(None, notes if first else ()):
        print(f"warning: {note}", file=sys.stderr)  # noqa: T201 - must be seen
    return _Prepared(parts, record, saved)


def _house(resolved: Resolved, folder: RunFolder, place: Place) -> Callable[[Dataset], Housing]:
    """How the frames find their home."""
    return partial(
        settle,
        wanted=resolved.run.loader.home,
        device=torch.device("cuda", place.local_rank) if count_gpus(resolved) else torch.device("cpu"),
        token=hashlib.sha256(str(folder.path.resolve()).encode()).hexdigest()[:16],
        processes=place.local_world_size,
    )


def _train_here(
    resolved: Resolved, entry: Entry, place: Place, watchdog: Watchdog, *, quiet: bool, profile: Profile | None
) -> RunResult:
    """Train in this process, which may be one of several."""
    run, folder, first = resolved.run, entry.folder, place.rank == 0
    quiet = quiet or not first
    with failures_named(resolved, place, training=False):
        prepared = _prepare(resolved, entry, place)
    parts, record, saved = prepared.parts, prepared.record, prepared.saved
    if first:
        begin(folder, resolved, keep=entry.resume or entry.begun)
        write_text(folder.record_file, records.to_json(record))
    if not quiet:
        print(describe_parts(parts, device=device_name(resolved), precision=run.trainer.precision), flush=True)  # noqa: T201 - asked for
        if parts.housing and parts.housing.num_bytes:
            print(f"{parts.housing}; gathered by {native.describe()} code", flush=True)  # noqa: T201 - asked for
    module = TrainingModule(parts, {"run": resolved.dump(), "record": record})
    module.goes_on_from = f"step {saved[1]['global_step']}" if saved else "the start"
    with quiet_lightning(), failures_named(resolved, place):
        resume_ids = saved[1]["visioncore"]["loggers"] if saved else {}
        sinks = open_sinks(resolved, folder.path, resume_ids) if first else Sinks(folder.path)
        trainer = build_trainer(resolved, parts, place, folder=folder, sinks=sinks, watchdog=watchdog, quiet=quiet)
        if saved and first:
            check_callbacks(trainer, saved[1])
        own_signals(trainer)
        loader = train_loader(parts, trainer)
        measured = nullcontext() if profile is None else profile.measuring()
        with measured, flagged_signals(module), _told_when_stopped(entry.launcher, module, first=first):
            trainer.fit(
                module,
                train_dataloaders=loader,
                val_dataloaders=EvaluationLoader(
                    parts.validation,
                    run.loader.evaluation_batch_size,
                    items=fixed_part(parts.validation, run.loader.validation_fraction, run.seed),
                    dtype=on_its_way(run.loader.dtype, trainer.strategy.root_device),
                    rank=place.rank,
                    world_size=place.world_size,
                ),
                ckpt_path=str(saved[0]) if saved else None,
                weights_only=True,
            )
    if loader.chosen:
        record["batches"] = loader.chosen
    if profile is not None:
        record["profile"] = profile.summary(module.global_step - (saved[1]["global_step"] if saved else 0))
    watchdog.stop()  # nobody waits for what follows, and it may take its time
    if dist.is_initialized():
        dist.destroy_process_group()  # what follows is one process's work: no collective may wait for the others
    return _finish(resolved, folder, place, prepared) if first else RunResult(folder.path, {})


def _finish(resolved: Resolved, folder: RunFolder, place: Place, prepared: _Prepared) -> RunResult:
    """Score the best checkpoint and write what is left to write; the first process's work."""
    best = "best" if (folder.checkpoints / "best.ckpt").exists() else "last"
    model = load(folder.checkpoint(best), registry=resolved.registry)
    with failures_named(resolved, place):
        results = evaluate_split(resolved.run, prepared.parts.dataset, model, "validation")
    write_results(folder, {"validation": results})
    prepared.record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    write_text(folder.record_file, records.to_json(prepared.record))
    _write_report(folder, resolved)
    scores = {f"val/{name}": value for result in results.values() for name, value in result.scalars.items()}
    return RunResult(folder.path, scores, profile=prepared.record.get("profile"))


@contextmanager
def _told_when_stopped(launcher: Launcher, module: TrainingModule, *, first: bool) -> Iterator[None]:
    """Tell the launcher, in the first process, that the run has saved and ends on a signal."""
    try:
        yield
    except Stopped:
        if first:
            launcher.stopped(module.stop_requested)
        raise


def _record(resolved: Resolved, before: RunFolder | None) -> dict[str, Any]:
    """Record of the run; one that is resumed keeps when it was started, and says when it went on."""
    record = records.collect(resolved)
    if before is not None and before.record_file.exists():
        earlier = records.from_json(before.record_file.read_text(), str(before.record_file))
        record["resumed"] = [*earlier.get("resumed", []), record["started"]]
        record["started"] = earlier["started"]
        record["warnings"] = earlier.get("warnings", [])
        if "transfer" in earlier:  # done once, when the run was started
            record["transfer"] = earlier["transfer"]
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
