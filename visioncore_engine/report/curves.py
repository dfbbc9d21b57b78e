"""Learning curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visioncore_engine.report.context import ReportContext
from visioncore_engine.report.figure import FAINT, INK, SERIES, figure_html, new_figure
from visioncore_engine.report.logged import Curve
from visioncore_engine.report.section import Section, note_html

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Best", "best_of", "curves_section", "main_scores"]

_MANY = 12  # groups that are still worth a line each


@dataclass(frozen=True)
class Best:
    """The best validation of the run: the monitored name, which way is better, its value, and when."""

    name: str
    mode: str
    value: float
    step: int


def best_of(context: ReportContext) -> Best | None:
    """Best logged value of what the run monitors; None where it was not logged."""
    checkpoint = context.run.get("checkpoint") or {}
    name = str(checkpoint.get("monitor", "val/loss"))
    curve = context.logged.curves.get(name)
    if curve is None:
        return None
    mode = str(checkpoint.get("mode", "min"))
    at = int((np.argmax if mode == "max" else np.argmin)(curve.values))
    return Best(name, mode, curve.values[at], curve.steps[at])


def main_scores(context: ReportContext) -> list[str]:
    """Name what is shown: each metric's first logged scalar, in the order of the run file, and the monitored one."""
    names = [f"val/{(_declared_logs(context, block) or (block,))[0]}" for block in _blocks(context.run.get("metrics"))]
    best = best_of(context)
    names += [best.name] if best is not None and best.name != "val/loss" else []
    return [name for name in dict.fromkeys(names) if name in context.logged.curves]


def curves_section(context: ReportContext) -> Section:
    """Losses, rates and the main score of every metric over optimizer steps."""
    logged = context.logged
    if not logged.curves:
        text = "No logged values: the run folder holds no readable metrics.jsonl or metrics.csv."
        return Section("Learning curves", note_html(text), 20)
    best = best_of(context)
    panels = [_losses(logged.curves, best)]
    panels += [_score(context, name, best) for name in main_scores(context)]
    panels += [_rates(logged.curves)]
    body = f'<div class="panels">{"".join(filter(None, panels))}</div>'
    if logged.damaged:
        body += note_html(f"{logged.damaged} lines of {logged.source} cannot be read; the curves leave them out.")
    return Section("Learning curves", body, 20)


def _losses(curves: Mapping[str, Curve], best: Best | None) -> str:
    shown = [(name, curves[name]) for name in ("train/loss", "val/loss") if name in curves]
    if not shown:
        return ""
    figure = new_figure()
    axes: Axes = figure.subplots()
    for (name, curve), colour in zip(shown, SERIES, strict=False):
        _line(axes, curve, colour, name)
    _frame(axes, "Loss", "loss")
    axes.set_ylim(*_robust([value for _, curve in shown for value in curve.values]))
    _mark(axes, best if best and best.name == "val/loss" else None)
    axes.legend()
    return figure_html(figure, "Training and validation loss over optimizer steps")


def _score(context: ReportContext, name: str, best: Best | None) -> str:
    curves = context.logged.curves
    figure = new_figure()
    axes: Axes = figure.subplots()
    groups = [group for group in _groups(context) if f"{name}/{group}" in curves]
    for group in groups if 1 < len(groups) <= _MANY else ():
        curve = curves[f"{name}/{group}"]
        axes.plot(curve.steps, curve.values, color=FAINT, linewidth=1.2)
        axes.annotate(f" {group}", (curve.steps[-1], curve.values[-1]), color=INK, fontsize=9, va="center", alpha=0.7)
    _line(axes, curves[name], SERIES[0], name)
    title = name.removeprefix("val/")
    _frame(axes, title.replace("_", " "), "validation")
    _mark(axes, best if best and best.name == name else None)
    return figure_html(figure, f"{name} over optimizer steps")


def _rates(curves: Mapping[str, Curve]) -> str:
    rates = {name.removeprefix("rate/"): curve for name, curve in curves.items() if name.startswith("rate/")}
    if not rates:
        return ""
    figure = new_figure()
    axes: Axes = figure.subplots()
    for index, (name, curve) in enumerate(rates.items()):
        # Groups often share one rate: later ones are drawn thinner, so that the earlier ones stay visible.
        width = max(1.2, 4.0 - 1.4 * index)
        colour, marker = SERIES[index % len(SERIES)], "o" if len(curve.steps) < 3 else ""
        axes.plot(curve.steps, curve.values, color=colour, marker=marker, linewidth=width, label=name)
    _frame(axes, "Learning rates", "rate")
    if any(value > 0 for curve in rates.values() for value in curve.values):
        axes.set_yscale("log", nonpositive="mask")  # a rate of exactly 0 has no logarithm
    axes.yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    axes.legend()
    return figure_html(figure, "Learning rate of each parameter group over optimizer steps, logarithmic")


def _line(axes: Axes, curve: Curve, colour: str, label: str) -> None:
    marker = "o" if len(curve.steps) < 40 else ""
    axes.plot(curve.steps, curve.values, color=colour, label=label, marker=marker, markersize=3.5)


def _frame(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("optimizer steps")
    axes.set_ylabel(label)


def _mark(axes: Axes, best: Best | None) -> None:
    if best is None:
        return
    right = best.step > np.mean(axes.get_xlim())
    axes.plot([best.step], [best.value], "o", color=INK, markersize=6, markerfacecolor="none")
    axes.annotate(
        f"best {best.value:.4g}",
        (best.step, best.value),
        xytext=(-4 if right else 4, 8 if best.mode == "max" else -16),  # on the side where the curve is not
        textcoords="offset points",
        ha="right" if right else "left",
        color=INK,
        fontsize=11,
    )


def _robust(values: Sequence[float]) -> tuple[float, float]:
    """Limits that show the course of a loss, not only the height it fell from."""
    low, high = float(np.min(values)), float(np.quantile(values, 0.97))
    margin = 0.08 * (high - low) or max(abs(low), 1.0) * 0.1
    return low - margin, high + margin


def _groups(context: ReportContext) -> list[str]:
    data = context.record.get("data")
    return [str(name) for name in data] if isinstance(data, Mapping) else []


def _blocks(metrics: object) -> list[str]:
    """Names of the blocks of a list or mapping in a resolved run."""
    if isinstance(metrics, Mapping):
        return [_name(block) or str(id_) for id_, block in metrics.items()]
    return [name for block in metrics if (name := _name(block))] if isinstance(metrics, Iterable) else []


def _name(block: object) -> str:
    return str(block.get("name", "")) if isinstance(block, Mapping) else str(block or "")


def _declared_logs(context: ReportContext, reference: str) -> tuple[str, ...]:
    from visioncore_engine.errors import PluginError

    try:
        return context.registry.find("metric", reference).component.logs
    except PluginError:  # not installed here: its name is the best guess
        return ()
