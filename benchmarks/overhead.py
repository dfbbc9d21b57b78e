"""What a step costs besides the model's own work: the engine and Lightning against a plain PyTorch loop.

A perceptron, AdamW, rows in memory. The engine trains by `visioncore_engine.train` with five callbacks of five hooks
each; Lightning with its defaults, the same callbacks and 20 values by `self.log`. A step lasts from its begin to the
begin of the next; the mean over the steps of a round counts, so that what happens only now and then is in it. CPU time
of all threads (the engine reads ahead in one); wall time stands in the details: on a busy machine it is mostly theirs.

    python benchmarks/overhead.py [--json] [--no-write]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import ticks
import torch
from bench_options import BusyOptions, RowsOptions
from bench_parts import Busy, Rows, RowsDataset, perceptron
from figure import Figure, command
from torch import Tensor

from visioncore_engine import resolve, train
from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.trainer import quiet_lightning

__all__ = ["Case", "Seconds", "Sizes", "engine_steps", "measure", "raw_steps", "stock_steps"]

PLUGIN = Path(__file__).with_name("bench_plugin.py")
NUM_CALLBACKS, NUM_SCALARS, RATE = 5, 20, 1e-3


@dataclass(frozen=True)
class Case:
    """A model and how long to train it."""

    width: int
    batch: int
    inputs: int = 32
    outputs: int = 20
    steps: int = 200
    skip: int = 50  # first steps that do not count


@dataclass(frozen=True)
class Sizes:
    """What is measured."""

    small: Case = Case(width=64, batch=64)
    large: Case = Case(width=1024, batch=384, inputs=256, steps=25, skip=5)
    rounds: int = 4


class Seconds(NamedTuple):
    """Of a step: CPU time of the process, mean; wall time, median."""

    cpu: float
    wall: float


def _rows(case: Case) -> tuple[Rows, RowsOptions]:
    options = RowsOptions(num_items=case.batch * case.steps, inputs=case.inputs, outputs=case.outputs)
    return RowsDataset(options, DatasetFacts(seed=0)).sources("train", 0)[0], options


def _batches(case: Case) -> Iterator[tuple[Tensor, Tensor]]:
    rows, _ = _rows(case)
    for step in range(case.steps):
        items = (np.arange(case.batch) + step * case.batch) % rows.num_items
        yield torch.from_numpy(rows.inputs[items]), torch.from_numpy(rows.targets[items])


def raw_steps(case: Case) -> Seconds:
    """A step of a plain loop."""
    torch.manual_seed(0)
    model = perceptron(case.inputs, case.width, case.outputs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, foreach=True)
    begins: list[tuple[float, float]] = []
    for inputs, targets in _batches(case):
        begins.append((time.process_time(), time.perf_counter()))
        optimizer.zero_grad(set_to_none=True)
        loss = (model(inputs) - targets).square().mean()
        loss.backward()
        optimizer.step()
    return _steps(begins, case)


def _steps(begins: list[tuple[float, float]], case: Case) -> Seconds:
    (cpu, _), *_, (cpu_end, _) = counted = begins[case.skip :]
    wall = statistics.median(after - before for (_, before), (_, after) in pairwise(counted))
    return Seconds((cpu_end - cpu) / (len(counted) - 1), wall)


class _Stock(pl.LightningModule):
    """A plain module: automatic optimization and 20 logged values."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = perceptron(case.inputs, case.width, case.outputs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Loss of a batch."""
        inputs, targets = batch
        loss: Tensor = (self.layers(inputs) - targets).square().mean()
        for number in range(NUM_SCALARS):
            self.log(f"value/{number}", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=RATE, foreach=True)


class _Stream(torch.utils.data.IterableDataset[tuple[Tensor, Tensor]]):
    def __init__(self, case: Case) -> None:
        self._case = case

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return _batches(self._case)


