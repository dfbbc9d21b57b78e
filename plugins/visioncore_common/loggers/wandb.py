"""Weights & Biases, kept at arm's length: training never waits for it and never fails because of it."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pytorch_lightning.utilities import rank_zero_only

from visioncore_common.loggers.base import RunLogger
from visioncore_common.loggers.wandb_run import Mode, open_run
from visioncore_common.options.logger import WandbOptions
from visioncore_engine.contracts import LoggerFacts

if TYPE_CHECKING:
    from visioncore_common.loggers.wandb_run import Run

__all__ = ["Wandb"]

_log = logging.getLogger(__name__)
_CAPACITY = 10_000  # logged steps that wait while a server is slow; about 10 MB with a hundred values each


class Wandb(RunLogger):
    """Hands what is logged to a thread of its own through a bounded queue.

    The thread opens the run at the first logged value. Where the server cannot be reached in `timeout` seconds, or
    there are no credentials, it warns once and goes on offline; where that fails too, it warns and drops what comes.
    `wandb sync` uploads an offline run. A resumed run keeps its id; values are drawn over `step`, so that steps that
    were logged before a crash and after the resume lie on each other.

    Parameters
    ----------
    options, facts
        What the run file says, and the run.
    opener
        Opens a run in a mode; for tests.
    """

    def __init__(
        self,
        options: WandbOptions,
        facts: LoggerFacts,
        opener: Callable[[WandbOptions, LoggerFacts, str, Mode], Run] = open_run,
    ) -> None:
        super().__init__()
        self.resume_id: str = facts.resume_id or uuid.uuid4().hex[:12]
        self._options, self._facts, self._opener = options, facts, opener
        self._waiting: queue.Queue[dict[str, float] | None] = queue.Queue(_CAPACITY)
        self._thread: threading.Thread | None = None
        self._num_dropped = 0
        self._status = ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Queue values of a step; returns at once."""
        if self._options.mode == "disabled":
            return
        if self._thread is None:
            self._status = ""
            self._thread = threading.Thread(target=self._work, name="visioncore-wandb", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait({"step": 0 if step is None else step, **metrics})
        except queue.Full:
            self._num_dropped += 1
            if self._num_dropped == 1:
                _warn(f"{_CAPACITY} logged steps wait for the server; later ones are dropped (metrics.csv has them)")

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Send what waits and close the run; gives up after the option `timeout` and a few seconds."""
        if self._thread is None:
            return
        self._status = status
        try:
            self._waiting.put(None, timeout=self._options.timeout)
            self._thread.join(self._options.timeout + 5.0)
        except queue.Full:
            pass  # the thread is alive and far behind: said below
        if self._thread.is_alive():
            _warn("the run is not closed yet; what is missing there stands in metrics.csv")
        self._thread = None

    def _work(self) -> None:
        run = self._open()
        while (values := self._waiting.get()) is not None:
            if run is None:
                continue  # the queue is emptied all the same, so that nobody waits for room in it
            try:
                run.log(values)
            except Exception as error:  # noqa: BLE001 - a tracker may fail in any way, none of them ends a training
                _warn(f"could not log: {error}; nothing more goes there, metrics.csv has it")
                run = None
        if run is not None:
            try:
                run.finish(exit_code=0 if self._status == "success" else 1)
            except Exception as error:  # noqa: BLE001 - as above
                _warn(f"could not close the run: {error}")

    def _open(self) -> Run | None:
        run_id = self.resume_id
        if self._options.mode == "online":
            try:
                return self._opener(self._options, self._facts, run_id, "online")
            except Exception as error:  # noqa: BLE001 - as above
                _warn(f"could not open the run online: {error}; going on offline")
                # wandb keeps the id of a run that it could not open occupied, until this process ends.
                run_id = run_id if isinstance(error, PermissionError) else f"{run_id}-offline"
        try:
            return self._opener(self._options, self._facts, run_id, "offline")
        except Exception as error:  # noqa: BLE001 - as above
            _warn(f"could not open the run offline: {error}; nothing goes there, metrics.csv has it")
            return None


def _warn(message: str) -> None:
    _log.warning("wandb: %s", message)
