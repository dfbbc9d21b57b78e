"""What plugins cost: to list many of them, and to have them installed while a run trains.

    python benchmarks/plugins.py [--json] [--repeats N] [--steps N] [--no-write]

`listing`: CPU-seconds of ``visioncore plugins`` beside 54 more distributions, of which one raises, one imports torch
(which cannot be imported there) and two offer the same name. `steps`: a small run with none and with five more plugins
installed, and with five callbacks of theirs that do nothing: calls of pluggy hooks and of Python functions in one step
(counted, so they are exact) and CPU time of a step (the median over the repeats, which alternate between the rows).

Writes benchmarks/results/plugins.json. Exit code 1 where the listing is over budget, or where plugins that a run does
not choose add a single call to its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "plugins.json"
VISIONCORE = str(Path(sys.executable).with_name("visioncore"))
BUDGET = 0.5
NUM_GOOD = 50

GOOD = """from visioncore_engine import Component, hookimpl

@hookimpl
def visioncore_samplers():
    yield Component(name="{name}", summary="a sampler", build=":Builder")

@hookimpl
def visioncore_callbacks():
    yield Component(name="idle_{module}", summary="does nothing", build="{module}_parts:Idle")
"""
PARTS = """import pytorch_lightning as pl

class Idle(pl.Callback):
    def __init__(self, options, facts):
        pass

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        pass
"""
POISON = "raise ImportError('torch cannot be imported here')\n"


def install(folder: Path, name: str, text: str) -> None:
    """Make a distribution with one plugin, as an installer would."""
    info = folder / f"{name}_lab-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[visioncore_engine]\n{name} = {name}\n")
    (folder / f"{name}.py").write_text(text)
    (folder / f"{name}_parts.py").write_text(PARTS)


def crowd(folder: Path, number: int = NUM_GOOD) -> None:
    """Install many good plugins, one that raises, one that imports torch, and two with the same name."""
    for index in range(number):
        install(folder, f"crowd{index:02d}", GOOD.format(name=f"own_{index:02d}", module=f"crowd{index:02d}"))
    install(folder, "raising", "raise RuntimeError('as asked')\n")
    install(folder, "heavy", "import torch\n" + GOOD.format(name="heavy_sampler", module="heavy"))
    for name in ("clash_one", "clash_two"):
        install(folder, name, GOOD.format(name="same", module=name))
    (folder / "torch.py").write_text(POISON)


def list_plugins(folder: Path, *arguments: str) -> tuple[str, float]:
    """Output of ``visioncore plugins`` beside the distributions of a folder, and its CPU-seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [VISIONCORE, "plugins", *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def measure_listing(repeats: int) -> dict[str, float]:
    """Median CPU-seconds of the listing; the first run may compile bytecode and is left out."""
    with tempfile.TemporaryDirectory() as folder:
        crowd(Path(folder))
        samples = [list_plugins(Path(folder))[1] for _ in range(repeats + 1)][1:]
    return {"cpu_seconds": round(statistics.median(samples), 3), "slowest": round(max(samples), 3), "budget": BUDGET}


# What is measured in a process of its own: a run with some plugins installed, and some of their callbacks chosen.
RUN = """
seed: 1
data: {{name: rendered_shapes, num_groups: 2, num_train: 100, num_validation: 20}}
sampler: {{name: shuffled, batch_size: 8, batches_per_epoch: {steps}}}
model: {{name: cnn, channels: [4]}}
loss: cross_entropy
metrics: [accuracy]
optimizer: adamw
callbacks: [{callbacks}]
loggers: [csv]
loader: {{prefetch: 0}}
trainer: {{max_epochs: 1, accelerator: cpu, threads: 1, log_every_n_steps: 1000000}}
"""
STEP = """
import json, sys, time
from pluggy import _hooks
import pytorch_lightning as pl
from visioncore_engine import resolve, train
from visioncore_engine.module import TrainingModule

counts = {"pluggy": 0, "python": 0}
original_call, original_step = _hooks.HookCaller.__call__, pl.loops.training_epoch_loop._TrainingEpochLoop.advance
steps = []

def called(self, **arguments):
    counts["pluggy"] += 1
    return original_call(self, **arguments)

def watch(frame, event, argument):
    counts["python"] += event == "call"

def advance(self, *arguments, **named):
    number = len(steps)
    if number == 5:  # one step is counted, the others are timed
        counts.update(pluggy=0, python=0)
        sys.setprofile(watch)
    began = time.thread_time()
    original_step(self, *arguments, **named)
    steps.append(time.thread_time() - began)
    if number == 5:
        sys.setprofile(None)
        counts["step"] = dict(counts)

_hooks.HookCaller.__call__ = called
pl.loops.training_epoch_loop._TrainingEpochLoop.advance = advance
train(resolve(sys.argv[1]), quiet=True)
timed = sorted(steps[6:])
print(json.dumps({**counts["step"], "ms": 1000 * timed[len(timed) // 2]}))
"""
ROWS = (("no more plugins", 0, 0), ("5 plugins, none chosen", 5, 0), ("5 plugins, a callback of each", 5, 5))


def one_run(plugins: int, chosen: int, steps: int) -> dict[str, float]:
    """Calls and CPU milliseconds of a step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(plugins):
            install(folder, f"crowd{index:02d}", GOOD.format(name=f"own_{index:02d}", module=f"crowd{index:02d}"))
        names = ", ".join(f"idle_crowd{index:02d}" for index in range(chosen))
        (folder / "run.yaml").write_text(RUN.format(steps=steps, callbacks=names))
        environment = {**os.environ, "PYTHONPATH": name, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", STEP, "run.yaml"]
        done = subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_steps(repeats: int, steps: int) -> list[dict[str, str | float]]:
    """A row for each case; the repeats alternate, so that a busy machine is busy for all."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name, _, _ in ROWS}
    for _ in range(repeats):
        for name, plugins, chosen in ROWS:
            found[name].append(one_run(plugins, chosen, steps))
    rows: list[dict[str, str | float]] = []
    for name, _, _ in ROWS:
        runs = found[name]
        rows.append(
            {
                "case": name,
                "pluggy_calls": max(run["pluggy"] for run in runs),
                "python_calls": min(run["python"] for run in runs),
                "cpu_ms": round(statistics.median(run["ms"] for run in runs), 4),
                "fastest_ms": round(min(run["ms"] for run in runs), 4),
            }
        )
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of each case (default: 5)")
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="steps of each run (default: 300)")
    parser.add_argument("--no-write", action="store_true", help=f"leave {RESULT.name} as it is")
    options = parser.parse_args(arguments)
    listing, steps = measure_listing(options.repeats), measure_steps(options.repeats, options.steps)
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    result = {"machine": machine, "repeats": options.repeats, "listing": listing, "steps": steps}
    if not options.no_write:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print(f"listing 54 more plugins: {listing['cpu_seconds']} CPU-seconds (budget {BUDGET})")
        print(f"{'a step with':32} {'pluggy':>7} {'python':>7} {'CPU-ms':>8} {'fastest':>8}")
        for row in steps:
            cells = f"{row['pluggy_calls']:7} {row['python_calls']:7} {row['cpu_ms']:8} {row['fastest_ms']:8}"
            print(f"{row['case']:32} {cells}")
    same = steps[0]["python_calls"] == steps[1]["python_calls"]
    return 0 if listing["cpu_seconds"] <= BUDGET and same and not any(row["pluggy_calls"] for row in steps) else 1


if __name__ == "__main__":
    sys.exit(main())
