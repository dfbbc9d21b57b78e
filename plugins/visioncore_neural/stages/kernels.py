"""Temporal kernels to start from. K frames, oldest first: the last entry is the current frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from visioncore_engine.errors import ConfigError, Problem

__all__ = ["KERNELS", "biphasic", "gaussian_derivatives", "identity"]


def gaussian_derivatives(num_kernels: int, num_frames: int, dt: float | None) -> np.ndarray:
    """Make derivatives 0, 1, 2 … of a Gaussian that spans the kernel (+-3 standard deviations), each of norm 1.

    Returns
    -------
    float64 (num_kernels, num_frames).
    """
    del dt  # the kernel is measured in frames
    half = max((num_frames - 1) / 2, 0.5)
    u = (np.arange(num_frames) - (num_frames - 1) / 2) / half * 3.0
    derivatives = [np.polynomial.hermite_e.hermeval(u, np.eye(num_kernels)[order]) for order in range(num_kernels)]
    # Time runs towards the present: odd orders respond to increments.
    return _unit(np.stack(derivatives) * np.exp(-(u**2) / 2))


def biphasic(num_kernels: int, num_frames: int, dt: float | None) -> np.ndarray:
    """Subtract two gamma functions of the lag, the first peaking at 30 to 80 ms, the second 1.6 times later.

    ``(t / p)^5 exp(5 (1 - t / p))`` peaks at p with height 1; the second has half that height. Lags are taken at the
    middle of frames, in seconds.

    Raises
    ------
    ConfigError
        Where the frame rate is not known.
    """
    if dt is None:
        raise ConfigError(
            Problem(
                key="init",
                what="'biphasic' is measured in seconds, and these data have no frame duration",
                todo="choose another `init`",
            )
        )
    lag = (np.arange(num_frames)[::-1] + 0.5) * dt
    peaks = np.linspace(0.03, 0.08, num_kernels)[:, None]

    def gamma(peak: np.ndarray) -> np.ndarray:
        return np.asarray((lag / peak) ** 5 * np.exp(5 * (1 - lag / peak)))

    return _unit(gamma(peaks) - 0.5 * gamma(1.6 * peaks))


def identity(num_kernels: int, num_frames: int, dt: float | None) -> np.ndarray:
    """Let kernel i copy the frame i before the current one.

    Raises
    ------
    ConfigError
        Where there are more kernels than frames.
    """
    del dt  # the kernel is measured in frames
    if num_kernels > num_frames:
        raise ConfigError(
            Problem(
                key="init",
                what=f"'identity' needs no more than one filter per frame and input channel, here {num_frames}",
                given=f"{num_kernels} filters per channel",
                todo="raise `kernel_size`, lower `num_channels`, or choose another `init`",
            )
        )
    return np.eye(num_frames)[::-1][:num_kernels].copy()


KERNELS: dict[str, Callable[[int, int, float | None], np.ndarray]] = {
    "gaussian_derivatives": gaussian_derivatives,
    "biphasic": biphasic,
    "identity": identity,
}


def _unit(kernels: np.ndarray) -> np.ndarray:
    return np.asarray(kernels / np.linalg.norm(kernels, axis=1, keepdims=True))
