"""Weights & Biases, kept at arm's length: training never fails because of it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
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


class Wandb(RunLogger):
    """Opens the run at the first logged value, which the engine hands over in a thread of its own.

    Where the server cannot be reached in `timeout` seconds, or there are no credentials, it warns once and goes on
    offline; what else fails is the engine's to tell. `wandb sync` uploads an offline run. A resumed run keeps its id;
    values are drawn over `step`, so that steps that were logged before a crash and after the resume lie on each other.

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
        self.patience = 2 * options.timeout + 5.0  # a run that ends at once is opened and closed
        self._options, self._facts, self._opener = options, facts, opener
        self._run: Run | None = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values of a step."""
        if (run := self._opened()) is not None:
            run.log({"step": 0 if step is None else step, **metrics})

    @rank_zero_only
    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Log PNG files of a step; the run keeps copies."""
        import wandb

        if (run := self._opened()) is not None:
            run.log({"step": step, **{name: wandb.Image(str(path)) for name, path in pictures.items()}})

    def _opened(self) -> Run | None:
        if self._run is None and self._options.mode != "disabled":
            self._run = self._open()
        return self._run

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Send what waits and close the run."""
        run, self._run = self._run, None
        if run is not None:
            run.finish(exit_code=0 if status == "success" else 1)

    def _open(self) -> Run:
        run_id = self.resume_id
        if self._options.mode == "online":
            try:
                return self._opener(self._options, self._facts, run_id, "online")
            except Exception as error:  # noqa: BLE001 - a tracker may fail in any way, none of them ends a training
                _log.warning("wandb: could not open the run online: %s; going on offline", error)
                # wandb keeps the id of a run that it could not open occupied, until this process ends.
                run_id = run_id if isinstance(error, PermissionError) else f"{run_id}-offline"
        return self._opener(self._options, self._facts, run_id, "offline")
