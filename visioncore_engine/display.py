"""What a person sees while a run trains: first what will train, then how it goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from visioncore_engine.build import Parts
from visioncore_engine.listing import format_table
from visioncore_engine.module import TrainingModule
from visioncore_engine.schedule import Clock, value_at

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from visioncore_engine.contracts import Table

__all__ = ["ProgressDisplay", "describe_parts", "format_profile", "format_scores", "parameter_rows"]


def format_scores(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Scores of one or several splits: the overall ones side by side, then those of each group.

    Parameters
    ----------
    scores
        Per split: value by name; ``<score>/<group>`` is a group's.
    """
    overall = dict.fromkeys(name for found in scores.values() for name in found if "/" not in name)
    blocks = [
        format_table(("score", *scores), ([name, *(found.get(name) for found in scores.values())] for name in overall))
    ]
    for split, found in scores.items():
        groups = dict.fromkeys(name.partition("/")[2] for name in found if name.partition("/")[0] in overall)
        groups.pop("", None)
        main = [name for name in overall if any(f"{name}/{group}" in found for group in groups)]
        if groups:
            rows = ([group, *(found.get(f"{name}/{group}") for name in main)] for group in groups)
            blocks.append(format_table((split, *main), rows))
    return "\n\n".join(blocks)


def format_profile(found: Mapping[str, Any]) -> str:
    """What each plugin and component cost per step, and what is left for the engine; from `Profile.summary`."""
    whole = found["engine_ms"] + sum(row["ms"] - row["beside_ms"] for row in found["components"])
    rows: list[list[Any]] = []
    for plugin, cost in sorted(found["plugins"].items(), key=lambda item: -item[1]):
        own = [row for row in found["components"] if row["plugin"] == plugin]
        version = f" ({own[0]['origin']})" if "==" in own[0]["origin"] else ""
        rows.append([f"{plugin}{version}", cost, None, None])
        rows += ([f"  {row['kind']} {row['id']}", row["ms"], row["calls"], row["beside_ms"]] for row in own)
    rows += [["the engine, with backward passes", found["engine_ms"], None, None], ["a step", whole, None, None]]
    lines = [format_table(("plugin and component", "ms/step", "calls", "beside it"), rows)]
    lines.append(f"{found['steps']} steps, validations included; what stands beside a step ran in another thread")
    if found["unmeasured"]:
        lines.append(f"not measured: {', '.join(found['unmeasured'])}")
    return "\n".join(lines)


def describe_parts(parts: Parts, *, device: str, precision: str) -> str:
    """Say what will train: data, parameter groups, frozen parts, regularizers, length of the run."""
    summary: Table = parts.dataset.summary()
    parameters = parameter_rows(parts)
    blocks = [
        "Data",
        format_table(summary.columns, ([row[name] for name in summary.columns] for row in summary.rows)),
        "",
        "Parameters",
        format_table(parameters[0], (row.values() for row in parameters)),
        *_transferred(parts),
    ]
    if parts.regularization.regularizers or parts.objective.penalties:
        blocks += ["", "Regularizers", format_table(("id", "strength", "tensors", "first match"), _penalty_rows(parts))]
    steps = f"{parts.total_steps} steps of {parts.run.sampler.name}, {parts.steps_per_epoch} per epoch"
    blocks += ["", f"Training on {device} in {precision}: {steps}; the model sees {parts.history} frames of history."]
    return "\n".join(blocks)


def parameter_rows(parts: Parts) -> list[dict[str, Any]]:
    """Say what the optimizer moves: a row per parameter group, and one for what is frozen."""
    rows: list[dict[str, Any]] = [
        {
            "group": group.name,
            "tensors": len(group.parameters),
            "values": sum(parameter.numel() for parameter in group.parameters.values()),
            "rate": group.lr,
            "decay": group.weight_decay,
        }
        for group in parts.groups
    ]
    frozen = [parameter for parameter in parts.model.parameters() if not parameter.requires_grad]
    if frozen:
        num_values = sum(parameter.numel() for parameter in frozen)
        rows.append({"group": "frozen", "tensors": len(frozen), "values": num_values, "rate": None, "decay": None})
    return rows


def _transferred(parts: Parts) -> list[str]:
    """What was taken over, and for each part of the model what of it trains; nothing where no transfer is asked for."""
    if parts.run.transfer is None:
        return []
    rows: dict[str, dict[str, int]] = {}
    for name, parameter in parts.model.named_parameters():
        row = rows.setdefault(name.partition(".")[0], {"trains": 0, "frozen": 0})
        row["trains" if parameter.requires_grad else "frozen"] += parameter.numel()
    lines = [
        "",
        "What trains",
        format_table(("part", "values", "frozen"), ([part, *row.values()] for part, row in rows.items())),
    ]
    if parts.transfer is None:
        return lines
    counts = ("matched", "changed", "missing", "unexpected")
    table = format_table(
        ("part", *counts), ([row.part, *(len(getattr(row, count)) for count in counts)] for row in parts.transfer.parts)
    )
    return [
        *lines,
        "",
        f"Taken over from {parts.transfer.source}",
        table,
        *(f"note: {note}" for note in parts.transfer.notes),
    ]


def _penalty_rows(parts: Parts) -> list[list[Any]]:
    start = Clock(0, 0.0, 0.0)
    return [
        [active.id, value_at(active.strength, start), len(active.parameters), next(iter(active.parameters))]
        for active in parts.regularization.regularizers
    ] + [[own.id, value_at(own.strength, start), "outputs", ", ".join(own.match)] for own in parts.objective.penalties]


class ProgressDisplay(pl.Callback):
    """A progress bar with rate, loss and the monitored score on a terminal; a line per validation elsewhere.

    Parameters
    ----------
    total_steps
        Steps of the run.
    monitor
        The score that is shown.
    """

    def __init__(self, total_steps: int, monitor: str) -> None:
        self._total_steps, self._monitor = total_steps, monitor
        self._bar: tuple[Progress, TaskID] | None = None
        self._shown = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the empty bar."""
        if not sys.stdout.isatty():
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
        )
        bar.start()
        self._bar = (bar, bar.add_task("", total=self._total_steps, completed=trainer.global_step, text=""))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar, a few times a second."""
        now = time.monotonic()
        if self._bar is None or now - self._shown < 0.2:
            return
        self._shown = now
        assert isinstance(pl_module, TrainingModule)
        bar, task = self._bar
        loss = pl_module.recent_loss()
        parts = [] if loss is None else [f"loss {loss:.4f}"]
        parts += self._score(pl_module.scores)
        bar.update(task, total=pl_module.total_steps, completed=trainer.global_step, text=" ".join(parts))

    def _score(self, scores: Mapping[str, float]) -> list[str]:
        return [f"{self._monitor} {scores[self._monitor]:.4f}"] if self._monitor in scores else []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print a line where there is no bar."""
        assert isinstance(pl_module, TrainingModule)
        if self._bar is None and not trainer.sanity_checking:
            names = dict.fromkeys(("val/loss", self._monitor))
            text = "  ".join(f"{name} {pl_module.scores.get(name, float('nan')):.4f}" for name in names)
            print(f"epoch {trainer.current_epoch + 1}  step {trainer.global_step}  {text}", flush=True)  # noqa: T201 - a display

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the bar down."""
        self._close(trainer.global_step)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Take the bar down before an error is shown."""
        self._close(trainer.global_step)

    def _close(self, step: int) -> None:
        if self._bar is not None:
            bar, task = self._bar
            bar.update(task, completed=step)
            bar.stop()
            self._bar = None
