"""The run's evaluators on a snapshot of the weights, in a process beside training."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from visioncore_engine.contracts import CallbackFacts

__all__ = ["Process", "Snapshots", "start_process"]

# The cores, and the GPU, are training's.
_ALONE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
_CHECKPOINT = Path("checkpoints", "last.ckpt")

_log = logging.getLogger(__name__)


class Process(Protocol):
    """What is asked of a process that was started; `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Exit code; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, so many seconds at most (`subprocess.TimeoutExpired`)."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


def start_process(command: Sequence[str], log: Path) -> Process:
    """Start a process with one thread and no GPU; what it says goes into a file."""
    with log.open("wb") as file:
        return subprocess.Popen(  # noqa: S603 - the engine's own command line
            command,
            env={**os.environ, **_ALONE},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches it through us
        )


@dataclass(frozen=True)
class _Snapshot:
    """Weights of a step, in a folder of their own."""

    step: int
    folder: Path
    kept: Future[None]


class Snapshots:
    """Evaluates one snapshot at a time; each has a folder ``snapshots/step-<step>`` in the run folder.

    That folder looks like one of a run: ``run.yaml``, a second name of the checkpoint until it is evaluated, and then
    what `visioncore evaluate` writes. Where an evaluation is due and the last has not ended, it is left out. One that
    was killed is evaluated when the run goes on.

    Parameters
    ----------
    facts
        The run.
    wait_minutes
        Minutes that the end of training waits for the last evaluation.
    start
        Starts a command whose output goes to a file; for tests.
    """

    def __init__(
        self, facts: CallbackFacts, wait_minutes: float, start: Callable[[Sequence[str], Path], Process] = start_process
    ) -> None:
        self._facts, self._start_process = facts, start
        self._folder = facts.run_dir / "snapshots"
        self._num_seconds = math.ceil(60 * wait_minutes)
        self._is_due = False
        self._snapshot: _Snapshot | None = None
        self._process: Process | None = None
        self.num_skipped = self.num_failed = 0

    def ask(self) -> None:
        """Have the next checkpoint evaluated, unless an evaluation is under way."""
        if not self._is_due and self._snapshot is None:
            self._is_due = True
            return
        self.num_skipped += 1
        if self.num_skipped == 1:
            _log.warning("a snapshot is not evaluated, because the evaluation before has not ended; said once, counted")

    def save(self, step: int) -> None:
        """Keep the checkpoint of a step that is being saved, where one is to be evaluated."""
        if self._is_due:
            folder = self._folder / f"step-{step:09d}"
            self._is_due, self._snapshot = (
                False,
                _Snapshot(step, folder, self._facts.keep_checkpoint(folder / _CHECKPOINT)),
            )

    def resume(self, step: int) -> None:
        """Go on with what was killed at or before a step; what lies beyond comes again."""
        left = {int(path.parts[-3].rpartition("-")[2]): path for path in self._folder.glob(f"step-*/{_CHECKPOINT}")}
        newest = max((found for found in left if found <= step), default=None)
        for found, path in left.items():
            if found != newest:
                _remove(path)
        if newest is not None:
            self._snapshot = _Snapshot(newest, left[newest].parents[1], Future())
            self._snapshot.kept.set_result(None)

    def turn(self, log: Callable[[Mapping[str, float], int], None]) -> None:
        """Start what is on disk, and hand over the scores of what has ended; returns at once."""
        if (snapshot := self._snapshot) is None:
            return
        if self._process is not None:
            if (code := self._process.poll()) is not None:
                self._collect(snapshot, code, log)
        elif snapshot.kept.done():
            self._start(snapshot)

    def close(self, log: Callable[[Mapping[str, float], int], None]) -> None:
        """Evaluate what is left, for a bounded time."""
        if self._num_seconds:
            self.turn(log)
        for _ in range(self._num_seconds):
            if self._process is None:
                break
            try:
                self._process.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                self._facts.heartbeat()
            self.turn(log)
        if (snapshot := self._snapshot) is not None:
            self.kill()
            self._fail(snapshot, "it had not ended when training did")

    def kill(self) -> None:
        """End the process; its checkpoint stays, so that a resumed run can evaluate it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._is_due, self._snapshot, self._process = False, None, None

    def _start(self, snapshot: _Snapshot) -> None:
        try:
            snapshot.kept.result()
            shutil.copyfile(self._facts.run_dir / "run.yaml", snapshot.folder / "run.yaml")
            words = ("evaluate", str(snapshot.folder), "--checkpoint", "last", "--split", "validation")
            self._process = self._start_process(self._facts.command(*words), snapshot.folder / "log.txt")
        except OSError as error:
            self._fail(snapshot, f"{type(error).__name__}: {error}")

    def _collect(self, snapshot: _Snapshot, code: int, log: Callable[[Mapping[str, float], int], None]) -> None:
        told = f"see {snapshot.folder / 'log.txt'}"
        if code:
            self._fail(snapshot, f"exit code {code}; {told}")
            return
        try:
            scores = json.loads((snapshot.folder / "scores.json").read_text(encoding="utf-8"))["validation"]
        except (OSError, ValueError, KeyError) as error:
            self._fail(snapshot, f"it left no scores: {type(error).__name__}: {error}; {told}")
            return
        self._forget(snapshot)
        log({f"snapshot/{name}": float(value) for name, value in scores.items()}, snapshot.step)

    def _fail(self, snapshot: _Snapshot, what: str) -> None:
        self.num_failed += 1
        self._forget(snapshot)
        _log.warning("the snapshot of step %d was not evaluated (%d so far): %s", snapshot.step, self.num_failed, what)

    def _forget(self, snapshot: _Snapshot) -> None:
        self._snapshot = self._process = None
        _remove(snapshot.folder / _CHECKPOINT)

    def state(self) -> dict[str, Any]:
        """Counts of what was left out and what failed."""
        return {"num_skipped": self.num_skipped, "num_failed": self.num_failed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a state; a run that had none starts from nothing."""
        self.num_skipped, self.num_failed = int(state.get("num_skipped", 0)), int(state.get("num_failed", 0))


def _remove(checkpoint: Path) -> None:
    """Give back the space of a checkpoint that is not needed."""
    for path in (checkpoint, checkpoint.with_name(checkpoint.name + ".sha256")):
        path.unlink(missing_ok=True)
