"""Bad input that only a running training meets; what can be seen before is tested with the packages."""

from __future__ import annotations

import sys
from contextlib import suppress

import fault_parts
import pytest
import torch
import toy_parts
from fault_parts import arm, die, raising
from small_disk import on_a_small_disk


def refused(road, *sets, code=2, **how):
    """What a training says that is refused before its first step."""
    ended = road.train("refused", *sets, **how)
    assert ended.code == code, ended
    assert "Traceback" not in ended.err, ended
    assert not list((road.home / "refused").glob("checkpoints/*.ckpt"))
    return ended.err


# ---------------------------------------------------------------------------------------------------------------
# Run files (C)


def test_c29_a_run_folder_that_cannot_be_written(road):
    def work(libc):
        small = road.home / "small"
        with (small / "neighbour").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        ended = road.train("small/full")
        assert ended.code == 74, ended
        assert "small/full" in ended.err
        assert "No space left on device" in ended.err

    on_a_small_disk(road.home, work)


def test_c30_a_folder_that_holds_another_run(road):
    assert road.train("run").code == 0
    ended = road.train("run", "optimizer.lr=0.02")
    assert ended.code == 2, ended
    assert "this folder already holds a run" in ended.err
    ended = road.train("run", "optimizer.lr=0.02", resume=True)
    assert ended.code == 2, ended
    assert "optimizer.lr: the checkpoint was trained with 0.01 (got 0.02)" in ended.err


def test_c31_a_batch_that_does_not_divide_by_the_processes_is_legal(road):
    sets = ("trainer.precision=64-true", "sampler.batch_size=7", "trainer.max_epochs=1", "model.dropout=0.0")
    for folder, processes in (("one", 1), ("two", 2)):
        ended = road.train(folder, *sets, processes=processes)
        assert ended.code == 0, ended
    for name, value in road.weights("one").items():
        assert (value - road.weights("two")[name]).abs().max() < 1e-9, name


def test_c32_more_devices_than_there_are(road):
    def two_gpus():
        torch.cuda.device_count = lambda: 2
        torch.cuda.is_available = lambda: True

    said = refused(road, "trainer.devices=8", "trainer.accelerator=gpu", before=two_gpus)
    assert "trainer.devices: 2 devices are present (got 8)" in said


def test_c35_an_end_before_the_checkpoint(road):
    # At step 10 that of step 6 is on the disk, and that of step 9 may be on its way.
    assert road.train("run", before=lambda: arm("on_train_batch_start", die, step=10)).code == -9
    ended = road.train("run", "trainer.max_epochs=null", "trainer.max_steps=5", resume=True)
    assert ended.code == 2, ended
    said = f"nothing to do: the checkpoint is at step {road.step()}, and the run ends at step 5"
    assert said in ended.err


# ---------------------------------------------------------------------------------------------------------------
# Plugins (P)

PLUGIN = """
import {imports}
from visioncore_engine import Component, hookimpl

@hookimpl
def visioncore_optimizers():
    yield Component(name="odd", summary="odd", build="odd_parts:odd")
"""


@pytest.fixture
def odd(road):
    """Adds a plugin with an optimizer of its own, whose module has a given text; what is said of it."""

    def add(text, code=2):
        (road.home / "odd_plugin.py").write_text(PLUGIN.format(imports="sys"))
        (road.home / "odd_parts.py").write_text(text)
        road.plugins = (*road.plugins, str(road.home / "odd_plugin.py"))
        return refused(
            road, "optimizer={name: odd, lr: 0.01}", code=code, before=lambda: sys.path.insert(0, str(road.home))
        )

    return add


def test_p09_a_builder_that_returns_the_wrong_type(odd):
    said = odd("def odd(options, facts): return {}")
    assert "the builder of optimizer 'odd' of plugin 'odd_plugin' returned dict" in said


def test_p10_a_builder_that_returns_nothing(odd):
    said = odd("def odd(options, facts): pass")
    assert "the builder of optimizer 'odd' of plugin 'odd_plugin' returned NoneType" in said


def test_p02_a_module_that_ends_the_process_when_its_builder_is_imported(odd):
    said = odd("import sys; sys.exit(0)")
    assert "optimizer 'odd' of plugin 'odd_plugin' cannot be imported: SystemExit: 0" in said


def test_p02_a_builder_that_ends_the_process(odd):
    said = odd("import sys\ndef odd(options, facts): sys.exit(0)", code=70)
    assert "optimizer 'odd' of plugin 'odd_plugin' could not be built: SystemExit: 0" in said


