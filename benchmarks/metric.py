"""What a validation costs: the engine's bits per spike against storing everything and joining it at the end.

A million predictions of 100 units in batches of 4096, one thread, each method in processes of its own: CPU time of
updates and scores, growth of the largest resident size, and the largest error over units against float64.

    python benchmarks/metric.py [--json] [--no-write]
    python benchmarks/metric.py --one engine|old        measure one method in this process, for the command above
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import allocator
import numpy as np
import torch
from figure import Figure, command
from old_metric import OldBitsPerSpike
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, MetricFacts, TargetSpec
from visioncore_neural.metrics.bits_per_spike import BitsPerSpike
from visioncore_neural.options.metric import BitsPerSpikeOptions

__all__ = ["METHODS", "Sizes", "exact", "measure", "one", "pool_of"]

_POOL = 4  # batches that are drawn; they come again and again, so that drawing them costs nothing


@dataclass(frozen=True)
class Sizes:
    """How much is scored."""

    num: int = 1_000_000
    units: int = 100
    batch: int = 4096
    rounds: int = 3

    @property
    def batches(self) -> int:
        """Whole batches."""
        return self.num // self.batch


Pool = list[tuple[Tensor, Tensor, Tensor]]


def pool_of(sizes: Sizes) -> Pool:
    """Rates, counts and valid frames of a few batches: (B, N), (B, N) float32, (B, 1) bool."""
    rng = np.random.default_rng(0)
    shape = (sizes.batch, sizes.units)
    pool = []
    for _ in range(_POOL):
        rates = rng.gamma(2.0, 0.1, shape).astype(np.float32)
        counts = rng.poisson(rates).astype(np.float32)
        valid = torch.from_numpy(rng.random((sizes.batch, 1)) > 0.1)
        pool.append((torch.from_numpy(rates), torch.from_numpy(counts), valid))
    return pool


def exact(pool: Pool, batches: int) -> np.ndarray:
    """Bits per spike of each unit in float64, from the sums of each batch of the pool: float64 (N,)."""
    times = np.bincount(np.arange(batches) % _POOL, minlength=_POOL)
    num = np.zeros(1)
    spikes, expected, logs = (np.zeros(pool[0][0].shape[1]) for _ in range(3))
    for often, (rates, counts, valid) in zip(times, pool, strict=True):
        kept = valid[:, 0].numpy()
        r, k = (values.numpy()[kept].astype(np.float64) for values in (rates, counts))
        num += often * len(r)
        spikes += often * k.sum(0)
        expected += often * r.sum(0)
        logs += often * (k * np.log(r + 1e-8)).sum(0)
    null = spikes * np.log(spikes / num) - spikes
    scores: np.ndarray = (logs - expected - null) / (spikes * np.log(2))
    return scores


def _engine(pool: Pool, sizes: Sizes) -> np.ndarray:
    target = TargetSpec("counts", sizes.units, "units", tuple(f"u{unit}" for unit in range(sizes.units)))
    spec = GroupSpec("m1_a", {"sessions": "m1_a", "subjects": "m1"}, (1, 1, 1), {"robs": target})
    metric = BitsPerSpike(BitsPerSpikeOptions(), MetricFacts((spec,)))
    state = metric.state(spec)
    items = torch.arange(sizes.batch)
    for number in range(sizes.batches):
        rates, counts, valid = pool[number % _POOL]
        group = Group("m1_a", 0, rates, {"robs": counts[:, None]}, valid[:, None], items)
        # What a model gives is new memory in every batch, for either method.
        metric.update(state, {"robs": rates.clone()[:, None]}, group)
    return metric.compute({"m1_a": state}).columns["m1_a"]


def _old(pool: Pool, sizes: Sizes) -> np.ndarray:
    metric = OldBitsPerSpike()
    for number in range(sizes.batches):
        rates, counts, valid = pool[number % _POOL]
        metric.update(rates.clone(), counts.clone(), valid.float())
    return metric.compute().numpy().astype(np.float64)


METHODS: dict[str, Callable[[Pool, Sizes], np.ndarray]] = {"engine": _engine, "old": _old}


def one(method: str, sizes: Sizes) -> dict[str, float]:
    """CPU-seconds, growth of the resident size in MB, and error of a method, in this process."""
    torch.set_num_threads(1)
    pool = pool_of(sizes)
    METHODS[method](pool, Sizes(num=4 * sizes.batch, units=sizes.units, batch=sizes.batch))  # kernels are loaded once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    scores = METHODS[method](pool, sizes)
    seconds = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    error = float(np.abs(scores - exact(pool, sizes.batches)).max())
    return {"seconds": seconds, "megabytes": grown / 1024, "error": error}


def _elsewhere(method: str) -> dict[str, float]:
    run = subprocess.run([sys.executable, __file__, "--one", method], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(run.stdout)
    return found


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    for _ in range(sizes.rounds):
        for method, rounds in found.items():
            rounds.append(_elsewhere(method) if sizes == Sizes() else one(method, sizes))
    pairs = list(zip(found["engine"], found["old"], strict=True))
    detail = {
        f"{method} {key}": statistics.median(round_[key] for round_ in rounds)
        for method, rounds in found.items()
        for key in ("seconds", "megabytes", "error")
    }
    return [
        Figure(
            "validation: memory over storing and joining",
            # Below 1 MB a resident size says nothing.
            statistics.median(max(own["megabytes"], 1.0) / max(old["megabytes"], 1.0) for own, old in pairs),
            "less",
            1 / 250,
            detail=detail,
        ),
        Figure(
            "validation: CPU time of storing and joining over the engine's",
            statistics.median(old["seconds"] / own["seconds"] for own, old in pairs),
            target=5.0,
        ),
        Figure("validation: largest error in bits per spike against float64", detail["engine error"], "less", 1e-7),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        allocator.keep()  # else whether a batch faults its pages in again is luck
        print(json.dumps(one(sys.argv[2], Sizes())))
    else:
        sys.exit(command("metric", measure, __doc__))
