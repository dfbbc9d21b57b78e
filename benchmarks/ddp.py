"""What bookkeeping between processes costs: the engine's reduction against `find_unused_parameters=True`.

Two processes on gloo; a core and 20 readouts (324 thousand parameters); 1, 1 to 20, or 20 of them used in a step, the
same ones in both processes. A step is zero gradients, forward, backward and whatever the method adds; CPU time of the
first process. Bookkeeping is what a step costs beyond one without any communication.

    python benchmarks/ddp.py [--json] [--no-write]
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from figure import Figure, command
from side_by_side import Rounds, interleave
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from visioncore_engine.contracts import Batch, Group, GroupSpec, Index, TargetSpec
from visioncore_engine.objective import Objective, predict
from visioncore_engine.reduction import Reduction

__all__ = ["USES", "Heads", "Sizes", "draws", "engine_step", "measure", "stock_step", "work"]

USES = ("1", "1 to 20", "20")


@dataclass(frozen=True)
class Sizes:
    """The model, and for how long it runs."""

    readouts: int = 20
    width: int = 128
    inputs: int = 256
    units: int = 100
    rows: int = 32  # of each readout that is used
    steps: int = 40
    rounds: int = 4


class Heads(nn.Module):
    """A shared layer, and a readout per group."""

    history = 0

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.core = nn.Sequential(nn.Linear(sizes.inputs, sizes.width), nn.Tanh(), nn.Linear(sizes.width, sizes.width))
        self.readouts = nn.ModuleList(nn.Linear(sizes.width, sizes.units) for _ in range(sizes.readouts))

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """One pass through the core for all groups."""
        features: Tensor = self.core(torch.cat([group.inputs for group in batch.groups]))
        shares = torch.split(features, [len(group.items) for group in batch.groups])
        return [{"y": self.readouts[g.index](share)} for g, share in zip(batch.groups, shares, strict=True)]


class _Squared:
    """Sum of squares."""

    def weights(self, group: Group) -> dict[str, Tensor]:
        return {"y": torch.full((group.targets["y"].shape[1],), float(len(group.items)), dtype=torch.float64)}

    def __call__(self, outputs: Mapping[str, Tensor], group: Group) -> dict[str, Tensor]:
        return {"y": (outputs["y"] - group.targets["y"]).square().sum(0)}


class _Source:
    """Rows of one group."""

    frames_per_item = 1

    def __init__(self, number: int, sizes: Sizes) -> None:
        rng = np.random.default_rng([number, dist.get_rank() if dist.is_initialized() else 0])
        target = TargetSpec("values", sizes.units, "columns")
        self.group = GroupSpec(f"g{number}", {}, (sizes.inputs,), {"y": target})
        self.num_items, self._number = sizes.rows, number
        self._inputs = torch.from_numpy(rng.standard_normal((sizes.rows, sizes.inputs), dtype=np.float32))
        self._targets = torch.from_numpy(rng.standard_normal((sizes.rows, sizes.units), dtype=np.float32))

    def gather(self, items: np.ndarray) -> Group:
        index = torch.from_numpy(items)
        mask = torch.ones(len(items), 1, dtype=torch.bool)
        return Group(self.group.name, self._number, self._inputs[index], {"y": self._targets[index]}, mask, index)


def draws(use: str, sizes: Sizes) -> list[list[int]]:
    """Readouts that each step uses."""
    rng = np.random.default_rng(0)
    low, high = {"1": (1, 1), "1 to 20": (1, sizes.readouts), "20": (sizes.readouts, sizes.readouts)}[use]
    counts = rng.integers(low, high + 1, size=sizes.steps)
    return [sorted(rng.permutation(sizes.readouts)[:num].tolist()) for num in counts]


def _loss(objective: Objective, model: nn.Module, batch: Batch, weights: dict[str, float]) -> Tensor:
    loss = objective.total(objective.sums(predict(model, batch), batch), weights)
    assert loss is not None
    return loss


def engine_step(model: nn.Module, objective: Objective, reduction: Reduction, batch: Batch, step: int) -> None:
    """Gradients of the global batch by the engine's reduction."""
    model.zero_grad(set_to_none=True)
    weights = reduction.weights(objective.weights([batch]), {"the step": step})
    loss = _loss(objective, model, batch, weights)
    torch.autograd.backward(loss)
    used = [group.index for group in batch.groups]
    reduction.gradients(used, loss.item(), non_finite=False, stop=False, end=False)


