"""Predictions per CPU-second of training: windows of 64 frames, single predictions, and the old way to train.

A 25-lag residual encoder (nine temporal taps, four blocks of 16 channels, valid in time: at length 64 it has 6.7 times
fewer operations per prediction) on simulated recordings, equal predictions per optimizer step, one thread. A step is
what the engine does for one: read the batch, forward, backward, clip, step. The old way is that of `old_layout.py`, its
logging included.

    python benchmarks/training.py [--json] [--no-write]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import allocator
import pytorch_lightning as pl
import ticks
import torch
from figure import Figure, command
from old_data import MIDDLE, RANGE
from old_layout import OldModule, training_loader

from visioncore_engine import resolve, train
from visioncore_engine.build import Parts, build
from visioncore_engine.config import Resolved
from visioncore_engine.trainer import quiet_lightning

__all__ = ["Sizes", "engine_rate", "measure", "old_rate", "run_of"]

PLUGIN = Path(__file__).with_name("bench_plugin.py")


@dataclass(frozen=True)
class Sizes:
    """What is trained, and for how many steps."""

    sessions: int = 4
    pixels: int = 20
    batch: int = 128
    length: int = 64
    steps: int = 4  # of a round, the first of which does not count
    long_steps: int = 17
    rounds: int = 3
    temporal: int = 9
    channels: tuple[int, ...] = (16, 16, 16, 16)
    duration: float = 110.0


def _strides(sizes: Sizes) -> list[int]:
    return [2, *[1] * (len(sizes.channels) - 1)]


def run_of(sizes: Sizes, length: int, steps: int, folder: str) -> Resolved:
    """The run: a residual encoder with a history of 24 frames, on windows of `length`."""
    run: dict[str, Any] = {
        "seed": 1,
        "data": {
            "name": "synthetic_v1",
            "num_sessions": sizes.sessions,
            "num_subjects": 1,
            "size": sizes.pixels,
            "dt": 1 / 30,
            "duration": sizes.duration,
            "num_repeats": 1,
            "prepare": [{"name": "pixel_norm", "center": MIDDLE, "range": RANGE}],
            "window": {"length": length},
        },
        "sampler": {"name": "shuffled", "batch_size": sizes.batch},
        "model": {
            "name": "encoder",
            "core": [
                {"name": "learnable_temporal", "kernel_size": sizes.temporal, "num_channels": 4},
                {"name": "resnet3d", "channels": list(sizes.channels), "stride": _strides(sizes)},
            ],
            "modulator": "film",
            "readout": {"name": "gaussian"},
        },
        "loss": {"name": "poisson", "weighting": "samples"},
        "regularizers": {"sparse": {"name": "l1", "strength": 1e-5, "match": "readouts.*.features"}},
        "optimizer": {"name": "adamw", "lr": 1e-3, "clip": 1.0},
        "callbacks": {"ticks": {"name": "ticks"}},
        "trainer": {"max_steps": steps, "threads": 1, "accelerator": "cpu"},
        "loader": {"validation_fraction": 0.05},
        "run": {"dir": f"{folder}/run"},
    }
    return resolve(run, plugin_files=[PLUGIN])


def _seconds() -> float:
    """Median CPU-seconds of a step of the last run, without the first."""
    begins = [cpu for cpu, _ in ticks.STEPS[1:]]
    return statistics.median(after - before for before, after in pairwise(begins))


def engine_rate(sizes: Sizes, length: int, steps: int) -> float:
    """Predictions per CPU-second of the engine."""
    with tempfile.TemporaryDirectory() as folder:
        train(run_of(sizes, length, steps, folder), quiet=True)
    return sizes.batch / _seconds()


def old_rate(sizes: Sizes, parts: Parts) -> float:
    """Predictions per CPU-second of the old way to train."""
    module = OldModule(parts)
    with tempfile.TemporaryDirectory() as folder, quiet_lightning(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_steps=sizes.steps,
            gradient_clip_val=module.clip,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            callbacks=[ticks.Ticks()],
        )
        trainer.fit(module, training_loader(parts, sizes.batch))
    return sizes.batch / _seconds()


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        parts = build(run_of(sizes, 1, sizes.steps, folder))
    rates: dict[str, list[float]] = {"old": [], "single": [], "long": []}
    for _ in range(sizes.rounds):
        rates["old"].append(old_rate(sizes, parts))
        rates["single"].append(engine_rate(sizes, 1, sizes.steps))
        rates["long"].append(engine_rate(sizes, sizes.length, sizes.long_steps))
    detail = {f"{name} predictions/s": round(statistics.median(values)) for name, values in rates.items()}

    def ratio(over: str, under: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[over], rates[under], strict=True))

    return [
        Figure(
            f"predictions per second at length {sizes.length} over length 1, engine",
            ratio("long", "single"),
            target=5.0,
            detail=detail,
        ),
        Figure("predictions per second at length 1, engine over the old way to train", ratio("single", "old")),
        Figure(
            f"predictions per second at length {sizes.length}, engine over the old way to train", ratio("long", "old")
        ),
    ]


if __name__ == "__main__":
    allocator.keep()  # else whether a step faults its activations in again is luck
    sys.exit(command("training", measure, __doc__))
