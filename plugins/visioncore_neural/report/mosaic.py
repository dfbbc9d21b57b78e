"""Many small images in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from visioncore_engine.report import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Picture", "mosaic"]

_WIDTH = 0.94  # of a column: what a picture takes


@dataclass(frozen=True)
class Picture:
    """One small image (H, W), with its title."""

    image: np.ndarray
    title: str


def mosaic(rows: Mapping[str, Sequence[Picture]], *, signed: bool) -> Figure:
    """Lay out pictures, a row per name.

    Parameters
    ----------
    rows
        Pictures of one height and width, by the name of their row.
    signed
        Whether 0 is in the middle of the colours; each picture has its own scale.
    """
    pictures = [picture for row in rows.values() for picture in row]
    num_columns = max(len(row) for row in rows.values())
    shape = pictures[0].image.shape
    height = min(max(shape[0] / shape[1], 0.25), 1.2) * _WIDTH  # of a column
    pixels = min(1020 / (num_columns + 0.3), 190)
    step = height + (18 + 13 * max(picture.title.count("\n") for picture in pictures)) / pixels
    figure = new_figure(pixels * (num_columns + 0.3) + 20, pixels * step * len(rows) + 12)
    axes = figure.subplots()  # a single one: laying out one axes per picture takes seconds
    for line, (name, row) in enumerate(rows.items()):
        bottom = -(line + 1) * step
        axes.text(-0.06, bottom + height / 2, name, rotation=90, ha="right", va="center", fontsize=11)
        for column, picture in enumerate(row):
            _draw(axes, picture, (column, column + _WIDTH, bottom, bottom + height), signed=signed)
    axes.set(xlim=(-0.3, num_columns), ylim=(-len(rows) * step, 0), aspect="auto")
    axes.set_axis_off()
    return figure


def _draw(axes: Axes, picture: Picture, extent: tuple[float, float, float, float], *, signed: bool) -> None:
    largest = float(np.abs(picture.image).max()) or 1.0
    axes.imshow(
        picture.image,
        extent=extent,
        cmap="RdBu_r" if signed else "viridis",
        vmin=-largest if signed else 0.0,
        vmax=largest,
    )
    left, right, _, top = extent
    axes.text((left + right) / 2, top + 0.03, picture.title, fontsize=10, ha="center", va="bottom", linespacing=1.1)
