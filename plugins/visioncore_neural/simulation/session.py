"""One simulated session: a pure function of options, seed and the session's number."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

import numpy as np

from visioncore_engine.data import generator
from visioncore_neural.options.dataset import SyntheticOptions
from visioncore_neural.recording import SPLITS, Recording
from visioncore_neural.simulation.stimulus import DEGREES_PER_PIXEL, eye_path, image_numbers, images, retinal
from visioncore_neural.simulation.units import Population, draw_population, responses

__all__ = ["Truth", "session_name", "simulate"]


@dataclass(frozen=True)
class Truth:
    """What a simulated session was made of.

    Attributes
    ----------
    population
        Parameters of the units.
    rate
        float32 (T, N), expected counts in each frame.
    """

    population: Population
    rate: np.ndarray

    def facts(self, dt: float) -> dict[str, Any]:
        """Parameters as plain values: receptive-field centres (row, column) in pixels, delays in frames, …."""
        population = self.population
        return {
            "kind": list(population.kinds),
            "centre": population.centre.tolist(),
            "width": population.width.tolist(),
            "wavelength": population.wavelength.tolist(),
            "orientation": population.orientation.tolist(),
            "delay_frames": (population.delay / dt).tolist(),
            "mean_rate": population.mean_rate.tolist(),
        }


def session_name(index: int, num_subjects: int) -> tuple[str, str]:
    """Names of a session and its subject: ``m1_a``, ``m2_a``, ``m1_b`` …."""
    turn, subject = divmod(index, num_subjects)
    letters = ascii_lowercase[turn % 26] + (str(turn // 26) if turn >= 26 else "")
    return f"m{subject + 1}_{letters}", f"m{subject + 1}"


def simulate(options: SyntheticOptions, seed: int, index: int) -> tuple[Recording, Truth]:
    """Simulate session `index`.

    Parameters
    ----------
    options
        What to simulate; windows, units and preparations do not matter here.
    seed
        Decides everything drawn.
    index
        Number of the session.
    """
    name, subject = session_name(index, options.num_subjects)

    def rng(what: str) -> np.random.Generator:
        return generator("synthetic_v1", seed, index, what)

    length = round(options.trial / options.dt)
    show = _schedule(options, rng("schedule"))
    frames = len(show.clip) * length
    within = np.tile(np.arange(length), len(show.clip))
    stim, eyepos = _stimulus(options, show, length, rng("stimulus"))
    behavior = _behavior(frames, options, rng("behavior"))
    population = draw_population(
        options.num_units,
        options.size,
        gain=(options.behavior_channels, options.behavior_gain),
        rates=(options.min_rate, options.max_rate),
        rng=rng("population"),
    )
    rate = responses(population, stim, behavior, options.dt, within)
    valid = _validity(frames, options, rng("validity"))
    draws = rng("responses")
    counts = draws.poisson(rate)
    artefact = draws.poisson(3.0, counts.shape)  # what a masked value holds must not matter, so it is made to matter
    robs = np.minimum(np.where(valid, counts, counts + artefact), 255).astype(np.uint8)
    repeat = np.where(show.clip < 0, -1, 0).repeat(length)
    recording = Recording(
        name=name,
        subject=subject,
        dt=options.dt,
        stim=stim[:, None],
        robs=robs,
        valid=valid,
        trial=np.arange(len(show.clip), dtype=np.int32).repeat(length),
        units=tuple(f"u{i:03d}" for i in range(options.num_units)),
        split=show.split.repeat(length).astype(np.int8),
        repeat_frame=np.where(repeat < 0, -1, show.clip.repeat(length) * length + within).astype(np.int32),
        repeat_trial=np.where(repeat < 0, -1, show.presentation.repeat(length)).astype(np.int32),
        behavior=behavior if options.behavior_channels else None,
        behavior_names=tuple(f"channel_{i}" for i in range(options.behavior_channels)),
        eyepos=eyepos,
        degrees_per_pixel=DEGREES_PER_PIXEL,
    )
    return recording, Truth(population, rate)


@dataclass(frozen=True)
class _Schedule:
    """Per trial: which repeated clip it shows (-1: one of its own), which presentation, and its split."""

    clip: np.ndarray
    presentation: np.ndarray
    split: np.ndarray


def _schedule(options: SyntheticOptions, rng: np.random.Generator) -> _Schedule:
    """Deal trials to splits 80 : 10 : 10, and mix in two repeated clips: one to validate on, one of its own."""
    num = round(options.duration / options.trial)
    held_out = max(round(num / 10), 1)
    split = np.full(num, SPLITS["train"])
    split[:held_out], split[held_out : 2 * held_out] = SPLITS["validation"], SPLITS["test"]
    clips = np.repeat([0, 1], options.num_repeats)
    clip = np.concatenate([np.full(num, -1), clips])
    presentation = np.concatenate([np.full(num, -1), np.tile(np.arange(options.num_repeats), 2)])
    split = np.concatenate([split, np.where(clips == 0, SPLITS["validation"], SPLITS["repeats"])])
    order = rng.permutation(len(clip))
    return _Schedule(clip[order], presentation[order], split[order])


def _stimulus(
    options: SyntheticOptions, show: _Schedule, length: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Retinal stimulus uint8 (T, size, size) and gaze float32 (T, 2); a clip is the same each time."""
    shown: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    parts = []
    for clip in show.clip:
        part = shown.get(int(clip))
        if part is None:
            number = image_numbers(length, options.dt, options.fixation, rng)
            pictures = images(int(number[-1]) + 1, options.size, options.stimulus, rng)
            gaze = eye_path(length, options.dt, options.eye_drift, rng)
            part = retinal(pictures, number, gaze, options.size), gaze
        if clip >= 0:
            shown[int(clip)] = part
        parts.append(part)
    return np.concatenate([stim for stim, _ in parts]), np.concatenate([gaze for _, gaze in parts])


def _behavior(frames: int, options: SyntheticOptions, rng: np.random.Generator) -> np.ndarray:
    """Slow fluctuations of unit variance (Ornstein-Uhlenbeck, time constant 2 s), float32 (T, K)."""
    decay = np.exp(-options.dt / 2.0)
    steps = np.sqrt(1 - decay**2) * rng.standard_normal((frames, options.behavior_channels))
    values = np.empty_like(steps)
    state = rng.standard_normal(options.behavior_channels)
    for frame in range(frames):
        state = decay * state + steps[frame]
        values[frame] = state
    return np.asarray(values, dtype=np.float32)


def _validity(frames: int, options: SyntheticOptions, rng: np.random.Generator) -> np.ndarray:
    """Blinks, masked for all units; every sixth unit is also lost for a seventh of the session. Bool (T, N)."""
    valid = np.ones((frames, options.num_units), dtype=bool)
    missing = 0
    while missing < options.invalid * frames:
        start = int(rng.integers(frames))
        stop = min(start + max(round(rng.uniform(0.1, 0.6) / options.dt), 1), frames)
        missing += int(valid[start:stop, 0].sum())
        valid[start:stop] = False
    if options.invalid > 0:
        for unit in range(5, options.num_units, 6):
            start = int(rng.integers(frames - frames // 7))
            valid[start : start + frames // 7, unit] = False
    return valid
