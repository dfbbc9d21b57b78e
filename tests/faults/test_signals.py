"""A signal to any process: all save after the step and end with 143; resumed, nothing shows."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from engine_road import STEPS, differences
from fault_parts import arm


def signalled(road, folder, *, processes=1, rank=None, step=7, do=None, sets=(), number=signal.SIGTERM):
    """Train until a signal arrives in a step; the steps behind the checkpoint."""
    act = do or (lambda: os.kill(os.getpid(), number))
    ended = road.train(
        folder, *sets, processes=processes, before=lambda: arm("on_train_batch_start", act, step=step, rank=rank)
    )
    assert ended.code == 143, ended
    return road.step(folder)


def test_f12_sigterm_saves_and_ends_with_143(road):
    assert signalled(road, "run") == 8


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=lambda number: number.name)
def test_f13_resumed_after_a_signal_nothing_shows(road, number):
    assert road.train("whole").code == 0
    signalled(road, "cut", number=number)
    assert road.train("cut", resume=True).code == 0
    assert not differences(road.state("whole"), road.state("cut"))


def test_f14_sigterm_to_rank_1_stops_both(road):
    assert signalled(road, "run", processes=2, rank=1) == 8


def test_f15_sigterm_to_rank_0_stops_both(road):
    assert signalled(road, "run", processes=2, rank=0) == 8


def test_f16_sigterm_to_both_stops_both(road):
    assert signalled(road, "run", processes=2) == 8


@pytest.mark.parametrize("step", [1, 4, 7, 10])
def test_f39_sigterm_to_the_whole_process_group(road, step):
    # As a terminal or a batch system sends it: to the launcher and its workers alike, so that each gets it twice.
    all_of_us = lambda: os.killpg(0, signal.SIGTERM)
    sets = ("loader.prefetch=2",)
    assert signalled(road, "one", step=step, do=all_of_us, sets=sets) == step + 1
    if not road.stock:
        assert signalled(road, "two", processes=2, rank=0, step=step, do=all_of_us, sets=sets) == step + 1


def signal_at_call(number):
    """Send SIGTERM to this process at its `number`-th call of a function."""
    count = 0

    def watch(frame, event, argument):
        nonlocal count
        if event in ("call", "c_call"):
            count += 1
            if count == number:
                sys.setprofile(None)
                os.kill(os.getpid(), signal.SIGTERM)

    sys.setprofile(watch)


def test_a_signal_at_any_moment_loses_nothing(road, moments, repeats):
    # Before the first step and after the last it ends the process at once, as any other: there is nothing to save.
    assert road.train("whole").code == 0
    saved = 0
    for _ in range(12 * repeats):
        number = moments.randrange(180_000, 380_000)  # training is from about 230,000 to 345,000
        ended = road.train(f"cut{number}", before=lambda number=number: signal_at_call(number))
        assert ended.code in (143, -signal.SIGTERM, 0), f"call {number}: {ended}"
        saved += ended.code == 143
        if (road.home / f"cut{number}/record.json").exists():
            again = road.train(f"cut{number}", resume=True)
            assert again.code == 0, f"call {number}: {again}"
            whole, cut = road.state("whole"), road.state(f"cut{number}")
            del whole["last.prev.ckpt"], cut["last.prev.ckpt"]  # stopping wrote one generation more
            found = differences(whole, cut)
            assert not found, f"call {number}: {found[:6]}"
    assert saved >= 4 * repeats
    assert road.step("whole") == STEPS
