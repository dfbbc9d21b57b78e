"""Scalars and pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_lightning.utilities import rank_zero_only

from visioncore_common.loggers.base import RunLogger, storage
from visioncore_engine.contracts import LoggerFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_engine.options import Options

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoard"]


class TensorBoard(RunLogger):
    """Writes scalars and pictures into the run folder's ``tensorboard``; events beyond a resumed checkpoint are hidden.

    Raises
    ------
    ConfigError
        Where the package `tensorboard` is not installed.
    """

    def __init__(self, options: Options, facts: LoggerFacts) -> None:
        super().__init__()
        del options  # it has none
        if find_spec("tensorboard") is None:
            raise ConfigError(
                Problem(
                    what="the logger needs the package 'tensorboard', which is not installed",
                    key="loggers.tensorboard",
                    todo="pip install 'visioncore-engine[tensorboard]', or leave the logger out",
                )
            )
        self.resume_id = facts.resume_id
        self._folder = facts.run_dir / "tensorboard"
        self._writer: SummaryWriter | None = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write values of a step."""
        with self._writing(step or 0) as writer:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

    @rank_zero_only
    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Write PNG files of a step."""
        from matplotlib.image import imread

        with self._writing(step) as writer:
            for name, path in pictures.items():
                image = imread(path)
                writer.add_image(name, image, step, dataformats="HWC" if image.ndim == 3 else "HW")

    @contextmanager
    def _writing(self, step: int) -> Iterator[SummaryWriter]:
        """Open the event file where that was not done, and have what is added written."""
        from torch.utils.tensorboard import SummaryWriter

        with storage(self._folder):
            if self._writer is None:
                purge = int(self.resume_id) if self.resume_id is not None else None
                self._writer = SummaryWriter(str(self._folder), purge_step=purge)
            yield self._writer
            self._writer.flush()
        self.resume_id = str(max(step + 1, int(self.resume_id or 0)))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the event file."""
        del status
        if self._writer is not None:
            self._writer.close()
            self._writer = None
