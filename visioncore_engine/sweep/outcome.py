"""What became of a run of a sweep."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from visioncore_engine.sweep.plan import Point

__all__ = ["Outcome", "score_of"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    point
        The run.
    state
        ``finished``, ``was finished`` (in an earlier call), ``failed``, ``stopped`` (saved: it goes on with the
        next call), ``not started``, ``submitted``.
    code
        Exit code of its last process; None where there was none.
    last_lines
        The end of what it said, where it failed.
    """

    point: Point
    state: str
    code: int | None = None
    last_lines: tuple[str, ...] = ()

    @property
    def score(self) -> float | None:
        """The monitored score of the best checkpoint; None where there is none."""
        return score_of(self.point)

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.point.name,
            "folder": str(self.point.folder.path),
            "state": self.state,
            "code": self.code,
            "score": self.score,
            "last_lines": list(self.last_lines),
        }


def score_of(point: Point) -> float | None:
    """Score of a finished run on its validation split, by the name that it monitors."""
    path = point.folder.path / "scores.json"
    if not path.is_file():
        return None
    scores = json.loads(path.read_text(encoding="utf-8")).get("validation", {})
    value = scores.get(point.resolved.run.checkpoint.monitor.removeprefix("val/"))
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
