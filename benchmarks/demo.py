"""Whether the demo recovers what its recordings were made of: receptive-field centres, and rates on held-out frames.

    python benchmarks/demo.py [--seeds 1 2 3] [--threads N]

The seed decides the simulated recordings, the initial values and the plan. Scores are those of the best checkpoint on
the test split, which training never reads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from visioncore_engine import evaluate, resolve, train

CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"
RESULTS = Path(__file__).parent / "results" / "demo.json"
SCORES = ("rf_error_median", "rf_error_within_2px", "correlation_ratio", "bits_per_spike")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        run_dir = Path(tempfile.mkdtemp(prefix="visioncore-demo-")) / "run"
        sets = [f"seed={seed}", f"run.dir={run_dir}"]
        if options.threads:
            sets.append(f"trainer.threads={options.threads}")
        wall, cpu = time.perf_counter(), time.process_time()
        train(resolve([CONFIG], sets=sets), quiet=True)
        row = {"seed": seed, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        found = evaluate(run_dir, splits=("test",))["test"]
        scalars = {name: value for result in found.values() for name, value in result.scalars.items()}
        row |= {name: scalars[name] for name in SCORES}
        rows.append(row)
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"machine": machine, "threads": options.threads, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
