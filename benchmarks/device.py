"""How much of a step is the model's own forward and backward pass, and how much the wait for its batch.

A residual encoder on simulated recordings of 51 x 51 pixels, on the accelerator that torch finds, wall clock. The
model's own part is timed in a plain loop over the same batches, already on the device: forward, loss, backward. The
wait is what passes between the end of a step and the beginning of the next. Without an accelerator the CPU is measured,
at a size that it can bear, and no row of the page comes from it.

    python benchmarks/device.py [--json] [--no-write]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import ticks
import torch
from figure import Figure, command
from training import PLUGIN

from visioncore_engine import resolve, train
from visioncore_engine.build import Parts, build
from visioncore_engine.config import Resolved
from visioncore_engine.contracts import Batch, Position
from visioncore_engine.data.index import gather
from visioncore_engine.objective import predict

__all__ = ["CPU", "Sizes", "accelerator", "measure", "run_of"]

CPU = "on the CPU"
"""Note of figures that are no GPU's."""


def accelerator() -> torch.device | None:
    """What torch finds beside the CPU."""
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None


@dataclass(frozen=True)
class Sizes:
    """What is trained, and for how many steps."""

    sessions: int = 20
    pixels: int = 51
    batch: int = 2048
    length: int = 32
    channels: tuple[int, ...] = (64, 128, 128)
    duration: float = 120.0
    skip: int = 10  # steps that warm up
    steps: int = 40


def run_of(sizes: Sizes, folder: str, device: str) -> Resolved:
    """The run: bfloat16 products on a GPU, the frames on the device."""
    run: dict[str, Any] = {
        "seed": 1,
        "data": {
            "name": "synthetic_v1",
            "num_sessions": sizes.sessions,
            "num_subjects": min(2, sizes.sessions),
            "size": sizes.pixels,
            "dt": 1 / 120,
            "duration": sizes.duration,
            "prepare": ["pixel_norm"],
            "window": {"length": sizes.length},
        },
        "sampler": {"name": "shuffled", "batch_size": sizes.batch, "batches_per_epoch": 1000},
        "model": {
            "name": "encoder",
            "core": [
                {"name": "learnable_temporal", "kernel_size": 9, "num_channels": 4},
                {"name": "resnet3d", "channels": list(sizes.channels), "stride": [2] + [1] * (len(sizes.channels) - 1)},
            ],
            "readout": "gaussian",
        },
        "loss": "poisson",
        "optimizer": {"name": "adamw", "lr": 1e-3, "clip": 1.0},
        "callbacks": {"ticks": "ticks"},
        "trainer": {
            "max_steps": sizes.skip + sizes.steps,
            "accelerator": "cpu" if device == "cpu" else "gpu",
            "precision": "32-true" if device == "cpu" else "bf16-mixed",
        },
        "loader": {"validation_fraction": 0.01},
        "run": {"dir": f"{folder}/run"},
    }
    return resolve(run, plugin_files=[PLUGIN])


def _own_seconds(parts: Parts, sizes: Sizes, device: str) -> float:
    """Median seconds of forward, loss and backward of the run's first batches, on the device."""
    parts.model.to(device)
    taken: list[float] = []
    for number in range(sizes.skip + sizes.steps):
        batch = gather(parts.index, parts.sampler.batch(Position(0, number, number)))
        weights = parts.objective.weights([batch])
        batch = batch.to(torch.device(device))
        _wait(device)
        begin = time.perf_counter()
        _pass(parts, batch, weights, device)
        _wait(device)
        if number >= sizes.skip:
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def _pass(parts: Parts, batch: Batch, weights: dict[str, float], device: str) -> None:
    for parameter in parts.model.parameters():
        parameter.grad = None
    with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
        outputs = predict(parts.model, batch)
    loss = parts.objective.total(parts.objective.sums(outputs, batch), weights)
    assert loss is not None
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _wait(device: str) -> None:
    if device != "cpu":
        torch.accelerator.synchronize()


def measure(sizes: Sizes | None = None) -> list[Figure]:
    """Measure the row; on a CPU at a size that it can bear."""
    found = accelerator()
    device = "cpu" if found is None else found.type
    sizes = sizes or (Sizes() if found else Sizes(sessions=4, pixels=20, batch=256, channels=(16, 16), skip=2, steps=8))
    with tempfile.TemporaryDirectory() as folder:
        resolved = run_of(sizes, folder, device)
        train(resolved, quiet=True)
        begins = [wall for _, wall in ticks.STEPS[sizes.skip :]]
        step = statistics.median(after - before for before, after in pairwise(begins))
        wait = statistics.median(ticks.WAITS[sizes.skip :])
        own = _own_seconds(build(resolved), sizes, device)
    name = CPU if found is None else torch.cuda.get_device_name()
    detail = {"step ms": round(1e3 * step, 2), "own ms": round(1e3 * own, 2), "wait ms": round(1e3 * wait, 3)}
    return [
        Figure("share of a step that is the model's own forward and backward", own / step, "more", 0.95, name, detail),
        Figure("wait for the batch, as a share of a step", wait / step, "less", 0.01, name),
    ]


if __name__ == "__main__":
    sys.exit(command("device", measure, __doc__, [*sys.argv[1:], *([] if accelerator() else ["--no-write"])]))
