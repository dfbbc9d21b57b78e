"""What the run files for the real recordings score, beside the linear baselines, on the frames that both predict.

Every choice (epoch, hyperparameters) is made on the validation split; the test split is scored once per seed, and no
seed is preferred: figures are means over seeds, with the smallest and the largest beside them.

    python benchmarks/real_recordings.py [--data FOLDER] [--seeds 1 2 3] [--runs FOLDER] [--only rat_rgc_bars]

Bits per spike: null is the unit's mean count over the scored frames. The correlation to the average is taken over the
repeats of the clip, which training never sees.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import baselines
import numpy as np

from visioncore_engine import evaluate, load, resolve, train
from visioncore_engine.evaluation import open_split

CONFIGS = Path(__file__).parents[1] / "configs" / "neural"
RESULTS = Path(__file__).parent / "results" / "real_recordings.json"
RUN_FILES = {
    "rat_rgc_bars": ("rat_rgc_bars", "rat_rgc_bars_ln", "rat_rgc_bars_glm"),
    "mouse_rgc_chromatic": ("mouse_rgc_chromatic",),
}


def predictions(resolved, run_dir, folder, dataset):
    """Write each session's predicted rate per test frame, as `baselines.compare` reads it."""
    from visioncore_engine.build import build_dataset

    model = load(Path(run_dir) / "checkpoints" / "best.ckpt", registry=resolved.registry)
    found = defaultdict(list)
    for batch, outputs in open_split(resolved.run, build_dataset(resolved.run), model, "test").batches():
        for group, output in zip(batch.groups, outputs, strict=True):
            frames = group.tags["frame"].numpy()
            kept = (frames >= 0) & group.mask.numpy().any(-1)
            found[group.name].append((frames[kept], output["robs"].numpy()[kept]))
    for session, parts in found.items():
        frames, rate = (np.concatenate(part) for part in zip(*parts, strict=True))
        np.savez(folder / f"{dataset}_{session}.npz", frames=frames, rate=rate)


def one_seed(dataset, name, seed, root, runs):
    """Train the run file `name`, evaluate once, and score beside the baseline; rows of both models."""
    run_dir = runs / f"{name}-{seed}"
    sets = [f"seed={seed}", f"run.dir={run_dir}", f"data.root={root}"]
    resolved = resolve([CONFIGS / f"{name}.yaml"], sets=sets)
    train(resolved, quiet=True)
    splits = ("test", "repeats") if dataset == "rat_rgc_bars" else ("test",)
    results = evaluate(run_dir, splits=splits)
    folder = runs / f"predictions-{name}-{seed}"
    folder.mkdir()
    predictions(resolved, run_dir, folder, dataset)
    names = {"baseline": "ridge", "other": name}
    rows = [{"seed": seed, **row, "model": names[row["model"]]} for row in compare(dataset, root, folder)]
    if "repeats" in results:
        for session, values in results["repeats"]["correlation_to_average"].columns.items():
            for unit, value in enumerate(values):
                rows.append({"seed": seed, "recording": session, "unit": unit, "model": name, "average": value})
    return rows


def compare(dataset, root, folder):
    reader = {"rat_rgc_bars": baselines.rat, "mouse_rgc_chromatic": baselines.mouse}[dataset]
    for recording in reader(root):
        yield from baselines.compare(recording, baselines.fit(recording), folder)


def summary(rows):
    """Per unit and model: mean over seeds of each score; then the mean over units with the range over seeds."""
    cells = defaultdict(list)
    for row in rows:
        for score in ("bits_per_spike", "correlation", "average"):
            if score in row:
                cells[row["recording"], row["unit"], row["model"], score].append(row[score])
    units = [
        {"recording": r, "unit": u, "model": m, "score": s, "mean": statistics.fmean(v), "min": min(v), "max": max(v)}
        for (r, u, m, s), v in sorted(cells.items())
    ]
    means = {}
    for model in sorted({row["model"] for row in rows}):
        for score in ("bits_per_spike", "correlation", "average"):
            per_seed = defaultdict(list)
            for row in rows:
                if row["model"] == model and score in row:
                    per_seed[row["seed"]].append(row[score])
            if per_seed:
                values = [statistics.fmean(value) for value in per_seed.values()]
                means[f"{model}/{score}"] = [statistics.fmean(values), min(values), max(values)]
    return {"units": units, "means": means}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--runs", metavar="FOLDER", type=Path, help="keep the runs there")
    parser.add_argument("--only", choices=["rat_rgc_bars", "mouse_rgc_chromatic"])
    options = parser.parse_args()
    root = baselines.data_folder(options.data)
    runs = (options.runs or Path(tempfile.mkdtemp(prefix="visioncore-"))).resolve()
    runs.mkdir(parents=True, exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for dataset in [options.only] if options.only else ["rat_rgc_bars", "mouse_rgc_chromatic"]:
        rows = []
        for name in RUN_FILES[dataset]:
            for seed in options.seeds:
                found = one_seed(dataset, name, seed, root, runs)
                rows += [row for row in found if row["model"] == name or name == dataset]  # the ridge's once
        results[dataset] = {"seeds": options.seeds, **summary(rows)}
        print(dataset)
        for name, (mean, low, high) in results[dataset]["means"].items():
            print(f"  {name:28s} {mean:.3f}  ({low:.3f} to {high:.3f} over seeds)")
    results["machine"] = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
