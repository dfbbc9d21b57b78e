"""Simulated units: linear-nonlinear and energy models (Adelson & Bergen 1985) with known parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Population", "draw_population", "responses"]

_KERNEL_SECONDS = 0.2
_PEAK = 0.91684  # where the difference of gamma functions in `_biphasic` is largest


@dataclass(frozen=True)
class Population:
    """Parameters of N units.

    Attributes
    ----------
    kinds
        ``linear`` (half-rectified) or ``energy`` (phase-invariant) per unit.
    centre
        float64 (N, 2): row and column of the receptive field in pixels.
    width, wavelength
        float64 (N,): standard deviation of the envelope and period of the carrier, pixels.
    orientation, phase
        float64 (N,), radians.
    delay
        float64 (N,): lag of the largest response in seconds.
    mean_rate
        float64 (N,), spikes per second.
    gain
        float64 (N, K): log gain per unit of each behavior channel.
    """

    kinds: tuple[str, ...]
    centre: np.ndarray
    width: np.ndarray
    wavelength: np.ndarray
    orientation: np.ndarray
    phase: np.ndarray
    delay: np.ndarray
    mean_rate: np.ndarray
    gain: np.ndarray

    def take(self, units: np.ndarray) -> Population:
        """Keep some of the units, int64 positions."""
        arrays = {name: value[units] for name, value in vars(self).items() if name != "kinds"}
        return Population(kinds=tuple(self.kinds[i] for i in units), **arrays)

    def filters(self, size: int) -> np.ndarray:
        """Quadrature pair of Gabor functions of each unit, zero mean and unit norm, float64 (2, N, size, size)."""
        row, column = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
        y = row - self.centre[:, 0, None, None]
        x = column - self.centre[:, 1, None, None]
        envelope = np.exp(-(x**2 + y**2) / (2 * self.width[:, None, None] ** 2))
        along = x * np.cos(self.orientation)[:, None, None] + y * np.sin(self.orientation)[:, None, None]
        angle = 2 * np.pi * along / self.wavelength[:, None, None] + self.phase[:, None, None]
        pair = np.stack([envelope * np.cos(angle), envelope * np.sin(angle)])
        pair -= envelope * (pair.sum((2, 3)) / envelope.sum((1, 2)))[..., None, None]
        return np.asarray(pair / np.linalg.norm(pair, axis=(2, 3), keepdims=True))

    def kernels(self, dt: float) -> np.ndarray:
        """Biphasic temporal kernels, float64 (N, lags), lag 0 first; the largest value is 1, at `delay`."""
        time = np.arange(max(round(_KERNEL_SECONDS / dt), 2)) * dt
        kernel = _biphasic(time / self.delay[:, None])
        return np.asarray(kernel / kernel.max(1, keepdims=True))


def _biphasic(time: np.ndarray) -> np.ndarray:
    """Difference of two gamma functions of time over the delay; largest at 1."""

    def gamma(t: np.ndarray) -> np.ndarray:
        return np.asarray((t * np.exp(1 - t)) ** 6)

    return gamma(_PEAK * time) - 0.5 * gamma(_PEAK * time / 1.8)


def draw_population(
    num: int, size: int, *, gain: tuple[int, float], rates: tuple[float, float], rng: np.random.Generator
) -> Population:
    """Draw N units; every second one is an energy unit.

    Parameters
    ----------
    num, size
        Units, and pixels of the retina.
    gain
        Channels of behavior, and the spread of the log gain that they give together.
    rates
        Lowest and highest mean rate; drawn uniformly in the logarithm.
    rng
        Draws them.
    """
    margin = min(6.0, size / 4)
    channels, spread = gain
    weights = rng.standard_normal((num, channels))
    norm = np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-12)
    return Population(
        kinds=tuple("energy" if i % 2 else "linear" for i in range(num)),
        centre=rng.uniform(margin, size - 1 - margin, (num, 2)),
        width=rng.uniform(1.6, 2.2, num),
        wavelength=rng.uniform(5.0, 7.0, num),
        orientation=rng.uniform(0.0, np.pi, num),
        phase=rng.uniform(0.0, 2 * np.pi, num),
        delay=rng.uniform(0.035, 0.075, num),
        mean_rate=np.exp(rng.uniform(np.log(rates[0]), np.log(rates[1]), num)),
        gain=weights / norm * spread,
    )


def responses(
    population: Population, stim: np.ndarray, behavior: np.ndarray, dt: float, trial_frames: np.ndarray
) -> np.ndarray:
    """Compute the expected counts of every unit in every frame.

    Parameters
    ----------
    population
        The units.
    stim
        uint8 (T, size, size), retinal.
    behavior
        float32 (T, K).
    dt
        Seconds per frame.
    trial_frames
        int64 (T,): frame within its trial; what came before a trial is grey.

    Returns
    -------
    float32 (T, N), counts per frame
    """
    frames, size, _ = stim.shape
    pair = population.filters(size).reshape(2 * len(population.kinds), -1).astype(np.float32)
    drive = np.empty((frames, len(pair)), dtype=np.float32)
    for start in range(0, frames, 4096):
        rows = slice(start, start + 4096)
        drive[rows] = (stim[rows].reshape(-1, size * size).astype(np.float32) - 127.0) @ pair.T
    kernels = np.tile(population.kernels(dt), (2, 1)).astype(np.float32)
    filtered = np.zeros_like(drive)
    for lag in range(kernels.shape[1]):
        inside = (trial_frames >= lag)[lag:, None]
        filtered[lag:] += np.where(inside, drive[: frames - lag], 0.0) * kernels[:, lag]
    even, odd = filtered.astype(np.float64).reshape(frames, 2, -1).transpose(1, 0, 2)
    linear = np.array(population.kinds) == "linear"
    even, odd = even / even.std(0), odd / odd.std(0)
    rate = np.where(linear, np.logaddexp(0.0, 3.0 * (even - 0.7)), 0.1 + even**2 + odd**2)
    rate *= np.exp(behavior.astype(np.float64) @ population.gain.T)
    return np.asarray(rate / rate.mean(0) * population.mean_rate * dt, dtype=np.float32)
