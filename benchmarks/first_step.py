"""Wall-clock seconds from the start of a process to the end of the first step of a run on 30 converted recordings.

Importing, checking, opening recordings of 51 x 51 pixels, building a residual encoder with a readout for each, the
first batch, the first step. The files are in the page cache; the bytecode is compiled.

    python benchmarks/first_step.py [--json] [--no-write]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from figure import Figure, command

__all__ = ["Sizes", "measure", "seconds"]

PLUGIN = Path(__file__).with_name("bench_plugin.py")
RUN = """
seed: 1
data: {{name: sessions, root: {root}, sessions: "*", prepare: [pixel_norm], window: {{length: 32}}}}
sampler: {{name: shuffled, batch_size: 256, batches_per_epoch: 100}}
model:
  name: encoder
  core:
    - {{name: learnable_temporal, kernel_size: 9, num_channels: 4}}
    - {{name: resnet3d, channels: [16, 16], stride: [2, 2]}}
  readout: gaussian
loss: poisson
optimizer: adamw
callbacks: {{ticks: ticks}}
trainer: {{max_steps: 2, threads: 1, accelerator: cpu}}
loader: {{validation_fraction: 0.01}}
run: {{dir: {run}}}
"""


@dataclass(frozen=True)
class Sizes:
    """What is read, and how often."""

    sessions: int = 30
    frames: int = 12_000
    pixels: int = 51
    units: int = 50
    rounds: int = 3


def seconds(folder: Path) -> float:
    """Seconds from the start of a process that trains on the recordings in `folder` to the end of its first step."""
    begin = time.perf_counter()  # the same clock in all processes of a host
    words = [sys.executable, __file__, "--process", str(folder)]
    run = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return float(run.stdout.split()[-1]) - begin


def _process(folder: Path) -> None:
    from visioncore_engine import resolve, train

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "run.yaml"
        path.write_text(RUN.format(root=folder, run=Path(name) / "run"), encoding="utf-8")
        train(resolve([path], plugin_files=[PLUGIN]), quiet=True)
    import ticks

    print(ticks.STEPS[1][1])  # the second step begins where the first has ended


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row; the first round, which may compile bytecode, does not count."""
    from memory import Sizes as Written
    from memory import write_sessions

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "recordings"
        folder.mkdir()
        shape = {"frames": sizes.frames, "pixels": sizes.pixels, "units": sizes.units}
        write_sessions(folder, Written(sessions=sizes.sessions, **shape))
        found = [seconds(folder) for _ in range(sizes.rounds + 1)][1:]
    return [
        Figure(
            f"a run of {sizes.sessions} converted recordings: seconds to the end of its first step",
            statistics.median(found),
            "less",
            10.0,
            detail={"slowest": round(max(found), 2)},
        )
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--process"]:
        _process(Path(sys.argv[2]))
        sys.exit(0)
    sys.exit(command("first_step", measure, __doc__))
