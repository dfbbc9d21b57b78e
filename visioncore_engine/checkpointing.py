"""When checkpoints are written: only at the start of a plan step, after everything that the step before caused."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.progress import _StartedTracker
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from visioncore_engine.checkpoint import link_checkpoint, read_checkpoint, write_checkpoint
from visioncore_engine.config.run import CheckpointOptions
from visioncore_engine.errors import RunError, Stopped
from visioncore_engine.module import TrainingModule
from visioncore_engine.scribe import Scribe, Snapshot

__all__ = ["CheckpointFiles", "CheckpointWriter"]


class CheckpointFiles(CheckpointIO):
    """Hands Lightning's checkpoints to our writer and reader. Training waits for a copy in memory, not for the disk."""

    def __init__(self) -> None:
        self.scribe = Scribe()
        self.offered: Mapping[str, Tensor] = {}
        self._snapshot = Snapshot()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Have a copy written durably; ``last.ckpt`` keeps the generation before it."""
        path = Path(path)
        checkpoint["visioncore"]["offered"] = self.offered
        self.scribe.wait()  # the copy before is still being written: there is memory for one
        copy = self._snapshot.take(checkpoint)
        self.scribe.submit(partial(write_checkpoint, copy, path, keep_previous=path.name == "last.ckpt"))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
        """Read without running anything in the file."""
        return read_checkpoint(path)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint and its sidecar."""
        path = Path(path)
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".sha256").unlink(missing_ok=True)


