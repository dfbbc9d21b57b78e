"""Where memory runs out the run ends and says which size to try; `visioncore doctor --find-batch` tries beforehand."""

from __future__ import annotations

import io
import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import toy_plugin
import unruly_plugin
from engine_road import EngineRoad
from hypothesis import given
from hypothesis import strategies as st
from unruly_parts import rank

from visioncore_engine import resolve, train
from visioncore_engine.build import build
from visioncore_engine.cli import main
from visioncore_engine.errors import RunError
from visioncore_engine.memory import ran_out_of_memory
from visioncore_engine.probe import MARGIN, Probe, _accumulate, find_batch, sizes
from visioncore_engine.probe import main as probe_main

PLUGINS = (toy_plugin.__file__, unruly_plugin.__file__)
RUN = """
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 4}
model: toy_linear
loss: unruly
metrics: [toy_error]
optimizer: {name: toy_adamw, lr: 0.01, accumulate: 3}
callbacks: [unruly]
loggers: []
loader: {evaluation_batch_size: 6}
trainer: {max_epochs: 1, accelerator: cpu}
"""
TORCH_CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to ..."


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN)
    return lambda *sets: resolve(["run.yaml"], sets=sets, plugin_files=PLUGINS)


def failing(error, *, training=True, on_rank=None):
    def loss(sums, group, step):
        if torch.is_grad_enabled() == training and on_rank in (None, rank()) and step >= 1:
            raise error

    return loss


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError(TORCH_CPU), torch.OutOfMemoryError("CUDA out of memory.\nmuch more")]
)
def test_out_of_memory_ends_the_run_with_the_size_to_try(run, handlers, error):
    handlers["loss"] = failing(error)
    with pytest.raises(RunError, match=r"out of memory: .*set optimizer\.accumulate: 6 \(it is 3\)") as ended:
        train(run(), quiet=True)
    assert "micro-batches of 4 instead of 8" in str(ended.value)
    assert "--find-batch" in str(ended.value)
    assert "much more" not in str(ended.value)
    assert ended.value.exit_code == 70


def test_out_of_memory_in_a_validation_names_the_other_size(run, handlers):
    handlers["loss"] = failing(MemoryError(), training=False)
    with pytest.raises(RunError, match=r"set loader\.evaluation_batch_size: 3 \(it is 6\)"):
        train(run(), quiet=True)


def test_out_of_memory_with_one_window_each_says_so(run, handlers):
    handlers["loss"] = failing(MemoryError())
    with pytest.raises(RunError, match="as small as it can be"):
        train(run("optimizer.accumulate=24"), quiet=True)


def test_another_error_is_none_of_memory():
    assert not ran_out_of_memory(RuntimeError("shapes do not fit"))
    assert not ran_out_of_memory(KeyError("out of memory"))
    caused = RunError("could not be built")
    caused.__cause__ = MemoryError()
    assert ran_out_of_memory(caused)


def test_f26_out_of_memory_on_one_process_ends_all(tmp_path, handlers):
    road = EngineRoad(tmp_path, RUN, PLUGINS)
    handlers["loss"] = failing(MemoryError(), on_rank=1)
    ended = road.train("run", processes=2)
    assert ended.code == 70, ended
    assert "out of memory on rank 1" in ended.err
    assert "micro-batches of 2 instead of 4" in ended.err


@given(st.integers(1, 10_000))
def test_sizes_grow_by_at_most_a_half_and_end_at_the_last(last):
    found = list(sizes(last))
    assert found == sorted(set(found))
    assert found[-1] == last
    assert all(after <= max(before + 1, 1.5 * before) for before, after in pairwise(found))


@given(st.integers(1, 500), st.integers(1, 700), st.integers(1, 64))
def test_what_is_recommended_fits_with_a_margin(share, fits, frames):
    share, fits = share * frames, fits * frames
    accumulate = _accumulate(share, fits, frames)
    largest = -(-(share // frames) // accumulate) * frames
    assert largest * MARGIN <= fits or largest == frames  # a window cannot be cut


def test_a_batch_that_fits_is_tried_with_a_margin_and_no_further(run, handlers, capsys):
    resolved = run()
    Probe(resolved, build(resolved), "cpu").run()
    first, *tried = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"share": 24, "frames": 1}
    assert [message["size"] for message in tried] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 30]


def test_a_batch_that_does_not_fit_ends_the_search(run, handlers, capsys):
    def loss(sums, group, step):
        if len(group.items) > 4:
            raise MemoryError("no room")

    handlers["loss"] = loss
    resolved = run()
    Probe(resolved, build(resolved), "cpu").run()
    *tried, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert last == {"ended": "no room"}
    assert 1 <= tried[-1]["size"] < 24


def test_another_failure_of_the_probe_is_no_limit(run, handlers):
    handlers["loss"] = failing_always
    resolved = run()
    with pytest.raises(ValueError, match="a defect"):
        Probe(resolved, build(resolved), "cpu").run()


def failing_always(sums, group, step):
    raise ValueError("a defect")


def test_a_run_that_cannot_be_built_is_refused(run, monkeypatch, capsys):
    run()
    regularizer = "regularizers.a={name: toy_l2, strength: 1, match: nothing}"
    job = {"arguments": {"paths": ["run.yaml"], "sets": [regularizer], "plugin_files": PLUGINS}, "limit": None}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(job)))
    with pytest.raises(SystemExit) as ended:
        probe_main()
    assert ended.value.code == 2
    assert "regularizers.a.match" in capsys.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of address space is Linux's")
def test_a_real_limit_is_found(tmp_path, monkeypatch):
    # A window takes 0.4 MB of features, forward and backward, and more on the way.
    (tmp_path / "run.yaml").write_text(RUN.replace("[unruly]", "[]").replace("loss: unruly", "loss: toy_squared"))
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_plugin.__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    sets = ["model.width=50000", "sampler.batch_size=2000", "trainer.precision=64-true"]
    job = {"paths": [str(tmp_path / "run.yaml")], "sets": sets, "plugin_files": PLUGINS}
    told = []
    found = find_batch(job, told=lambda size, num_bytes: told.append(size), limit=400_000_000)
    assert 10 <= found.fits == told[-1] < 1000
    assert "memory" in found.ended
    assert found.accumulate >= 2000 / found.fits * MARGIN


def test_the_command_says_what_to_write(run, tmp_path, monkeypatch, capfd):
    search_path = str(Path(toy_plugin.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", search_path)
    arguments = [word for file in PLUGINS for word in ("--plugin", file)]
    assert main(["doctor", "--find-batch", "run.yaml", *arguments, "--set", "trainer.devices=2"]) == 0
    told = capfd.readouterr().out
    assert "12 fits" in told
    assert "a process takes 12 of each global batch" in told
    assert "optimizer.accumulate: 1    (the run has 3)" in told
    assert main(["doctor", "--set", "a=1"]) == 2
