"""What the simulated eye sees: images that change, under an eye that moves.

The stimulus of a recording is what falls on the retina: it is already centred on the gaze, so receptive fields stand
still in it and eye movements show as movements of the image.
"""

from __future__ import annotations

import numpy as np

__all__ = ["DEGREES_PER_PIXEL", "eye_path", "image_numbers", "images", "retinal"]

DEGREES_PER_PIXEL = 0.1
_MARGIN = 6  # pixels of image around the retina, which the eye never leaves
_MEAN, _SPREAD = 127.0, 42.0  # grey level, and standard deviation at contrast 1


def images(num: int, size: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Random images of random contrast.

    Parameters
    ----------
    num
        How many.
    size
        Pixels that the retina sees; images are larger by what the eye can move.
    kind
        ``natural_like`` (amplitude spectrum 1/f) or ``noise`` (flat).
    rng
        Draws them.

    Returns
    -------
    float32 (num, P, P), grey levels around 127
    """
    side = size + 2 * _MARGIN
    white = rng.standard_normal((num, side, side), dtype=np.float32)
    if kind == "natural_like":
        fy, fx = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
        amplitude = 1.0 / np.maximum(np.hypot(fy, fx), 1.0 / side)
        amplitude[0, 0] = 0.0
        white = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(side, side)).astype(np.float32)
    white /= white.std((1, 2), keepdims=True)
    contrast = rng.uniform(0.4, 1.4, (num, 1, 1)).astype(np.float32)
    return np.asarray(_MEAN + _SPREAD * contrast * white)


def image_numbers(frames: int, dt: float, mean: float, rng: np.random.Generator) -> np.ndarray:
    """Which image is shown in each frame: fixations of at least two frames and exponential length, int64 (frames,)."""
    lengths = 2 + np.floor(rng.exponential(max(mean / dt - 2, 0.5), frames)).astype(np.int64)
    return np.repeat(np.arange(frames), lengths)[:frames]


def eye_path(frames: int, dt: float, drift: float, rng: np.random.Generator) -> np.ndarray:
    """Gaze around the fixation point in degrees, float32 (frames, 2), horizontal first.

    A random walk that is pulled back (Ornstein-Uhlenbeck, time constant 0.3 s) with small saccades about once a second.
    """
    decay = np.exp(-dt / 0.3)
    steps = drift * np.sqrt(dt) * rng.standard_normal((frames, 2))
    saccades = (rng.random(frames) < dt)[:, None] * rng.normal(0.0, 0.2, (frames, 2))
    path = np.empty((frames, 2))
    gaze = np.zeros(2)
    limit = (_MARGIN - 1) * DEGREES_PER_PIXEL
    for frame in range(frames):
        gaze = np.clip(decay * gaze + steps[frame] + saccades[frame], -limit, limit)
        path[frame] = gaze
    return path.astype(np.float32)


def retinal(pictures: np.ndarray, number: np.ndarray, gaze: np.ndarray, size: int) -> np.ndarray:
    """Part of each frame's image that falls on the retina, by bilinear interpolation.

    Parameters
    ----------
    pictures
        float32 (images, P, P).
    number
        int64 (T,), image of each frame.
    gaze
        float32 (T, 2), degrees.
    size
        Pixels of the retina.

    Returns
    -------
    uint8 (T, size, size)
    """
    shift = gaze[:, ::-1].astype(np.float64) / DEGREES_PER_PIXEL + _MARGIN  # row, column of the corner
    whole = np.floor(shift).astype(np.int64)
    part = (shift - whole).astype(np.float32)
    seen = np.empty((len(number), size, size), dtype=np.uint8)
    for frame, ((row, column), (down, right)) in enumerate(zip(whole, part, strict=True)):
        patch = pictures[number[frame], row : row + size + 1, column : column + size + 1]
        rows = (1 - down) * patch[:-1] + down * patch[1:]
        seen[frame] = np.clip(np.rint((1 - right) * rows[:, :-1] + right * rows[:, 1:]), 0, 255)
    return seen
