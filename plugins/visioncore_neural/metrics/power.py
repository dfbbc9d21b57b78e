"""Signal power of repeated responses, and correlations normalised by it. R frames of a repeated clip, N units."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from visioncore_engine.contracts import MetricFacts
from visioncore_engine.options import Options
from visioncore_neural.metrics.correlation import average_correlation
from visioncore_neural.metrics.repeats import CONSTANT, RepeatMetric, averages
from visioncore_neural.options.metric import CCNormOptions

__all__ = ["CCAbs", "CCMax", "CCNorm", "max_correlation", "signal_power"]


def signal_power(sums: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Estimate how much of a response's variance over frames is repeated.

    With m_i the average response to frame i, variances over frames (each frame alike, divided by their number) and TP
    the variance of single responses, the signal power of Sahani and Linden (NIPS 15, 2003) is::

        SP = (n Var(m) - TP) / (n - 1)

    where n is the number of repeats, or, where it varies, sqrt(sum_i (t_i - 1) / sum_i (t_i - 1) / t_i^2) over the
    frames, as in the software of Wang et al. (Nature 640, 2025). TP is taken over all responses together, because sums
    per frame know no trials: where every trial has the same mean this is the mean of the variances of single trials
    that Schoppe et al. (Front. Comput. Neurosci. 10:10, 2016) take, and a drift from trial to trial with variance D
    makes theirs larger by D / (n - 1).

    Returns
    -------
    power, variance
        SP, and Var(m), float64 (N,); NaN where fewer than two frames count or the average does not vary.
    """
    n, counts = sums["n"], sums["n"] >= 2
    num = _or_nan(counts.sum(axis=0).astype(np.float64), at_least=2)
    mean = averages(sums, "y")
    square = (mean * mean).sum(axis=0) / num
    variance = square - (mean.sum(axis=0) / num) ** 2
    variance = np.where(variance > CONSTANT * square, variance, np.nan)
    total = averages(sums, "yy").sum(axis=0) / num - (mean.sum(axis=0) / num) ** 2
    spare = np.where(counts, n - 1.0, 0.0)
    weighed = (spare / np.maximum(n, 1.0) ** 2).sum(axis=0)
    repeats = np.sqrt(spare.sum(axis=0) / np.where(weighed > 0, weighed, np.nan))
    return np.asarray((repeats * variance - total) / (repeats - 1.0)), np.asarray(variance)


def max_correlation(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    """CCmax, sqrt(SP / Var(m)), float64 (N,): NaN where the signal power is not positive."""
    power, variance = signal_power(sums)
    return np.asarray(np.sqrt(np.where(power > 0, power, np.nan) / variance))


class CCAbs(RepeatMetric):
    """CCabs: correlation of the average response with the average prediction, as `correlation_to_average`.

    NaN where either does not vary.
    """

    name = "cc_abs"
    sums = ("n", "x", "y")

    def __init__(self, options: Options, facts: MetricFacts) -> None:
        del options  # it has none
        super().__init__(facts)

    def scores(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """CCabs of each unit."""
        return average_correlation(sums)


class CCMax(RepeatMetric):
    """CCmax: the correlation to the average that a model without error is expected to have (`signal_power`).

    A property of the recording, not of the model. NaN where the estimated signal power is not positive, as it is for
    half of the units that do not answer to the stimulus, and where a unit is silent.
    """

    name = "cc_max"
    sums = ("n", "y", "yy")

    def __init__(self, options: Options, facts: MetricFacts) -> None:
        del options  # it has none
        super().__init__(facts)

    def scores(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """CCmax of each unit."""
        return max_correlation(sums)


class CCNorm(RepeatMetric):
    """CCnorm = CCabs / CCmax (Schoppe et al. 2016), not clamped: a good model is above 1 for some units.

    NaN where CCmax is less than `min_cc_max` or cannot be estimated, and where the prediction does not vary: a unit
    without a signal would otherwise be divided by almost nothing.
    """

    name = "cc_norm"
    sums = ("n", "x", "y", "yy")

    def __init__(self, options: CCNormOptions, facts: MetricFacts) -> None:
        super().__init__(facts)
        self._least = options.min_cc_max

    def scores(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """CCnorm of each unit."""
        return np.asarray(average_correlation(sums) / _or_nan(max_correlation(sums), at_least=self._least))


def _or_nan(values: np.ndarray, at_least: float) -> np.ndarray:
    return np.asarray(np.where(values >= at_least, values, np.nan))
