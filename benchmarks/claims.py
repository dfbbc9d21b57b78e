"""Whether modulators and transfer help: paired by unit, over seeds, at equal steps.

Modulators: the demo with each of them against the demo without any. Transfer: new simulated recordings behind the
frozen core of a run on other ones, against a model that learns all from the new ones alone. Real recordings: the sixth
of `mouse_rgc_chromatic` behind a core of the other five, three seeds, where the data folder is given.

    python benchmarks/claims.py [--seeds 1 2 3 4 5] [--runs FOLDER] [--data FOLDER]

A run that is finished in FOLDER is not repeated. Scores are bits per spike on the test split; the interval is the
middle 95 % of a bootstrap over seeds and the units of each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
from pathlib import Path

from visioncore_engine import evaluate, resolve, train
from visioncore_neural.comparison.conditions import Condition
from visioncore_neural.comparison.pair import compare
from visioncore_neural.comparison.scores import read_scores

CONFIGS = Path(__file__).parents[1] / "configs"
RESULTS = Path(__file__).parent / "results" / "claims.json"
METRIC = "bits_per_spike"
SHORT = ["trainer.max_epochs=16", "trainer.check_val_every_n_epoch=4", "evaluate=[units]"]
NEW = [
    "data.num_sessions=2",
    "data.max_frames=3000",
    "sampler.batches_per_epoch=20",
    "trainer.max_epochs=10",
    "trainer.check_val_every_n_epoch=2",
    "evaluate=[units]",
]
MOUSE = CONFIGS / "neural" / "mouse_rgc_chromatic.yaml"


def run(folder, files, sets):
    """Train and score on `test`, unless that is done; where the run lies."""
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)  # half a run
        train(resolve(files, sets=[*sets, f"run.dir={folder}"]), quiet=True)
        evaluate(folder, splits=("test",))
        (folder / "done").touch()
    return read_scores(folder, METRIC, "test")


def modulator(name, seed, runs):
    choice = [f"model.modulator={name}"]
    if name == "none":
        choice = ["model.modulator=null", "optimizer.groups.core.match=core.*"]
    return run(runs / f"{name}-{seed}", [CONFIGS / "demo.yaml"], [f"seed={seed}", *SHORT, *choice])


def transferred(seed, runs):
    """A run on new recordings behind the core of the run with FiLM, and one that learns all from them."""
    own = [f"seed={seed}", f"data.seed={100 + seed}", *NEW]
    frozen = run(
        runs / f"transfer-{seed}", [CONFIGS / "transfer.yaml"], [*own, f"transfer.from={runs / f'film-{seed}'}"]
    )
    return frozen, run(runs / f"scratch-{seed}", [CONFIGS / "demo.yaml"], own)


def mouse(seed, runs, root):
    """The sixth recording behind a core of the other five, and by itself, each with as many steps."""
    common = [f"seed={seed}", f"data.root={root}"]
    others = json.dumps([f"mouse_rgc_chromatic/rec{number}.npz" for number in range(1, 6)])
    source = runs / f"mouse-source-{seed}"
    run(source, [MOUSE], [*common, f"data.sessions={others}"])
    own = [*common, "data.sessions=mouse_rgc_chromatic/rec6.npz", "sampler.batch_size=1056"]
    frozen = run(
        runs / f"mouse-transfer-{seed}",
        [MOUSE],
        [*own, f"transfer.from={source}", "transfer.parts=core", "transfer.freeze=core"],
    )
    return frozen, run(runs / f"mouse-scratch-{seed}", [MOUSE], own)


def told(name, condition, baseline):
    pair = compare(Condition(name, tuple(condition)), Condition("baseline", tuple(baseline)))
    low, high = pair.interval
    return {
        "mean": float(sum(map(mean, condition)) / len(condition)),
        "baseline": float(sum(map(mean, baseline)) / len(baseline)),
        "difference": pair.mean,
        "interval": [low, high],
        "wins": pair.wins,
        "per_seed": [mean(one) - mean(other) for one, other in zip(condition, baseline, strict=True)],
    }


def mean(scores):
    values = list(scores.values.values())
    return sum(values) / len(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--runs", metavar="FOLDER", type=Path, help="keep the runs there")
    parser.add_argument("--data", metavar="FOLDER", help="the real recordings")
    options = parser.parse_args()
    runs = (options.runs or Path(tempfile.mkdtemp(prefix="visioncore-"))).resolve()
    results = {}
    plain = [modulator("none", seed, runs) for seed in options.seeds]
    for name in ("film", "concat", "gain"):
        results[name] = told(name, [modulator(name, seed, runs) for seed in options.seeds], plain)
    pairs = [transferred(seed, runs) for seed in options.seeds]
    results["transfer"] = told("transfer", *map(list, zip(*pairs, strict=True)))
    if options.data:
        pairs = [mouse(seed, runs, options.data) for seed in options.seeds[:3]]
        results["mouse_rec6"] = told("mouse", *map(list, zip(*pairs, strict=True)))
    for name, result in results.items():
        low, high = result["interval"]
        gain = f"{result['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
        print(f"{name:12s} {result['baseline']:.3f} -> {result['mean']:.3f}  {gain}")
    results["seeds"] = options.seeds
    results["machine"] = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