def stock_steps(case: Case) -> Seconds:
    """A step of Lightning with its defaults."""
    loader = torch.utils.data.DataLoader(_Stream(case), batch_size=None)
    busy = [Busy(BusyOptions(), None) for _ in range(NUM_CALLBACKS)]
    with tempfile.TemporaryDirectory() as folder, quiet_lightning(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            enable_progress_bar=False,  # it would write to the terminal
            enable_model_summary=False,
            default_root_dir=folder,
            callbacks=[ticks.Ticks(), *busy],
        )
        trainer.fit(_Stock(case), loader)
    return _steps(ticks.STEPS, case)


def engine_steps(case: Case, scalars: int) -> Seconds:
    """A step of the engine, with `scalars` values logged by callbacks in every step."""
    _, options = _rows(case)
    callbacks = {
        f"busy{number}": {"name": "busy", "scalars": scalars // NUM_CALLBACKS} for number in range(NUM_CALLBACKS)
    }
    with tempfile.TemporaryDirectory() as folder:
        run = {
            "seed": 0,
            "data": {"name": "rows", **options.model_dump()},
            "sampler": {"name": "sequential", "batch_size": case.batch},
            "model": {"name": "perceptron", "width": case.width},
            "loss": {"name": "squared"},
            "optimizer": {"name": "adamw", "lr": RATE},
            "callbacks": {"ticks": {"name": "ticks"}, **callbacks},
            "trainer": {"max_steps": case.steps, "threads": 1, "accelerator": "cpu", "check_val_every_n_epoch": 1},
            "run": {"dir": f"{folder}/run"},
        }
        train(resolve(run, plugin_files=[PLUGIN]), quiet=True)
    return _steps(ticks.STEPS, case)


def _in_turns(methods: dict[str, Callable[[], Seconds]], rounds: int) -> dict[str, list[Seconds]]:
    """Seconds of a step, per method and round."""
    found: dict[str, list[Seconds]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            found[name].append(method())
    return found


def _extra(found: dict[str, list[Seconds]], name: str) -> float:
    """Share of a raw step that a method adds, per cent: median over rounds."""
    pairs = zip(found[name], found["raw"], strict=True)
    return 100 * statistics.median(own.cpu / raw.cpu - 1 for own, raw in pairs)


def _detail(found: dict[str, list[Seconds]]) -> dict[str, float]:
    detail = {}
    for name, rounds in found.items():
        detail[f"{name} ms"] = round(1e3 * statistics.median(seconds.cpu for seconds in rounds), 3)
        detail[f"{name} wall ms"] = round(1e3 * statistics.median(seconds.wall for seconds in rounds), 3)
    return detail


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    torch.set_num_threads(1)
    small = _in_turns(
        {
            "raw": lambda: raw_steps(sizes.small),
            "engine": lambda: engine_steps(sizes.small, 0),
            "engine, 20 values": lambda: engine_steps(sizes.small, NUM_SCALARS),
            "Lightning, 20 values": lambda: stock_steps(sizes.small),
        },
        sizes.rounds,
    )
    large = _in_turns(
        {"raw": lambda: raw_steps(sizes.large), "engine": lambda: engine_steps(sizes.large, 0)}, sizes.rounds
    )
    detail = _detail(small)
    added = round((detail["engine ms"] - detail["raw ms"]) / 0.3, 2)
    return [
        Figure(
            "engine, 5 callbacks, 20 values: per cent over a raw step",
            _extra(small, "engine, 20 values"),
            "less",
            50.0,
            detail=detail,
        ),
        Figure("engine, 5 callbacks, no values: per cent over a raw step", _extra(small, "engine"), "less", 50.0),
        Figure(
            "check of the baseline: Lightning's defaults, 20 `self.log`: per cent over a raw step (was 1400)",
            _extra(small, "Lightning, 20 values"),
            "less",
        ),
        Figure(
            "engine, 5 callbacks: per cent over a raw step of about 30 ms",
            _extra(large, "engine"),
            "less",
            2.0,
            detail=_detail(large) | {"what is added to a small step, per cent of 30 ms": added},
        ),
    ]


if __name__ == "__main__":
    sys.exit(command("overhead", measure, __doc__))
