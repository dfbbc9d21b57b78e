"""One of two processes fails: the other ends too, the first error is shown, and nothing is left running."""

from __future__ import annotations

import os
import signal
import threading
import time

import fault_parts
import pytest
import torch
from fault_parts import arm, die, now, raising
from toy_parts import ToyData

from visioncore_engine import record

SECONDS = 30.0  # the promise; a loaded machine is slower than an idle one, where it is about a second


def fail(road, place, do, *, rank=1, step=7, sets=(), code=70, limit=SECONDS):
    """Train on two processes until `do` ends it; what was printed."""
    ended = road.train("run", *sets, processes=2, limit=limit, before=lambda: arm(place, do, step=step, rank=rank))
    assert ended.code == code if not road.stock else ended.code, ended
    assert all(bool(value.isfinite().all()) for value in road.weights().values())
    return ended.err


def test_f18_a_loss_that_is_not_finite_on_one_rank_stops_all(road):
    said = fail(road, "loss", lambda: lambda sums: {term: value * float("nan") for term, value in sums.items()})
    assert "step 7: " in said
    assert "not finite" in said
    assert "term 'y' of 'group" in said
    assert road.step() <= 7


def test_f19_an_exception_on_rank_1(road):
    said = fail(road, "noise", raising(ValueError("the noise failed")), rank=1)
    assert "the noise failed" in said


def test_f20_an_exception_on_rank_0(road):
    said = fail(road, "noise", raising(ValueError("the noise failed")), rank=0)
    assert "the noise failed" in said


def test_f21_sigkill_of_rank_1(road):
    said = fail(road, "on_train_batch_start", die)
    assert road.stock or "process 1 was killed by SIGKILL" in said


def test_f22_a_hard_exit_of_rank_1(road):
    said = fail(road, "on_train_batch_start", lambda: os._exit(3))
    assert road.stock or "process 1 ended with exit code 3" in said


def test_f24_a_loss_that_returns_nothing_on_rank_1(road):
    said = fail(road, "loss", lambda: lambda sums: None)
    assert "None" in said


def test_f25_parameters_that_rank_1_does_not_use_are_no_hang(road):
    # A layer may be left out at random: that is legal here, its gradient on this process counts as zero.
    def only_the_first_parameter(sums):
        anchor = next(now["module"].parameters()).sum() * 0.0
        return {term: value.detach() + anchor for term, value in sums.items()}

    ended = road.train(
        "run", processes=2, limit=SECONDS, before=lambda: arm("loss", lambda: only_the_first_parameter, step=7, rank=1)
    )
    assert ended.code == 0, ended
    assert road.step() == 12


@pytest.mark.parametrize("rank", [0, 1])
def test_f26_out_of_memory_on_any_rank(road, rank):
    said = fail(road, "loss", lambda: torch.empty(1 << 60), rank=rank)
    assert "out of memory" in said or "can't allocate memory" in said


def test_f27_a_callback_of_a_plugin_that_raises_on_rank_1(road):
    said = fail(road, "on_train_batch_end", raising(ValueError("the callback failed")))
    assert "the callback failed" in said
    assert road.stock or "plugin 'fault_plugin'" in said


def test_f23_p17_a_collective_on_rank_1_only_is_ended_with_the_stacks_of_all(road):
    def log():
        now["module"].log("alone", torch.tensor(1.0), sync_dist=True, on_step=True)

    ended = road.train(
        "run",
        "policies.watchdog=2",
        processes=2,
        limit=SECONDS,
        before=lambda: arm("on_train_batch_end", log, step=7, rank=1),
    )
    assert ended.code == 75, ended
    assert "rank 1: no sign of life for 2 s in what follows of step 6 (plugin 'fault_plugin'" in ended.err


def test_f23_a_rank_that_waits_for_ever_is_named_with_its_hook_plugin_and_step(road):
    ended = road.train(
        "run",
        "policies.watchdog=2",
        processes=2,
        limit=SECONDS,
        before=lambda: arm("on_train_batch_start", threading.Event().wait, step=7, rank=1),
    )
    assert ended.code == 75, ended
    assert "plugin 'fault_plugin'" in ended.err
    assert "of step 7" in ended.err
    stacks = [(road.home / "run" / "stacks" / f"rank-{rank}.txt").read_text() for rank in range(2)]
    assert "all_reduce" in stacks[0]
    assert "in on_train_batch_start" in stacks[1]
    assert road.step() <= 7


def test_a_launcher_that_is_killed_leaves_no_process_and_every_step(road):
    kill_the_launcher = lambda: os.kill(os.getppid(), signal.SIGKILL)
    ended = road.train(
        "run",
        processes=2,
        grace=SECONDS,
        before=lambda: arm("on_train_batch_start", kill_the_launcher, step=7, rank=0),
    )
    assert ended.code == -signal.SIGKILL, ended  # that no process is left is seen wherever a training ends
    assert road.step() >= 8
    assert road.train("run", processes=2, resume=True).code == 0


# ---------------------------------------------------------------------------------------------------------------
# What processes must have in common


def other_data():
    original = ToyData.fingerprints
    ToyData.fingerprints = lambda data: {**original(data), "group1": f"content of rank {fault_parts.rank()}"}


def other_plugins():
    original = record.collect

    def collect(*arguments, **more):
        found = original(*arguments, **more)
        for plugin in found["plugins"]:
            plugin["version"] = f"1.{fault_parts.rank()}"
        return found

    record.collect = collect


@pytest.mark.parametrize(
    ("difference", "key", "given"),
    [
        (other_data, "data of group1", "rank 0: content of rank 0; rank 1: content of rank 1"),
        (other_plugins, "toy_plugin", "'version': '1.1'"),
    ],
)
def test_processes_with_other_data_or_plugins_end_before_the_first_step(road, difference, key, given):
    ended = road.train("run", processes=2, limit=15.0, before=difference)  # the promise: a hang has no exit code
    assert ended.code == 2, ended
    assert f"{key}: processes disagree on" in ended.err
    assert given in ended.err
    assert "give every process the same run file, packages and data" in ended.err
    assert "Traceback" not in ended.err
    assert not list(road.checkpoints("run").glob("*.ckpt"))


def test_clocks_that_run_apart_change_nothing(road):
    def hours_apart():
        for name in ("time", "monotonic", "perf_counter"):
            original = getattr(time, name)
            setattr(time, name, lambda original=original: original() * (1 + 3600 * fault_parts.rank()))

    for folder, before in (("whole", None), ("apart", hours_apart)):
        ended = road.train(folder, "policies.watchdog=off", processes=2, before=before)
        assert ended.code == 0, ended
    assert road.step("whole") == road.step("apart") == 12
    for name, value in road.weights("whole").items():
        assert torch.equal(value, road.weights("apart")[name]), name