def stock_step(model: nn.Module, objective: Objective, batch: Batch, num_processes: int = 1) -> None:
    """Gradients by the model itself, wrapped or not; with equal shares they are the engine's."""
    model.zero_grad(set_to_none=True)
    # DDP divides by the number of processes: here it is made the sum over the global weight, as the engine's.
    weights = {term: weight * num_processes for term, weight in objective.weights([batch]).items()}
    torch.autograd.backward(_loss(objective, model, batch, weights) * num_processes)


def _methods(sizes: Sizes, batches: list[Batch], sources: list[Any]) -> dict[str, Callable[[], None]]:
    objective = Objective(_Squared(), [{"y": torch.ones(1)} for _ in sources])
    offsets = np.cumsum([0, *(source.num_items for source in sources)])
    index = Index(
        tuple(s.group for s in sources), offsets, tuple(np.ones(s.num_items) for s in sources), (), tuple(sources), 1
    )
    model, wrapped = Heads(sizes), DistributedDataParallel(Heads(sizes), find_unused_parameters=True)
    alone = Heads(sizes)
    reduction = Reduction(model, index, objective)
    size = dist.get_world_size()

    def engine() -> None:
        for step, batch in enumerate(batches):
            engine_step(model, objective, reduction, batch, step)

    def stock() -> None:
        for batch in batches:
            stock_step(wrapped, objective, batch, size)

    def none() -> None:
        for batch in batches:
            stock_step(alone, objective, batch)

    engine()
    stock()
    _compare(model, wrapped.module)
    return {"none": none, "find_unused": stock, "engine": engine}


def _compare(one: nn.Module, other: nn.Module) -> None:
    """Raise RuntimeError where two models do not hold the same gradients."""
    for (name, a), (_, b) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        if (a.grad is None) != (b.grad is None):
            raise RuntimeError(f"{name}: only one of the methods gives it a gradient")
        if a.grad is not None and b.grad is not None and not torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6):
            raise RuntimeError(f"{name}: gradients differ by {float((a.grad - b.grad).abs().max()):.2g}")


def work(rank: int, num_processes: int, port: int, out: Path, sizes: Sizes) -> None:
    """One process: every method on every use, in turns; the first one writes what it found."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=num_processes)
    sources = [_Source(number, sizes) for number in range(sizes.readouts)]
    items = np.arange(sizes.rows)
    found: dict[str, Rounds] = {}
    for use in USES:
        batches = [Batch([sources[number].gather(items) for number in used]) for used in draws(use, sizes)]
        methods = _methods(sizes, batches, sources)
        found[use] = interleave({name: (run, sizes.steps) for name, run in methods.items()}, sizes.rounds)
    if rank == 0:
        out.write_text(json.dumps({use: rounds.seconds for use, rounds in found.items()}))
    dist.destroy_process_group()


def _run(sizes: Sizes, num_processes: int = 2) -> dict[str, Rounds]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        words = [str(num_processes), str(port), str(out), json.dumps(asdict(sizes))]
        workers = [
            subprocess.Popen([sys.executable, __file__, "--rank", str(rank), *words]) for rank in range(num_processes)
        ]
        codes = [worker.wait(timeout=240) for worker in workers]
        if any(codes):
            raise RuntimeError(f"processes ended with {codes}")
        stored = json.loads(out.read_text())
    found = {}
    for use, seconds in stored.items():
        found[use] = Rounds([])
        found[use].seconds = seconds
    return found


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    torch.set_num_threads(1)
    figures = []
    shares = []
    for use, rounds in _run(sizes).items():
        times = {name: rounds.median(name) for name in rounds.seconds}
        share = (times["engine"] - times["none"]) / (times["find_unused"] - times["none"])
        shares.append(share)
        detail = {f"{name} ms": round(1e3 * seconds, 2) for name, seconds in times.items()}
        detail["whole step"] = rounds.ratio("engine", "find_unused")
        figures.append(
            Figure(f"bookkeeping over find_unused_parameters, {use} of 20 readouts used", share, "less", detail=detail)
        )
    mean = Figure("bookkeeping over find_unused_parameters, mean of the three", sum(shares) / len(shares), "less", 0.7)
    return [mean, *figures]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank"]:
        rank, size, port, path, given = sys.argv[2:]
        work(int(rank), int(size), int(port), Path(path), Sizes(**json.loads(given)))
    else:
        sys.exit(command("ddp", measure, __doc__))
