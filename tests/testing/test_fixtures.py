"""The fixtures: plugins in isolation, distributions that were never installed, calls, tiny runs and processes."""

from __future__ import annotations

import importlib
import signal
import sys

import pytest
import torch
import torch.distributed as dist

from visioncore_engine import Component, discover, hookimpl
from visioncore_engine.errors import RunError
from visioncore_engine.testing import HookRecorder, RankError
from visioncore_engine.testing.tiny import STEPS

LAB = """
    from visioncore_engine import Component, hookimpl

    @hookimpl
    def visioncore_schedulers():
        yield Component(name="flat", summary="flat", build="my_lab.parts:Flat")
"""
PARTS = """
    class Flat:
        def __init__(self, options, facts): pass
        def factor(self, step): return 0.5
        def observe(self, scores): pass
        def state(self): return {}
        def restore(self, state): pass
"""


def test_isolated_plugins_hold_what_the_test_registers_and_no_more(isolated_plugins, tmp_path):
    assert isolated_plugins.registry().plugins == discover().plugins == ()

    @hookimpl
    def visioncore_schedulers():
        yield Component(name="flat", summary="flat", build=":Flat")

    isolated_plugins.register({"visioncore_schedulers": visioncore_schedulers}, name="mine")
    (tmp_path / "single_file.py").write_text(
        "from visioncore_engine import Component, hookimpl\n\n@hookimpl\ndef visioncore_losses():\n"
        "    yield Component(name='l', summary='l', build=':L')\n"
    )
    isolated_plugins.register_file(tmp_path / "single_file.py")
    found = isolated_plugins.registry()
    assert [(entry.kind, entry.name, entry.plugin.name) for entry in found.entries] == [
        ("loss", "l", "single_file"),
        ("scheduler", "flat", "mine"),
    ]
    assert [plugin.name for plugin in discover().plugins] == ["mine"]


def test_a_fake_distribution_is_a_plugin_like_any_other(fake_distribution):
    lab = fake_distribution("my-lab", "2.5", modules={"my_lab": LAB, "my_lab.parts": PARTS}, editable=True)
    (plugin,) = discover().plugins
    assert (plugin.distribution, plugin.version, plugin.status, plugin.editable) == ("my-lab", "2.5", "loaded", True)
    assert importlib.import_module("my_lab.parts").Flat(None, None).factor(3) == 0.5
    lab.deactivate()
    assert "my_lab" not in sys.modules
    with pytest.raises(ImportError):
        importlib.import_module("my_lab")


def test_the_record_of_a_fake_distribution_is_true(fake_distribution):
    import importlib_metadata

    lab = fake_distribution(modules={"my_lab": LAB})
    (found,) = importlib_metadata.distributions(path=[str(lab.folder)])
    assert {str(path) for path in found.files} == {
        "my_lab.py",
        "my_lab-1.0.dist-info/METADATA",
        "my_lab-1.0.dist-info/entry_points.txt",
        "my_lab-1.0.dist-info/RECORD",
    }
    for path in found.files:
        assert path.hash is None or path.locate().stat().st_size == path.size


def test_the_recorder_writes_down_calls_and_puts_everything_back(hook_recorder):
    class Thing:
        def double(self, value, *, plus=0):
            return 2 * value + plus

        def fail(self):
            raise ValueError

    before = vars(Thing)["double"]
    hook_recorder.watch(Thing)
    thing = Thing()
    assert (thing.double(1), thing.double(2, plus=1)) == (2, 5)
    with pytest.raises(ValueError):
        thing.fail()
    assert hook_recorder.names == ["double", "double"]
    assert [(call.args, call.kwargs, call.returned) for call in hook_recorder.calls] == [
        ((1,), {}, 2),
        ((2,), {"plus": 1}, 5),
    ]
    hook_recorder.stop()
    thing.double(9)
    assert vars(Thing)["double"] is before
    assert len(hook_recorder.of("double")) == 2
    with pytest.raises(AttributeError):
        HookRecorder().watch(thing, "no_such_thing")


def test_a_watched_hook_is_still_a_hook(isolated_plugins, hook_recorder):
    import kit_plugin

    hook_recorder.watch(kit_plugin, "visioncore_regularizers")
    isolated_plugins.register(kit_plugin)
    assert isolated_plugins.registry().names("regularizer") == ("detached", "squares")
    assert hook_recorder.names == ["visioncore_regularizers"]


def test_a_tiny_run_is_a_whole_run(tiny_run, isolated_plugins):
    run = tiny_run()
    result = run.train()
    assert result.scores["val/tiny"] == run.checkpoint("run", "best")["visioncore"]["scores"]["val/tiny"]
    assert run.checkpoint()["global_step"] == STEPS
    run.train_with_a_break(at=5)
    assert all(torch.equal(value, run.weights("broken")[name]) for name, value in run.weights().items())


def test_any_part_of_a_tiny_run_is_replaced(tiny_run, isolated_plugins, hook_recorder):
    import kit_parts
    import kit_plugin

    isolated_plugins.register(kit_plugin)
    hook_recorder.watch(kit_parts.Halving, "factor")
    run = tiny_run(scheduler="halving", callbacks=["counter"])
    run.train()
    assert {call.args[0] for call in hook_recorder.of("factor")} == set(range(STEPS))
    (state,) = [value for key, value in run.checkpoint()["callbacks"].items() if "Counter" in key]
    assert state == {"steps": STEPS}


def test_a_tiny_run_says_what_fails_in_it(tiny_run, isolated_plugins, monkeypatch):
    import kit_parts
    import kit_plugin

    isolated_plugins.register(kit_plugin)
    monkeypatch.setattr(kit_parts.Counter, "on_train_batch_end", lambda self, *_: 1 / 0)
    with pytest.raises(RunError, match="ZeroDivisionError"):
        tiny_run(callbacks=["counter"]).train()


def add_up(rank, start):
    value = torch.tensor([start + rank])
    dist.all_reduce(value)
    return int(value)


def fail_on_one(rank):
    if rank == 1:
        raise ValueError("as asked")
    dist.barrier()


def wait_for_ever(rank):
    signal.pause()


@pytest.mark.slow
def test_processes_of_one_group_return_or_name_who_failed(run_ranks):
    assert run_ranks(add_up, 2, 5) == [11, 11]
    with pytest.raises(RankError, match=r"process 1 of 2: (?s:.*)ValueError: as asked"):
        run_ranks(fail_on_one, 2)
    with pytest.raises(ValueError, match="not a function at the top of a module"):
        run_ranks(lambda rank: rank, 2)


@pytest.mark.slow
def test_processes_that_never_end_are_ended(run_ranks):
    with pytest.raises(RankError, match="these of 1 processes had not ended: 0"):
        run_ranks(wait_for_ever, 1, timeout=0.5)
