"""What is compiled gives the same numbers, is compiled once however a batch is made up, and never left out silently."""

from __future__ import annotations

import shutil

import pytest
import torch
from neural_models import batch, choice, encoder, recording
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.testing import CompileCounterWithBackend
from torch._functorch.aot_autograd import make_boxed_func
from unreported import train

from visioncore_engine import load, resolve
from visioncore_engine.compilation import compile_parts
from visioncore_engine.errors import ConfigError

SPECS = tuple(recording(f"m{number}_a", 2 + number) for number in range(10))
CORE = (
    choice("stage", "conv3d", channels=[3], kernel_size=[2, 3, 3]),
    choice("stage", "resnet3d", channels=[4], kernel_size=[2, 3, 3]),
)
# Twelve windows, of other recordings and in other shares each time: more ways than torch keeps compiled.
SHARES = [(12,), (1, 11), (11, 1), (2, 10), (10, 2), (3, 9), (9, 3), (4, 8), (1, 1, 10), (1, 1, 1, 9), (2,) * 6]

SMALL = {
    "seed": 3,
    "data": {"name": "synthetic_v1", "num_units": 3, "size": 12, "duration": 30.0, "trial": 3.0, "num_repeats": 2},
    "sampler": {"name": "shuffled", "batch_size": 150, "batches_per_epoch": 3},
    "model": {"name": "encoder", "core": [{"name": "conv3d", "channels": [4], "kernel_size": [3, 5, 5]}]},
    "loss": {"name": "poisson"},
    "metrics": ["bits_per_spike"],
    "optimizer": {"name": "adamw", "lr": 0.01},
}


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    torch._dynamo.config.fail_on_recompile_limit_hit = False


def step(model, some):
    """Loss and gradients of one pass."""
    model.zero_grad()
    loss = torch.stack([output["robs"].square().sum() for output in model(some)]).sum()
    loss.backward()
    return loss.detach(), [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def test_b5_mixed_batches_are_compiled_once():
    plain, compiled = encoder(SPECS, core=CORE), encoder(SPECS, core=CORE)
    counter = CompileCounterWithBackend("eager")
    assert compile_parts(compiled, "cpu", counter) == ("core",)
    for shares in SHARES:
        some = batch(plain, SPECS[-len(shares) :], shares)
        (loss, gradients), (expected, reference) = step(compiled, some), step(plain, some)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradients, reference)
    assert counter.frame_count == 1
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_more_shapes_than_torch_keeps_are_an_error():
    model = encoder(SPECS, core=CORE)
    compile_parts(model, "cpu", "eager")
    for size in range(1, 9):
        model(batch(model, SPECS[:1], (size,)))
    one_more = batch(model, SPECS[:1], (9,))
    with pytest.raises(Exception, match="recompile"):
        model(one_more)


def replaying(graph, inputs):
    """Run a graph as a CUDA graph's replay does: what it returns lies where it lay after the replay before."""
    places = []

    def replay(*arguments):
        for number, value in enumerate(graph(*arguments)):
            if number == len(places):
                places.append(torch.empty_like(value) if isinstance(value, torch.Tensor) else value)
            if isinstance(value, torch.Tensor):
                places[number].copy_(value)
        return [place.detach() if isinstance(place, torch.Tensor) else place for place in places]

    return make_boxed_func(replay)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's compiler uses its own old parts
def test_gradients_of_a_micro_batch_outlive_the_replay_of_the_next(tmp_path, monkeypatch):
    def compile_parts_as_graphs(model, device, *, graphs):
        model.get_submodule("core").compile(
            backend=aot_autograd(fw_compiler=replaying, bw_compiler=replaying), dynamic=False, fullgraph=True
        )
        assert graphs

    monkeypatch.setattr("visioncore_engine.run.compile_parts", compile_parts_as_graphs)
    weights = []
    for compiled in (False, "graphs"):
        run = {**SMALL, "optimizer": {"name": "adamw", "lr": 0.01, "accumulate": 3}}
        run |= {"trainer": {"max_epochs": 2, "accelerator": "cpu", "precision": "64-true", "compile": compiled}}
        folder = tmp_path / str(compiled)
        train(resolve(run | {"run": {"dir": str(folder)}}))
        weights.append(load(folder / "checkpoints" / "last.ckpt").model.state_dict())
    torch.testing.assert_close(weights[1], weights[0])


def test_graphs_without_a_gpu_are_refused():
    with pytest.raises(ConfigError, match="CUDA graphs need a GPU"):
        compile_parts(encoder(SPECS, core=CORE), "cpu", graphs=True)


def test_a_model_without_such_parts_is_refused():
    with pytest.raises(ConfigError, match="Linear names no part that can be compiled"):
        compile_parts(nn.Linear(2, 2), "cpu")


def test_a_machine_without_a_compiler_is_told_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
        compile_parts(encoder(SPECS, core=CORE), "cpu")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's compiler uses its own old parts
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="compiling needs a C++ compiler")
def test_a_compiled_training_is_the_plain_one_up_to_rounding(tmp_path):
    scores = [
        train(
            resolve(
                {
                    **SMALL,
                    "trainer": {"max_epochs": 2, "accelerator": "cpu", "compile": compiled},
                    "run": {"dir": str(tmp_path / str(compiled))},
                }
            ),
        ).scores["val/bits_per_spike"]
        for compiled in (False, True)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)
