"""Section: receptive fields of the best units, and where their readouts look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.contracts import Evaluation, GroupSpec
from visioncore_engine.report import SERIES, ReportContext, Section, figure_html, new_figure, note_html
from visioncore_neural.analysis.gradients import rate_gradients
from visioncore_neural.analysis.parts import spatial_masks
from visioncore_neural.report.mosaic import Picture, mosaic
from visioncore_neural.report.rows import UnitRows, unit_rows
from visioncore_neural.responses import response_task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["section"]

_NUM_UNITS = 10
_NUM_SESSIONS = 6
_NUM_PREDICTIONS = 64

_FIELDS = (
    "Derivative of the predicted rate with respect to the input, averaged over held-out predictions, at the lag where "
    "it is largest: red where more light raises the rate, blue where it lowers it. Where the mean vanishes, as in "
    "units that do not care about phase, only noise is left."
)
_COURSES = (
    "Mean derivative of the predicted rate with respect to the input over the lag, at the pixel where it is largest "
    "and relative to its largest value; a colour per unit, later channels of the input dashed."
)
_MASKS = "Where each unit reads the features, in pixels of the features."


def section(context: ReportContext) -> Section | None:
    """Fields and their time courses by gradient, and masks of readouts; None for a run without the table ``units``."""
    units = unit_rows(context)
    if units is None:
        return None
    evaluation = context.evaluation(units.split)
    groups = {group.name: group for group in evaluation.dataset.groups}
    sessions = [name for name in units.sessions() if name in groups]
    best = {name: _best_units(units, groups[name]) for name in sessions[:_NUM_SESSIONS]}
    fields = {name: field for name in best if (field := _fields(evaluation, groups[name], best[name])) is not None}
    pictures = {name: _pictures(field, best[name], groups[name].dt) for name, field in fields.items()}
    body = _mosaic("Receptive fields by gradient", pictures, _FIELDS, signed=True)
    if fields:
        figure = _courses(fields, best, groups)
        body += "<h3>Time courses by gradient</h3>" + figure_html(figure, "Time courses of receptive fields", _COURSES)
    masks = {name: _masks(evaluation, name, best[name]) for name in best}
    body += _mosaic("Spatial masks", masks, _MASKS, signed=False)
    if len(sessions) > len(best):
        body += note_html(f"The first {len(best)} of {len(sessions)} sessions; in each the {_NUM_UNITS} best units.")
    return Section("Receptive fields and masks", body, 140) if body else None


def _best_units(units: UnitRows, group: GroupSpec) -> list[tuple[int, str]]:
    """Columns of the best units of a session, with a title each; units without a score come last."""
    ids = response_task(group)[1].ids
    scores = units.scores()
    own = [row for row, name in enumerate(units.column("session")) if name == group.name]
    own.sort(key=lambda row: -np.nan_to_num(scores[row], nan=-np.inf))
    names = [(units.rows[row]["unit"], scores[row]) for row in own[:_NUM_UNITS]]
    return [(ids.index(name), f"{name}: {score:z.2f}") for name, score in names]


def _fields(evaluation: Evaluation, group: GroupSpec, best: Sequence[tuple[int, str]]) -> np.ndarray | None:
    """Mean gradients (units, C, K, H, W); None where the split has no window of the session."""
    model: Any = evaluation.model
    sources = {source.group.name: source for source in evaluation.dataset.sources(evaluation.split, model.history)}
    if sources[group.name].num_items == 0 or not getattr(model, "uses_inputs", True):
        return None
    chosen = [unit for unit, _ in best]
    return rate_gradients(model, sources[group.name], chosen, num_predictions=_NUM_PREDICTIONS).mean


def _pictures(fields: np.ndarray, best: Sequence[tuple[int, str]], dt: float | None) -> list[Picture]:
    found = []
    for field, (_, title) in zip(fields, best, strict=True):
        channel, frame = np.unravel_index(np.square(field).sum(axis=(2, 3)).argmax(), field.shape[:2])
        lag = (field.shape[1] - 1 - int(frame)) * (dt or 1.0)
        found.append(Picture(field[channel, frame], f"{title}\n" + (f"{lag * 1000:.0f} ms" if dt else f"{lag:.0f}")))
    return found


def _masks(evaluation: Evaluation, group: str, best: Sequence[tuple[int, str]]) -> list[Picture]:
    masks = spatial_masks(evaluation.model, group)
    return [] if masks is None else [Picture(masks[unit], title) for unit, title in best]


def _mosaic(title: str, rows: Mapping[str, Sequence[Picture]], caption: str, *, signed: bool) -> str:
    """Pictures with a heading; nothing where there is no space to draw."""
    spatial = {name: pictures for name, pictures in rows.items() if pictures and pictures[0].image.size > 1}
    if not spatial:
        return ""
    return f"<h3>{title}</h3>{figure_html(mosaic(spatial, signed=signed), title, caption)}"


def _courses(
    fields: Mapping[str, np.ndarray], best: Mapping[str, Sequence[tuple[int, str]]], groups: Mapping[str, GroupSpec]
) -> Figure:
    num_rows = -(-len(fields) // 3)
    figure = new_figure(1060, 240 * num_rows)
    panels = figure.subplots(num_rows, 3, squeeze=False).flatten()
    for axes in panels[len(fields) :]:
        axes.set_axis_off()
    for axes, (name, session) in zip(panels, fields.items(), strict=False):
        scale = 1000 * dt if (dt := groups[name].dt) else 1.0
        lags = np.arange(session.shape[2])[::-1] * scale
        for index, (field, (_, title)) in enumerate(zip(session, best[name], strict=True)):
            row, column = np.unravel_index(np.square(field).sum(axis=(0, 1)).argmax(), field.shape[2:])
            course = field[:, :, row, column] / (np.abs(field[:, :, row, column]).max() or 1.0)
            for channel, line in zip(course, ("-", "--", ":"), strict=False):
                colour = SERIES[index % len(SERIES)]
                label = title.partition(":")[0] if line == "-" else None
                axes.plot(lags, channel, linestyle=line, color=colour, linewidth=1.3, alpha=0.8, label=label)
        axes.set(title=name, xlabel="lag (ms)" if groups[name].dt else "lag (frames)", ylim=(-1.1, 1.1))
    panels[0].set_ylabel("relative gradient")
    return figure
