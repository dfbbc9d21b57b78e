"""What the commands that need no torch cost to start, in CPU-seconds and as multiples of a bare Python.

Each command runs nine times in a fresh process; the median of the user and system time of its processes counts. CPU
time, because wall time on a busy machine says more about the machine; multiples, because machines differ.

    python benchmarks/startup.py [--json] [--no-write]
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from figure import Figure, command

__all__ = ["COMMANDS", "REPEATS", "cpu_seconds", "measure"]

ROOT = Path(__file__).resolve().parents[1]
DEMO = str(ROOT / "configs" / "demo.yaml")
VISIONCORE = str(Path(sys.executable).with_name("visioncore"))
REPEATS = 9
BARE = [sys.executable, "-c", "pass"]

# Command, the CPU-seconds that it may take, and the multiple of a bare Python.
COMMANDS: dict[str, tuple[list[str], float | None, float | None]] = {
    "visioncore plugins": ([VISIONCORE, "plugins"], 0.2, 8.0),
    "visioncore check configs/demo.yaml": ([VISIONCORE, "check", DEMO], 0.4, 20.0),
    "visioncore show sampler shuffled": ([VISIONCORE, "show", "sampler", "shuffled"], None, None),
    "visioncore schema": ([VISIONCORE, "schema"], 0.6, 30.0),
}


def cpu_seconds(command: list[str], folder: Path) -> float:
    """User and system time of one run of a command and of whatever it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)  # `os.times` counts in hundredths, a bare Python takes two
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def _turn(command: list[str]) -> float:
    """Start a command in an empty folder, so that nothing is cached there."""
    with tempfile.TemporaryDirectory() as folder:
        return cpu_seconds(command, Path(folder))


def measure() -> list[Figure]:
    """Measure every command in turn with a bare Python; the first turn, which may compile bytecode, does not count."""
    turns = [(_turn(BARE), *(_turn(command) for command, _, _ in COMMANDS.values())) for _ in range(REPEATS + 1)][1:]
    bare, *others = zip(*turns, strict=True)
    figures = []
    for (name, (_, budget, multiple)), seconds in zip(COMMANDS.items(), others, strict=True):
        detail = {"slowest": round(max(seconds), 3), "bare": round(statistics.median(bare), 4)}
        ratio = statistics.median(own / least for own, least in zip(seconds, bare, strict=True))
        figures += [
            Figure(f"{name}: CPU-seconds", statistics.median(seconds), "less", budget, detail=detail),
            Figure(f"{name} over a bare Python", ratio, "less", multiple),
        ]
    return figures


if __name__ == "__main__":
    sys.exit(command("startup", measure, __doc__))
