"""Fixed temporal bases. K frames, oldest first: the last entry is the current frame."""

from __future__ import annotations

import numpy as np

from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.options.frontend import TemporalBasisOptions

__all__ = ["raised_cosines", "temporal_basis"]


def raised_cosines(options: TemporalBasisOptions, dt: float) -> np.ndarray:
    """Make ``(1 + cos(clip(pi (u - p) / (2 d), -pi, pi))) / 2``, u the lag or its logarithm, peaks p at distance d.

    Pillow et al. (J. Neurosci. 2005). Neighbours overlap by half, so that at every lag between the first and the last
    peak the functions sum to 2. Lags are taken at the middle of frames.

    Returns
    -------
    float64 (num_cosines, kernel_size), oldest frame first.
    """
    lags = (np.arange(options.kernel_size)[::-1] + 0.5) * dt * 1000

    def place(milliseconds: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(milliseconds + options.offset_ms) if options.spacing == "log" else milliseconds)

    ends = place(np.array(options.peaks_ms))
    peaks = np.linspace(ends[0], ends[1], options.num_cosines)
    distance = (ends[1] - ends[0]) / max(options.num_cosines - 1, 1)
    angles = np.pi * (place(lags) - peaks[:, None]) / (2 * distance)
    return np.asarray((1 + np.cos(np.clip(angles, -np.pi, np.pi))) / 2)


def temporal_basis(options: TemporalBasisOptions, dt: float | None) -> np.ndarray:
    """Make the basis that the options describe, float64 (functions, kernel_size), oldest frame first.

    Raises
    ------
    ConfigError
        Where cosines are asked for and the frame duration is not known, or functions depend on each other: the kernel
        is too short for the peaks, or the frames are too long to tell them apart.
    """
    parts = [np.eye(options.kernel_size)[::-1][: options.num_deltas]]
    if options.num_cosines:
        if dt is None:
            raise ConfigError(
                Problem(
                    key="num_cosines",
                    what="cosines are placed in milliseconds, and these data have no frame duration",
                    todo="set it to 0, and use `num_deltas`",
                )
            )
        parts.append(raised_cosines(options, dt))
    basis = np.concatenate(parts)
    if np.linalg.matrix_rank(basis, tol=1e-6) < len(basis):
        raise ConfigError(
            Problem(
                key="peaks_ms",
                what=f"{len(basis)} functions over {options.kernel_size} frames depend on each other",
                given=str(list(options.peaks_ms)),
                todo="raise `kernel_size`, lower `num_cosines`, or move the peaks",
            )
        )
    if options.normalize == "sum":
        basis = basis / basis.sum(axis=1, keepdims=True)
    elif options.normalize == "norm":
        basis = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    return _orthogonal(basis) if options.orthogonalize else basis


def _orthogonal(basis: np.ndarray) -> np.ndarray:
    """Gram-Schmidt, first to last; each function keeps its sign."""
    q, r = np.linalg.qr(basis.T)
    return np.asarray((q * np.sign(np.diag(r))).T)