def test_p02_a_callback_that_ends_the_process(road):
    ended = road.train(before=lambda: arm("on_train_batch_start", raising(SystemExit(0)), step=7))
    assert ended.code == 70, ended
    assert "plugin 'fault_plugin'" in ended.err
    assert "SystemExit: 0" in ended.err


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("torch.set_default_dtype(torch.float64)", "torch's default dtype from torch.float32 to torch.float64"),
        ("torch.manual_seed(3)", "torch's random state"),
        ("torch.rand(1)", "torch's random state"),
        ("torch.set_num_threads(2)", "torch's number of threads from 1 to 2"),
    ],
)
def test_p18_a_module_that_changes_torch_for_everybody(odd, text, changed):
    said = odd(f"import torch\n{text}\ndef odd(options, facts): pass")
    assert f"optimizer 'odd' of plugin 'odd_plugin' changes {changed} when it is imported" in said


def test_p19_a_module_that_initialises_cuda(odd):
    said = odd("import torch\ntorch.cuda._initialized = True\ndef odd(options, facts): pass")
    assert "whether CUDA is initialised from False to True when it is imported" in said


# ---------------------------------------------------------------------------------------------------------------
# Data (D)


@pytest.mark.parametrize(
    ("weights", "what"),
    [
        (lambda source: source.mask.any(axis=1)[:-3].astype(float), "weights of shape (37,) for 40 windows"),
        (lambda source: -source.mask.any(axis=1).astype(float), "of 40 weights of windows are negative or not finite"),
        (lambda source: source.mask.any(axis=1) * float("nan"), "40 of 40 weights of windows are negative or not"),
    ],
    ids=["short", "negative", "nan"],
)
def test_d16_weights_that_are_none(road, weights, what):
    def before():
        toy_parts.ToySource.weights = weights

    said = refused(road, before=before)
    assert "group 'group0': " in said
    assert what in said


def test_d16_all_weights_zero(road):
    ended = road.train("run", "data.masked=1.0")
    assert ended.code == 70, ended
    assert "no valid value in the whole batch" in ended.err


def with_batch_norm():
    original = toy_parts.ToyModel.__init__

    def other(self, options, facts):
        original(self, options, facts)
        self.shared = torch.nn.Sequential(self.shared, torch.nn.BatchNorm1d(options.width))

    toy_parts.ToyModel.__init__ = other


def test_d18_a_last_batch_of_one_with_batch_statistics(road):
    # 90 windows in batches of 89: the last has one.
    ended = road.train("run", "sampler.batch_size=89", before=with_batch_norm)
    assert ended.code == 70, ended
    assert "Expected more than 1 value per channel" in ended.err
    assert "Traceback" not in ended.err


def test_d18_batch_statistics_over_several_processes_are_refused(road):
    said = refused(road, processes=2, before=with_batch_norm)
    assert "batch statistics over several processes are not defined: shared.1" in said


def test_d20_processes_that_see_different_data(road):
    def fewer_on_rank_1():
        original = toy_parts.ToyData._source

        def other(self, number, split):
            source = original(self, number, split)
            if fault_parts.rank() == 1 and split == "train":
                source.num_items -= 1
                source.mask = source.mask[:-1]
            return source

        toy_parts.ToyData._source = other

    said = refused(road, processes=2, before=fewer_on_rank_1)
    assert "processes disagree on what to train (got rank 0: 40; rank 1: 39)" in said
    assert "windows of group0" in said


@pytest.mark.parametrize("prefetch", [0, 2])
def test_d21_reading_that_runs_out_of_memory(road, prefetch):
    # There are no worker processes that could be killed alone: windows are read by a thread.
    ended = gathering(road, prefetch, MemoryError())
    assert "out of memory" in ended.err


@pytest.mark.parametrize("prefetch", [0, 2])
def test_d22_a_window_that_cannot_be_read(road, prefetch):
    ended = gathering(road, prefetch, ValueError("bad frame"))
    assert "ValueError: bad frame; reading windows " in ended.err
    assert "of group 'group1'" in ended.err
    assert "plugin 'toy_plugin'" in ended.err


def gathering(road, prefetch, error):
    """Train until a window of the second group cannot be read."""

    def before():
        original = toy_parts.ToySource.gather

        def other(self, items):
            return original(self, FailingAt(items, error) if self.group.name == "group1" and 7 in items else items)

        toy_parts.ToySource.gather = other

    class FailingAt:
        def __init__(self, items, error):
            self.items, self.error = items, error

        def __index__(self):
            raise self.error

        def __array__(self, *arguments, **more):
            raise self.error

    ended = road.train("run", f"loader.prefetch={prefetch}", before=before)
    assert ended.code == 70, ended
    return ended
