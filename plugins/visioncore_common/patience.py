"""Counting validations since a score was last better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from visioncore_engine.errors import ConfigError, Problem, nearest

__all__ = ["Patience", "monitored"]


class Patience:
    """How long a score has not improved by more than `min_delta`.

    Parameters
    ----------
    mode
        ``min`` or ``max``: what is better.
    min_delta
        Smallest change that is an improvement.

    Attributes
    ----------
    best
        Best score so far; None before the first that is a number.
    waited
        Scores since then.
    """

    def __init__(self, mode: str, min_delta: float) -> None:
        self._sign = 1.0 if mode == "max" else -1.0
        self._min_delta = min_delta
        self.best: float | None = None
        self.waited = 0

    def observe(self, score: float) -> int:
        """Take a score and return how many have passed without improvement; one that is NaN never improves."""
        if not math.isnan(score) and (
            self.best is None or self._sign * score > self._sign * self.best + self._min_delta
        ):
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        return self.waited

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a state."""
        best = state["best"]
        self.best, self.waited = (None if best is None else float(best)), int(state["waited"])


def monitored(scores: Mapping[str, float], monitor: str, key: str) -> float:
    """Value of a logged score.

    Raises
    ------
    ConfigError
        Where no such value was logged, naming those that were.
    """
    if monitor not in scores:
        close = nearest(monitor, scores)
        raise ConfigError(
            Problem(
                what=f"no such value is logged; there are {', '.join(sorted(scores)) or 'none'}",
                key=key,
                given=repr(monitor),
                todo=f"did you mean {close!r}?" if close else "choose one of them",
            )
        )
    return float(scores[monitor])
