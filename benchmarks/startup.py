"""What the commands that need no torch cost to start, in CPU-seconds and as multiples of a bare Python.

Each command runs nine times in a fresh process; the median of the user and system time of its processes counts. CPU
time, because wall time on a busy machine says more about the machine; multiples, because machines differ.

    python benchmarks/startup.py [--json] [--repeats N] [--no-write]

Writes benchmarks/results/startup.json, with the machine beside the figures. Exit code 1 where a budget is exceeded.
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
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "startup.json"
DEMO = str(ROOT / "configs" / "demo.yaml")
VISIONCORE = str(Path(sys.executable).with_name("visioncore"))

# Command, and the CPU-seconds that it may take.
COMMANDS: dict[str, tuple[list[str], float | None]] = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "visioncore plugins": ([VISIONCORE, "plugins"], 0.25),
    "visioncore check configs/demo.yaml": ([VISIONCORE, "check", DEMO], 0.5),
    "visioncore show sampler shuffled": ([VISIONCORE, "show", "sampler", "shuffled"], 0.5),
    "visioncore schema": ([VISIONCORE, "schema"], 0.7),
}


def cpu_seconds(command: list[str], folder: Path) -> float:
    """User and system time of one run of a command and of whatever it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)  # `os.times` counts in hundredths, a bare Python takes two
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def measure(repeats: int) -> list[dict[str, str | float | None]]:
    """Median CPU-seconds of each command; every run starts in an empty folder, so that nothing is cached there."""
    rows: list[dict[str, str | float | None]] = []
    bare = 0.0
    for name, (command, budget) in COMMANDS.items():
        samples = []
        for _ in range(repeats + 1):
            with tempfile.TemporaryDirectory() as folder:
                samples.append(cpu_seconds(command, Path(folder)))
        seconds = statistics.median(samples[1:])  # the first may compile bytecode
        bare = bare or seconds
        rows.append(
            {
                "command": name,
                "cpu_seconds": round(seconds, 3),
                "slowest": round(max(samples[1:]), 3),
                "multiple": round(seconds / bare, 1),
                "budget": budget,
            }
        )
    return rows


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "pydantic": version("pydantic"),
        "visioncore-engine": version("visioncore-engine"),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeats", type=int, default=9, metavar="N", help="runs of each command (default: 9)")
    parser.add_argument("--no-write", action="store_true", help=f"leave {RESULT.name} as it is")
    options = parser.parse_args(arguments)
    rows = measure(options.repeats)
    result = {"machine": machine(), "repeats": options.repeats, "commands": rows}
    if not options.no_write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(f"{'command':36} {'CPU-s':>6} {'slowest':>8} {'x bare':>7} {'budget':>7}")
        for row in rows:
            cells = [f"{row['cpu_seconds']:6.3f}", f"{row['slowest']:8.3f}", f"{row['multiple']:7.1f}"]
            print(f"{row['command']:36} {' '.join(cells)} {row['budget'] or '':>7}")
    over = [row for row in rows if row["budget"] is not None and float(row["cpu_seconds"] or 0) > float(row["budget"])]
    for row in over:
        print(f"over budget: {row['command']}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
