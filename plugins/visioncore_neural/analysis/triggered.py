"""Averages around events: stimuli before spikes, rates around saccades. T frames, N units, K lags, E events."""

from __future__ import annotations

import numpy as np

from visioncore_neural.analysis.whitening import Whitening
from visioncore_neural.metrics.repeats import CONSTANT

__all__ = ["detect_saccades", "event_averages", "separated", "spike_triggered"]


def spike_triggered(
    stim: np.ndarray,
    trial: np.ndarray,
    frames: np.ndarray,
    weights: np.ndarray,
    valid: np.ndarray,
    *,
    num_lags: int,
    ridge: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Average stimulus before spikes, with its deviation from chance.

    Parameters
    ----------
    stim
        float (T, P), values of all pixels.
    trial
        int (T,): lags that reach into another trial, or into none (-1), do not count.
    frames
        int64 (R,), the frames that responses are for.
    weights
        float64 (R, N), spikes or predicted rates.
    valid
        bool (R, N).
    num_lags
        K.
    ridge
        Multiply the average by the inverse covariance of the stimulus, with this ridge (`Whitening`); None does not.

    Returns
    -------
    average, z
        float64 (N, K, P), lags oldest first (the last one is the frame of the response itself): the average over frames
        weighted by the response, less the mean over the same frames; and that over its standard deviation if responses
        were shuffled over frames. NaN for a unit whose response does not vary.
    """
    frames = np.asarray(frames)
    first = frames - (num_lags - 1)
    trial = np.asarray(trial)
    starts = np.flatnonzero(np.diff(trial, prepend=trial[:1] - 1) != 0)
    since = starts[np.searchsorted(starts, np.arange(len(trial)), side="right") - 1]
    whole = (first >= since[frames]) & (trial[frames] >= 0)
    counts = valid & whole[:, None]
    num = counts.sum(0)
    kept = np.where(counts, weights, 0.0)
    total = kept.sum(0)
    known = (num > 1) & (total > 0)
    mean_weight = total / np.maximum(num, 1)
    centred = np.where(counts, kept - mean_weight, 0.0)
    spread = np.sqrt((centred**2).sum(0) / np.maximum(num, 1))
    known &= spread**2 > CONSTANT * mean_weight**2  # what is left of a constant prediction is rounding
    shape = (weights.shape[1], num_lags, stim.shape[1])
    product, deviation = np.zeros(shape), np.zeros(shape)
    for lag in range(num_lags):
        seen = stim[np.maximum(first + lag, 0)].astype(np.float64)
        seen = seen - seen[whole].mean(0) if whole.any() else seen
        product[:, lag] = centred.T @ seen
        mean = counts.T.astype(np.float64) @ seen / np.maximum(num, 1)[:, None]
        square = counts.T.astype(np.float64) @ seen**2 / np.maximum(num, 1)[:, None]
        deviation[:, lag] = np.sqrt(np.maximum(square - mean**2, 0.0))
    if ridge is not None and whole.any():
        whitening = Whitening(stim, first[whole], num_lags, ridge)
        product, deviation = whitening(product), np.broadcast_to(whitening.deviation, shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        average = product / total[:, None, None]
        z = product / ((np.sqrt(num) * spread)[:, None, None] * deviation)
    average[~known] = z[~known] = np.nan
    return average, np.where(np.isfinite(z), z, np.nan)


def detect_saccades(
    eyepos: np.ndarray, trial: np.ndarray, dt: float, *, speed: float, shortest: float, longest: float
) -> np.ndarray:
    """Frames in which the eye begins to move faster than `speed`, int64 (E,).

    Parameters
    ----------
    eyepos
        (T, 2) degrees; what is not finite begins no saccade.
    trial
        int (T,): movements between trials are none.
    dt
        Seconds per frame.
    speed
        Degrees per second.
    shortest, longest
        Bounds of the interval since the saccade before, in seconds; see `separated`.
    """
    position = np.asarray(eyepos, dtype=np.float64)
    moved = np.linalg.norm(np.diff(position, axis=0, prepend=position[:1]), axis=1) / dt
    trial = np.asarray(trial)
    inside = np.diff(trial, prepend=trial[:1] - 1) == 0
    fast = np.isfinite(moved) & (moved > speed) & inside & (trial >= 0)
    return separated(np.flatnonzero(fast & ~np.r_[False, fast[:-1]]), trial, dt, shortest=shortest, longest=longest)


def separated(events: np.ndarray, trial: np.ndarray, dt: float, *, shortest: float, longest: float) -> np.ndarray:
    """Events that follow the one before after an interval within bounds, int64; the first of a trial is kept."""
    events, trial = np.sort(np.asarray(events, dtype=np.int64)), np.asarray(trial)
    if not len(events):
        return events
    gap = np.diff(events, prepend=events[:1]) * dt
    alone = np.r_[True, trial[events[1:]] != trial[events[:-1]]]
    return np.asarray(events[alone | ((gap >= shortest - 1e-9) & (gap <= longest + 1e-9))])


def event_averages(
    values: np.ndarray,
    frames: np.ndarray,
    valid: np.ndarray,
    trial: np.ndarray,
    events: np.ndarray,
    *,
    lags: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of values at lags around events, float64 (lags, N), and how many went into each, (lags, N).

    Parameters
    ----------
    values, valid
        (R, N), and which of them count.
    frames
        int64 (R,), rising: the frames that rows are for.
    trial
        int (T,): frames of another trial than the event's do not count.
    events
        int64 (E,), frames.
    lags
        int64, frames after the event; negative ones come before it.
    """
    row = np.full(len(trial), -1, dtype=np.int64)
    row[frames] = np.arange(len(frames))
    total = np.zeros((len(lags), values.shape[1]))
    num = np.zeros(total.shape, dtype=np.int64)
    for place, lag in enumerate(lags):
        at = events + lag
        at, own = at[(at >= 0) & (at < len(trial))], events[(at >= 0) & (at < len(trial))]
        rows = row[at[trial[at] == trial[own]]]
        rows = rows[rows >= 0]
        total[place] = np.where(valid[rows], values[rows], 0.0).sum(0)
        num[place] = valid[rows].sum(0)
    return np.divide(total, num, out=np.full(total.shape, np.nan), where=num > 0), num
