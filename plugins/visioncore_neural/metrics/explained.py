"""Explained variance and oracle of repeated responses. R frames of a repeated clip, N units."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from visioncore_engine.contracts import MetricFacts
from visioncore_engine.options import Options
from visioncore_neural.metrics.correlation import correlation
from visioncore_neural.metrics.repeats import CONSTANT, RepeatMetric, averages
from visioncore_neural.metrics.summary import scored
from visioncore_neural.options.metric import FEVEOptions

__all__ = ["FEVE", "Oracle", "explainable"]


def explainable(sums: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Variance of single responses, and the part of it that is noise, both float64 (N,).

    The total variance is that of all responses (divided by their number less one); the noise is the variance over the
    repeats of a frame (divided by their number less one), averaged over frames. Both NaN for a unit whose response does
    not vary.
    """
    n = sums["n"]
    samples = n.sum(axis=0)
    samples = np.where(samples > 0, samples, np.nan)
    square = sums["yy"].sum(axis=0) / samples
    total = square - (sums["y"].sum(axis=0) / samples) ** 2
    total = np.where(total > CONSTANT * square, total * samples / (samples - 1.0), np.nan)
    inside = (sums["yy"] - sums["y"] * averages(sums, "y")) / np.maximum(n - 1.0, 1.0)
    return total, inside.sum(axis=0) / np.where(np.isnan(total), np.nan, np.maximum((n >= 2).sum(axis=0), 1))


class FEVE(RepeatMetric):
    """Fraction of the explainable variance that is explained (Cadena et al., PLoS Comput. Biol. 15, 2019).

    With the total variance S, the noise N (`explainable`) and the mean squared error E of the predictions::

        FEV = (S - N) / S            FEVE = 1 - (E - N) / (S - N)

    Not clamped. NaN where FEV is less than `min_fev`, and where a unit's response does not vary: there is nothing to
    explain. ``fev`` is the mean FEV of all units for which it is defined, scored or not.
    """

    name = "feve"
    sums = ("n", "y", "yy", "error")

    def __init__(self, options: FEVEOptions, facts: MetricFacts) -> None:
        super().__init__(facts)
        self._least = options.min_fev

    def scores(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """FEVE of each unit."""
        total, noise = explainable(sums)
        error = sums["error"].sum(axis=0) / np.maximum(sums["n"].sum(axis=0), 1.0)
        signal = total - noise
        enough = (signal > 0) & (signal >= self._least * total)
        return np.asarray(1.0 - (error - noise) / np.where(enough, signal, np.nan))

    def more(self, sums: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, float]:
        """Mean FEV."""
        parts = {group: explainable(own) for group, own in sums.items()}
        values = scored({group: (total - noise) / total for group, (total, noise) in parts.items()})
        return {"fev": float(values.mean()) if len(values) else float("nan")}


class Oracle(RepeatMetric):
    """Oracle correlation: single responses against the average of the other repeats of their frame (jackknife).

    A property of the recording, not of the model: what a prediction that is as good as the other repeats would reach
    in single-trial correlation. It is somewhat lower than the true ceiling, because that average is noisy too. NaN
    where a unit's response does not vary.
    """

    name = "oracle"
    sums = ("n", "y", "yy")

    def __init__(self, options: Options, facts: MetricFacts) -> None:
        del options  # it has none
        super().__init__(facts)

    def scores(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """Oracle correlation of each unit."""
        n, y, yy = sums["n"], sums["y"], sums["yy"]
        # The others' average is (y_i. - y_ij) / (t_i - 1): its sums over j follow from those of y.
        others = np.maximum(n - 1.0, 1.0)
        pairs = {
            "n": n,
            "x": y,
            "y": y,
            "xx": yy,
            "yy": ((n - 2.0) * y**2 + yy) / others**2,
            "xy": (y**2 - yy) / others,
        }
        return correlation({key: value.sum(axis=0) for key, value in pairs.items()})
