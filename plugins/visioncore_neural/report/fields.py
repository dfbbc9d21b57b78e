"""Section: receptive fields of the best units, and where their readouts look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.contracts import Evaluation, GroupSpec
from visioncore_engine.report import ReportContext, Section, figure_html, new_figure, note_html
from visioncore_neural.analysis.gradients import rate_gradients
from visioncore_neural.analysis.parts import spatial_masks
from visioncore_neural.report.rows import UnitRows, unit_rows
from visioncore_neural.responses import response_task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["section"]

_NUM_UNITS = 10
_NUM_SESSIONS = 6
_NUM_PREDICTIONS = 64


@dataclass(frozen=True)
class _Picture:
    """One small image (H, W), with its title."""

    image: np.ndarray
    title: str


def section(context: ReportContext) -> Section | None:
    """Fields by gradient and readout masks; None for a run without the table ``units`` or for data without space."""
    units = unit_rows(context)
    if units is None:
        return None
    evaluation = context.evaluation(units.split)
    groups = {group.name: group for group in evaluation.dataset.groups}
    sessions = [name for name in units.sessions() if name in groups]
    shown = sessions[:_NUM_SESSIONS]
    best = {name: _best_units(units, groups[name]) for name in shown}
    fields = {name: _fields(evaluation, groups[name], best[name]) for name in shown}
    masks = {name: _masks(evaluation, groups[name], best[name]) for name in shown}
    body = _part(
        fields,
        "Receptive fields by gradient",
        "Derivative of the predicted rate with respect to the input, averaged over held-out predictions, at the lag "
        "where it is largest: red where more light raises the rate, blue where it lowers it. Where the mean vanishes, "
        "as in units that do not care about phase, only noise is left.",
        signed=True,
    )
    body += _part(
        masks, "Spatial masks", "Where each unit reads the features, in pixels of the features.", signed=False
    )
    if not body:
        return None
    if len(sessions) > len(shown):
        body += note_html(f"The first {len(shown)} of {len(sessions)} sessions; in each the {_NUM_UNITS} best units.")
    return Section("Receptive fields and masks", body, 140)


def _best_units(units: UnitRows, group: GroupSpec) -> list[tuple[int, str]]:
    """Columns of the best units of a session, with a title each; units without a score come last."""
    ids = response_task(group)[1].ids
    scores = units.scores()
    own = [row for row, name in enumerate(units.column("session")) if name == group.name]
    own.sort(key=lambda row: -np.nan_to_num(scores[row], nan=-np.inf))
    names = [(units.rows[row]["unit"], scores[row]) for row in own[:_NUM_UNITS]]
    return [(ids.index(name), f"{name}  {score:.2f}") for name, score in names]


def _fields(evaluation: Evaluation, group: GroupSpec, best: Sequence[tuple[int, str]]) -> list[_Picture]:
    model: Any = evaluation.model
    sources = {source.group.name: source for source in evaluation.dataset.sources(evaluation.split, model.history)}
    source = sources[group.name]
    if source.num_items == 0:
        return []
    mean = rate_gradients(model, source, [unit for unit, _ in best], num_predictions=_NUM_PREDICTIONS).mean
    pictures = []
    for field, (_, title) in zip(mean, best, strict=True):
        channel, frame = np.unravel_index(np.square(field).sum(axis=(2, 3)).argmax(), field.shape[:2])
        lag = (field.shape[1] - 1 - int(frame)) * (group.dt or 0.0) * 1000
        pictures.append(_Picture(field[channel, frame], f"{title}\n{lag:.0f} ms" if group.dt else title))
    return pictures


def _masks(evaluation: Evaluation, group: GroupSpec, best: Sequence[tuple[int, str]]) -> list[_Picture]:
    masks = spatial_masks(evaluation.model, group.name)
    return [] if masks is None else [_Picture(masks[unit], title) for unit, title in best]


def _part(rows: Mapping[str, Sequence[_Picture]], title: str, caption: str, *, signed: bool) -> str:
    """Lay out a grid of pictures, a row per session; nothing where there is no space to draw."""
    rows = {name: pictures for name, pictures in rows.items() if pictures and pictures[0].image.size > 1}
    if not rows:
        return ""
    flat = min(min(pictures[0].image.shape) for pictures in rows.values()) == 1
    side, head = (0.3 if flat else 0.94), (0.46 if signed else 0.3)  # of a column's width: picture, and title above
    figure = new_figure(1060, 104 * (side + head) * len(rows))
    axes = figure.subplots()  # a single one: laying out one axes per picture takes seconds
    for line, (name, pictures) in enumerate(rows.items()):
        top = -line * (side + head) - head
        axes.text(-0.08, top - side / 2, name, rotation=90, ha="right", va="center", fontsize=11)
        for column, picture in enumerate(pictures):
            _image(axes, picture, (column, column + 0.94, top - side, top), signed=signed)
    axes.set(xlim=(-0.3, _NUM_UNITS), ylim=(-len(rows) * (side + head), 0), aspect="equal")
    axes.set_axis_off()
    return f"<h3>{title}</h3>{figure_html(figure, title, caption)}"


def _image(axes: Axes, picture: _Picture, extent: tuple[float, float, float, float], *, signed: bool) -> None:
    largest = float(np.abs(picture.image).max()) or 1.0
    axes.imshow(
        picture.image,
        extent=extent,
        cmap="RdBu_r" if signed else "viridis",
        vmin=-largest if signed else 0.0,
        vmax=largest,
    )
    left, right, _, top = extent
    axes.text((left + right) / 2, top + 0.04, picture.title, fontsize=10, ha="center", va="bottom", linespacing=1.1)
