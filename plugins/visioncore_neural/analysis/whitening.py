"""What pixels and frames of a stimulus have in common, and what is left without it.

Shapes: T frames, P pixels, K lags, N units, R windows of K frames.
"""

from __future__ import annotations

import numpy as np

__all__ = ["Whitening", "decorrelated"]


class Whitening:
    """Inverse covariance of a stimulus over lags and pixels, taken for that of time times that of space.

    ``A = (C_time x C_space + ridge m)^-1`` with the Kronecker product x and the mean variance m. The average before
    spikes times A is the linear filter of least squares (Theunissen et al., Network 2001), where space and time of the
    stimulus are separable.

    Parameters
    ----------
    stim
        float (T, P).
    first
        int64 (R,): where the windows begin.
    num_lags
        K.
    ridge
        Parts of m that are added to the diagonal.

    Attributes
    ----------
    deviation
        float64 (K, P): root of the diagonal of ``A C A``, the standard deviation of ``A`` times a window.
    """

    def __init__(self, stim: np.ndarray, first: np.ndarray, num_lags: int, ridge: float) -> None:
        space, _ = _covariance(stim[first + num_lags - 1])
        time = np.empty((num_lags, num_lags))
        for lag in range(num_lags):
            one = _centred(stim[first + lag])
            for other in range(lag + 1):
                time[lag, other] = time[other, lag] = np.vdot(one, _centred(stim[first + other]))
        (times, self._time), (spaces, self._space) = np.linalg.eigh(time), np.linalg.eigh(space)
        with np.errstate(divide="ignore", invalid="ignore"):  # a stimulus that never changes has no inverse: NaN
            times /= times.mean()
            values = np.maximum(np.outer(times, spaces), 0.0)
            self._inverse = 1.0 / (values + ridge * values.mean())
            self.deviation = np.sqrt(self._time**2 @ (values * self._inverse**2) @ self._space.T**2)

    def __call__(self, averages: np.ndarray) -> np.ndarray:
        """``A`` times averages (N, K, P), float64."""
        turned = self._time.T @ averages @ self._space
        return np.asarray(self._time @ (turned * self._inverse) @ self._space.T)


def decorrelated(stim: np.ndarray, frames: np.ndarray, ridge: float) -> np.ndarray:
    """Frames whose pixels are uncorrelated and vary alike: ``(C + ridge m)^-1/2 (x - mean)``, float64 (T, P).

    Parameters
    ----------
    stim
        float (T, P).
    frames
        int64: those from which mean and covariance C over pixels are taken.
    ridge
        Parts of the mean variance m that are added to the diagonal.
    """
    covariance, mean = _covariance(stim[frames])
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = vectors / np.sqrt(values + ridge * values.mean()) @ vectors.T
        return np.asarray((stim - mean) @ root)


def _centred(frames: np.ndarray) -> np.ndarray:
    values = frames.astype(np.float64)
    return np.asarray(values - values.mean(0))


def _covariance(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance over pixels (P, P) and mean (P,)."""
    values = _centred(frames)
    return values.T @ values / len(values), frames.mean(0, dtype=np.float64)
