"""Wall-clock time, validation included, until the demo reaches a score: the engine against the old way to train.

Same recordings, model, optimizer, schedule and predictions per optimizer step; the engine trains on the demo's windows,
the old way (`old_layout.py`) on single predictions. Each side's rate is the best of the same three with the first seed;
the figure is the median over seeds of the ratio of times. Takes hours on a busy machine: not part of `make bench`.

    python benchmarks/time_to_quality.py [--target BITS] [--rates R …] [--seeds S …] [--max-steps N] [--no-write]
    python benchmarks/time_to_quality.py --duration 120 --max-steps 20 --seeds 1 --no-write      sees whether it works
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytorch_lightning as pl
import ticks
import torch
from figure import Figure, lines, machine, read, write
from old_data import MIDDLE, RANGE
from old_layout import MONITOR, OldModule, training_loader, validation_loader

from visioncore_engine import resolve, train
from visioncore_engine.build import build
from visioncore_engine.config import Resolved
from visioncore_engine.contracts import CallbackFacts
from visioncore_engine.options import SamplerOptions
from visioncore_engine.trainer import quiet_lightning

__all__ = ["SIDES", "Task", "engine_side", "old_side", "run_of"]

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "demo.yaml"
PLUGIN = Path(__file__).with_name("bench_plugin.py")
EVERY = 2  # epochs between two validations


# The demo's own model sees 6 frames, and most of its operations are made anew for each prediction at any length: its
# windows save little. The other is the encoder of `training.py`, which sees 25.
_TEMPORAL = "{name: learnable_temporal, kernel_size: 9, num_channels: 4}"
_RESNET = "{name: resnet3d, channels: [16, 16, 16, 16], stride: [2, 1, 1, 1]}"
MODELS: Mapping[str, tuple[str, ...]] = {
    "demo": (),
    "resnet": (
        f"model.core=[{_TEMPORAL}, {_RESNET}]",
        "data.window.length=64",
        "sampler.batch_size=1024",
    ),
}


SEEN = {"demo": "its own model (6 frames)", "resnet": "a residual encoder (25 frames)"}


@dataclass(frozen=True)
class Task:
    """What is to be reached by which model, and by how many steps at most."""

    target: float = 0.9
    max_steps: int = 1000
    duration: float = 600.0
    model: str = "demo"
    every: int = EVERY


def run_of(task: Task, seed: int, rate: float, folder: str, *sets: str) -> Resolved:
    """The demo with another rate, ending at a score."""
    changes = [
        f"seed={seed}",
        f"optimizer.lr={rate}",
        f"data.duration={task.duration}",
        f"data.prepare=[{{name: pixel_norm, center: {float(MIDDLE)}, range: {float(RANGE)}}}]",
        "trainer.max_epochs=null",
        f"trainer.max_steps={task.max_steps}",
        f"scheduler.warmup_steps={max(task.max_steps // 50, 1)}",
        f"trainer.check_val_every_n_epoch={task.every}",
        *MODELS[task.model],
        "evaluate=[]",
        f"callbacks=[{{name: deadline, target: {task.target}}}]",
        f"run.dir={folder}/run",
    ]
    return resolve([CONFIG], sets=[*changes, *sets], plugin_files=[PLUGIN])


def engine_side(task: Task, seed: int, rate: float) -> float:
    """Seconds of the engine until the target; infinite where it is not reached."""
    with tempfile.TemporaryDirectory() as folder:
        train(run_of(task, seed, rate, folder), quiet=True)
    return _reached(task)


def old_side(task: Task, seed: int, rate: float) -> float:
    """Seconds of the old way until the target; infinite where it is not reached."""
    with tempfile.TemporaryDirectory() as folder, quiet_lightning(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = build(run_of(task, seed, rate, folder, "data.window.length=1"))
        options = parts.run.sampler.options
        assert isinstance(options, SamplerOptions)
        module, size = OldModule(parts), options.batch_size
        facts = CallbackFacts(Path(folder), MONITOR, "max", parts.total_steps, parts.steps_per_epoch)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_steps=task.max_steps,
            check_val_every_n_epoch=task.every,
            num_sanity_val_steps=0,
            gradient_clip_val=module.clip,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            callbacks=[ticks.Deadline(SimpleNamespace(target=task.target), facts)],
        )
        trainer.fit(module, training_loader(parts, size), validation_loader(parts, size))
    return _reached(task)


def _reached(task: Task) -> float:
    return next((seconds for seconds, score in ticks.SCORES if score >= task.target), math.inf)


def _note(seconds: Mapping[str, Sequence[float]], seeds: Sequence[int]) -> str:
    lost = [
        f"{side}, seed {seed}"
        for side, values in seconds.items()
        for seed, value in zip(seeds, values, strict=True)
        if math.isinf(value)
    ]
    return f"not reached by: {'; '.join(lost)}" if lost else ""


SIDES: dict[str, Callable[[Task, int, float], float]] = {"engine": engine_side, "old": old_side}


def main(arguments: list[str] | None = None) -> int:
    """Choose each side's rate, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=float, default=Task.target, help="held-out bits per spike")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.003, 0.01, 0.03])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--max-steps", type=int, default=Task.max_steps)
    parser.add_argument("--model", choices=list(MODELS), default=Task.model)
    parser.add_argument("--every", type=int, default=Task.every, help="epochs between two validations")
    parser.add_argument("--duration", type=float, default=Task.duration, help="seconds of each recording")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    task = Task(options.target, options.max_steps, options.duration, options.model, options.every)
    first, *others = options.seeds
    chosen: dict[str, float] = {}
    seconds: dict[str, list[float]] = {}
    for side, measure in SIDES.items():
        tried: dict[float, float] = {}
        for rate in options.rates:
            tried[rate] = measure(task, first, rate)
            print(f"{side}: rate {rate}: {tried[rate]:.1f} s", flush=True)
        chosen[side] = min(tried, key=lambda rate: tried[rate])
        seconds[side] = [tried[chosen[side]]]
    for seed in others:
        for side, measure in SIDES.items():
            seconds[side].append(measure(task, seed, chosen[side]))
            print(f"{side}: seed {seed}: {seconds[side][-1]:.1f} s", flush=True)
    ratios = [old / own for old, own in zip(seconds["old"], seconds["engine"], strict=True)]
    ratio = statistics.median(ratios)
    figure = Figure(
        f"time to {task.target} bits per spike on the demo, {SEEN[task.model]}, the old way over the engine",
        ratio if math.isfinite(ratio) else None,
        target=8.0,
        note=_note(seconds, options.seeds),
        detail={f"{side} rate": rate for side, rate in chosen.items()}
        | {f"{side} s": statistics.median(values) for side, values in seconds.items() if math.isfinite(max(values))},
    )
    print("\n".join(lines([figure])))
    if not options.no_write:
        others = [stored for stored in read("time_to_quality")[1] if SEEN[task.model] not in stored.name]
        write("time_to_quality", machine(1), sorted([*others, figure], key=lambda stored: stored.name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
