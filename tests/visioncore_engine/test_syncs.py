"""What a step leaves out. A number that is read on the host, and waits for the device, is a `_local_scalar_dense`."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import toy_plugin
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from visioncore_engine import resolve, train
from visioncore_engine.module import TrainingModule

RUN = {
    "seed": 5,
    "data": {"name": "toy", "num_groups": 2},
    "sampler": {"name": "toy_random", "batch_size": 24},
    "model": "toy_linear",
    "loss": "toy_squared",
    "loggers": [],
    "metrics": ["toy_error"],
    "regularizers": {"shrink": {"name": "toy_l2", "strength": 1e-3, "match": "heads.*.weight"}},
    "checkpoint": {"monitor": "val/toy_error"},
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "log_every_n_steps": 1000},
}


class Reads(TorchDispatchMode):
    """Counts what is read on the host, but for what the optimizer reads of its own counters."""

    def __init__(self):
        super().__init__()
        self.num, self.counts = 0, True

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.num += self.counts and function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def run_of(num_steps, micros=1):
    return {
        **RUN,
        "sampler": {**RUN["sampler"], "batches_per_epoch": num_steps},
        "optimizer": {"name": "toy_adamw", "lr": 0.01, "clip": 1.0, "accumulate": micros},
        "loader": {"prefetch": 2},  # another thread's modes are its own
        "run": {"dir": f"{num_steps}-{micros}"},
    }


def reads(monkeypatch, num_steps, micros):
    mode = Reads()
    step = torch.optim.AdamW.step

    def aside(self, *given):
        mode.counts = False
        step(self, *given)
        mode.counts = True

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", aside)
        with mode:
            train(resolve(run_of(num_steps, micros), plugin_files=[toy_plugin.__file__]), quiet=True)
    return mode.num


@pytest.mark.parametrize("micros", [1, 3])
def test_a_step_reads_the_loss_of_each_micro_batch_and_one_norm_and_nothing_else(monkeypatch, tmp_path, micros):
    monkeypatch.chdir(tmp_path)
    assert reads(monkeypatch, 9, micros) - reads(monkeypatch, 4, micros) == 5 * (micros + 1)


def test_no_step_sets_an_attribute_of_the_module_by_way_of_nn_module(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    slow = nn.Module.__setattr__

    def names(num_steps):
        seen = []

        def count(self, name, value):
            seen.append(name)
            slow(self, name, value)

        with monkeypatch.context() as patch:
            patch.setattr(nn.Module, "__setattr__", count)
            train(resolve(run_of(num_steps), plugin_files=[toy_plugin.__file__]), quiet=True)
        return Counter(seen)

    assert names(9) - names(4) == Counter()


def test_attributes_of_the_module_stay_what_nn_module_makes_of_them():
    class Other(TrainingModule):
        def __init__(self):
            nn.Module.__init__(self)

    made = Other()
    made.plain = 1
    made.plain = nn.Linear(2, 2)
    assert dict(made.named_children()) == {"plain": made.plain}
    made.plain = None
    assert made.plain is None
    assert "plain" not in vars(made)
    made.other = None
    made.other = nn.Parameter(torch.ones(1))
    assert dict(made.named_parameters()) == {"other": made.other}
    made.register_buffer("third", torch.ones(1))
    made.third = torch.zeros(1)
    assert dict(made.named_buffers()) == {"third": made.third}