def _name_also(source: Path, target: Path, kept: Future[None]) -> None:
    """Give a checkpoint a name that somebody asked for; where that fails, it is theirs to say."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        link_checkpoint(source, target)
    except OSError as error:
        kept.set_exception(error)
    else:
        kept.set_result(None)


def _name(step: int) -> str:
    """Name under which the checkpoint of a step is kept."""
    return f"step-{step:09d}.ckpt"


class CheckpointWriter(pl.Callback):
    """Keeps ``last.ckpt``, ``best.ckpt`` and the best few.

    Saved at the end of a batch, Lightning would skip validations that are due when it resumes; saved at the start of
    the next, it does not. So a save that a validation asks for waits for the next step boundary, or the end.

    Files are written beside training. A write that fails ends the run at the next step; where a run ends, it waits
    until everything is on disk.

    Parameters
    ----------
    options
        The run's `checkpoint` block.
    folder
        Where the files go.
    """

    def __init__(self, options: CheckpointOptions, folder: Path) -> None:
        self._options, self._folder = options, folder
        self.files = CheckpointFiles()
        self._kept: dict[str, float] = {}
        self._pending: float | None = None
        self._saved_step = -1
        self._num_scores = 0
        self._asked: list[tuple[Path, Future[None]]] = []

    def keep(self, path: Path) -> Future[None]:
        """Give the checkpoint that is being saved a second name; done once it is on disk."""
        kept: Future[None] = Future()
        self._asked.append((path, kept))
        return kept

    def offer_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Have the checkpoint that is being saved offer these weights to whoever does not train on.

        Raises
        ------
        RunError
            Where others were offered already: which would be evaluated depended on the order of callbacks.
        """
        if self.files.offered:
            raise RunError("run failed: two callbacks offer weights of their own: leave one of them out")
        self.files.offered = weights

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Offer to save before a run ends in the middle of a step."""
        assert isinstance(pl_module, TrainingModule)
        pl_module.skips.save = partial(self._save_unstarted, trainer)
        pl_module.skips.newest = partial(self._newest, trainer)
        if trainer.is_global_zero:
            self._finish_what_a_crash_left(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take back what Lightning counts twice: the step at whose start the checkpoint was saved.

        Stock callbacks (`LearningRateMonitor`) log at this count, and would be one step off after each resume.
        """
        loop = trainer.fit_loop.epoch_loop
        total = loop.batch_progress.total
        if loop.restarting and total.ready == total.completed + 1:
            total.ready = total.completed
            loop._batches_that_stepped -= 1  # noqa: SLF001 - `reset` adds it, as for a checkpoint of a batch's end

    def _finish_what_a_crash_left(self, trainer: pl.Trainer) -> None:
        """Remove halves of files, and give the checkpoint that is resumed the names that it should have."""
        for path in self._folder.glob("*.tmp"):
            path.unlink()
        if not trainer.ckpt_path:
            return
        path, last, name = Path(trainer.ckpt_path), self._folder / "last.ckpt", _name(self._saved_step)
        if path != last:  # a damaged file must not become the generation before
            link_checkpoint(path, last)
        if name in self._kept:
            self._keep(path, name, best=self._best() == name)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember that the weights of this moment were scored."""
        if trainer.sanity_checking:
            return
        self._num_scores += 1
        score = float(trainer.callback_metrics[self._options.monitor])
        if math.isfinite(score):
            self._pending = score

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save what is due, and end here where all processes agreed to stop."""
        assert isinstance(pl_module, TrainingModule)
        self.files.scribe.check()
        if pl_module.stop_agreed:
            if trainer.global_step != self._saved_step:
                self._save(trainer)
            self.files.scribe.wait()
            raise Stopped(f"stopped: saved at step {trainer.global_step} after a signal; continue with --resume")
        options, step = self._options, trainer.global_step
        at_epoch = batch_idx == 0 and trainer.current_epoch > 0 and trainer.current_epoch % options.every_n_epochs == 0
        at_step = options.every_n_steps is not None and step > 0 and step % options.every_n_steps == 0
        if (at_epoch or at_step or self._pending is not None) and step != self._saved_step:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of the run, and say where there was nothing to choose by."""
        if trainer.global_step != self._saved_step:
            self._save(trainer)
        self.files.scribe.close()
        if self._num_scores and not self._kept and trainer.is_global_zero:
            what = f"{self._options.monitor} was not finite in any of {self._num_scores} validations"
            print(f"warning: {what}: no best checkpoint was chosen, the last one is used", file=sys.stderr)  # noqa: T201 - must be seen

    def _save_unstarted(self, trainer: pl.Trainer) -> None:
        """Save in a step that changed nothing, as if it had not started."""
        if trainer.global_step == self._saved_step:
            return
        progress = trainer.fit_loop.epoch_loop.batch_progress
        for count in (progress.total, progress.current):
            assert isinstance(count, _StartedTracker)
            count.started -= 1
        self._save(trainer)
        self.files.scribe.wait()

    def _newest(self, trainer: pl.Trainer) -> Path | None:
        self.files.scribe.wait()
        trainer.strategy.barrier()  # the others must not read what the first process is about to replace
        last = self._folder / "last.ckpt"
        return last if last.exists() else None

    def _save(self, trainer: pl.Trainer) -> None:
        self._saved_step = trainer.global_step
        self.files.offered = {}
        name = self._take_place(trainer.global_step)
        trainer.save_checkpoint(self._folder / "last.ckpt")
        if trainer.is_global_zero:
            best = name is not None and self._best() == name
            self.files.scribe.submit(partial(self._sort, name, best=best, kept=frozenset(self._kept)))
            asked, self._asked = self._asked, []
            for path, kept in asked:
                self.files.scribe.submit(partial(_name_also, self._folder / "last.ckpt", path, kept))

    def _sort(self, name: str | None, *, best: bool, kept: frozenset[str]) -> None:
        """Give the checkpoint just written its names, and remove those that are no longer kept."""
        if name is not None:
            self._keep(self._folder / "last.ckpt", name, best=best)
        for path in self._folder.glob("step-*.ckpt"):
            if path.name not in kept:
                self.files.remove_checkpoint(path)

    def _keep(self, path: Path, name: str, *, best: bool) -> None:
        link_checkpoint(path, self._folder / name)
        if best:
            link_checkpoint(self._folder / name, self._folder / "best.ckpt")

    def _take_place(self, step: int) -> str | None:
        """Name under which the pending score is kept; None where it is not among the best."""
        score, self._pending = self._pending, None
        if score is None:
            return None
        name = _name(step)
        self._kept[name] = score
        ranked = sorted(self._kept, key=lambda kept: self._rank(self._kept[kept]))
        self._kept = {kept: self._kept[kept] for kept in ranked[: self._options.keep]}
        return name if name in self._kept else None

    def _rank(self, score: float) -> float:
        return score if self._options.mode == "min" else -score

    def _best(self) -> str:
        return min(self._kept, key=lambda kept: self._rank(self._kept[kept]))

    def state_dict(self) -> dict[str, Any]:
        """Scores of the kept files."""
        return {"kept": dict(self._kept), "step": self._saved_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back the scores; the step that is resumed is on disk already."""
        self._kept = dict(state_dict["kept"])
        self._saved_step = state_dict.get("step", -1)
