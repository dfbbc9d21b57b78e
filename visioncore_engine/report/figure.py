"""Figures of a report: drawn without pyplot, and set into the page as SVG that follows its light or dark colours."""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visioncore_engine.report.section import escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FAINT", "INK", "SERIES", "drawing", "figure_html", "figure_png", "new_figure"]

INK = "#24292f"
"""Colour of text and axes."""
FAINT = "#a8b0b9"
"""Colour of what stays behind: grids, groups behind their mean."""
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of data, told apart by colour-blind readers (Okabe and Ito, https://jfly.uni-koeln.de/color)."""

_DPI = 72  # one point is one unit of the SVG, so that sizes are in pixels

# Colours that the page redefines in the dark; what is written here is their light value.
_VARIABLES = {INK: "--ink", FAINT: "--faint"} | {colour: f"--series-{i}" for i, colour in enumerate(SERIES, start=1)}

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 12,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "figure.dpi": _DPI,
    "savefig.dpi": _DPI,
    "grid.color": FAINT,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "text.parse_math": False,  # a name with two dollar signs is a name, not a formula
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "svg.fonttype": "none",
    "svg.hashsalt": "visioncore",  # equal figures are equal bytes
    "image.interpolation": "none",
    "image.cmap": "viridis",
}


def _writable_configuration() -> None:
    """Give matplotlib a folder for its font cache where the home folder cannot hold one."""
    if "MPLCONFIGDIR" in os.environ:
        return
    try:
        with tempfile.TemporaryFile(dir=Path.home()):
            return
    except (OSError, RuntimeError):  # RuntimeError: no home folder at all
        folder = tempfile.mkdtemp(prefix="visioncore-matplotlib-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["MPLCONFIGDIR"] = folder


@contextmanager
def drawing() -> Iterator[None]:
    """Style in which figures are drawn, whatever the user's matplotlibrc says; report sections run inside it."""
    _writable_configuration()
    from cycler import cycler
    from matplotlib import style

    with style.context({**_STYLE, "axes.prop_cycle": cycler(color=SERIES)}, after_reset=True):
        yield


def new_figure(width: float = 520, height: float = 280) -> Figure:
    """Empty figure.

    Parameters
    ----------
    width, height
        In pixels of a page 1100 pixels wide; narrower ones stand side by side.
    """
    _writable_configuration()
    from matplotlib.figure import Figure

    return Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout="constrained")


def figure_html(figure: Figure, alt: str, caption: str = "") -> str:
    """Set a figure into the page.

    Parameters
    ----------
    figure
        The figure; artists with ``rasterized=True`` become a picture inside it, which keeps large ones small.
    alt
        What it shows, for readers who cannot see it.
    caption
        Plain text below it.

    Returns
    -------
    An SVG without any address, whose colours `INK`, `FAINT` and `SERIES` follow the page's colour scheme.
    """
    import matplotlib as mpl

    target = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "visioncore", "text.parse_math": False}):
        figure.savefig(target, format="svg", transparent=True)
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    svg = _inlined(target.getvalue()).replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)
    return f"<figure>{svg}{below}</figure>"


def figure_png(figure: Figure) -> bytes:
    """Return a figure as a PNG picture on white, for files beside the page."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=2 * _DPI, facecolor="white")
    return target.getvalue()


def _inlined(svg: str) -> str:
    """Cut from a matplotlib SVG what HTML does not need, and make its ids unique on the page."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    mark = hashlib.sha256(svg.encode()).hexdigest()[:8]
    head, body = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    width = re.search(r'width="([\d.]+)pt"', head)
    assert box is not None
    assert width is not None
    body = re.sub(r'<g id="[a-z]\w*_\d+">', "<g>", body)  # names of artists, of no use here
    body = re.sub(r'\bid="', f'id="{mark}-', body)
    body = re.sub(r'\b(?:xlink:)?href="#', f'href="#{mark}-', body)
    body = body.replace("xlink:href=", "href=").replace("url(#", f"url(#{mark}-")
    for colour, variable in _VARIABLES.items():
        body = body.replace(f": {colour}", f": var({variable})")
    return f'<svg {box[0]} style="max-width:{float(width[1]):.0f}px">{body.strip()}'
