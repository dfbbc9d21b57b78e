"""Killed at any moment and resumed, nothing shows: weights, optimizer, plan, generator, callbacks, scheduler, loggers.

Every case is a training by the command line in a process of its own, ended by SIGKILL, and a second one with --resume.
"""

from __future__ import annotations

import json
import sys

import pytest
import torch
import toy_parts
from engine_road import STEPS, differences
from fault_parts import HOOKS, arm, die


def uninterrupted(road, *sets, processes=1):
    ended = road.train("whole", *sets, processes=processes)
    assert ended.code == 0, ended
    return road.state("whole")


def killed(road, folder, *sets, place="on_train_batch_start", step=None, before=None, resume=False):
    """Train until SIGKILL at a place and step, or as `before` arms it."""

    def armed():
        if before is None:
            arm(place, die, step=step)
        else:
            before()

    ended = road.train(folder, *sets, before=armed, resume=resume)
    assert ended.code == -9, ended


def resumed(road, folder, *sets, processes=1):
    ended = road.train(folder, *sets, resume=True, processes=processes)
    assert ended.code == 0, ended
    return road.state(folder)


def compare(one, other, where=""):
    found = differences(one, other)
    assert not found, f"{where}: {len(found)} differences: {found[:6]}"


def random_kills(road, moments, repeats, *sets, number=3):
    whole = uninterrupted(road, *sets)
    for step in moments.sample(range(4, STEPS), number) * repeats:
        place = moments.choice(["on_train_batch_start", "on_train_batch_end", "noise", "loss"])
        killed(road, f"cut-{place}-{step}", *sets, place=place, step=step)
        compare(whole, resumed(road, f"cut-{place}-{step}", *sets), f"killed in {place} of step {step}")


def test_f01_kill_at_a_random_step_with_dropout_and_augmentation(road, moments, repeats):
    random_kills(road, moments, repeats)


def test_f02_kill_at_a_random_step_with_a_weighted_sampler(road, moments, repeats):
    random_kills(road, moments, repeats, "sampler.name=toy_weighted")


def test_f03_kill_at_a_random_step_with_batches_read_ahead(road, moments, repeats):
    random_kills(road, moments, repeats, "loader.prefetch=2")


def test_f04_kill_at_a_random_step_under_accumulation(road, moments, repeats):
    # Stock Lightning: two batches of 12 make a step; here 24 are cut in two.
    size = 12 if road.stock else 24
    random_kills(road, moments, repeats, "optimizer.accumulate=2", f"sampler.batch_size={size}")


@pytest.mark.parametrize(
    "place",
    [
        "on_train_batch_end",
        "on_validation_start",
        "on_validation_batch_start",
        "on_validation_batch_end",
        "on_validation_end",
        "on_train_epoch_end",
        "on_train_epoch_start",
        "on_train_batch_start",
    ],
)
def test_f05_kill_at_the_end_of_an_epoch(road, place):
    whole = uninterrupted(road)
    for step in (4, 8):
        killed(road, f"cut{step}", place=place, step=step)
        compare(whole, resumed(road, f"cut{step}"), f"killed in {place} of step {step}")


def test_f06_killed_twice_in_one_epoch(road):
    whole = uninterrupted(road)
    killed(road, "cut", step=5)
    killed(road, "cut", step=7, resume=True)
    compare(whole, resumed(road, "cut"))


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("place", HOOKS)
def test_l4_kill_in_every_hook_of_every_step(road, place, every):
    sets = (f"checkpoint.every_n_steps={every}",)
    whole = uninterrupted(road, *sets)
    struck = 0
    for step in range(STEPS + 1):
        ended = road.train(f"cut{step}", *sets, before=lambda step=step: arm(place, die, step=step))
        struck += ended.code == -9
        if ended.code == -9:
            compare(whole, resumed(road, f"cut{step}", *sets), f"killed in {place} of step {step}")
    assert struck >= {"on_train_start": 1, "on_train_end": 1}.get(place, 3)


def call_by_call(number):
    """End the process at its `number`-th call of a function, Python's or C's."""
    count = 0

    def watch(frame, event, argument):
        nonlocal count
        if event in ("call", "c_call"):
            count += 1
            if count == number:
                die()

    sys.setprofile(watch)


def test_l4_kill_at_any_call_of_any_function(road, moments, repeats):
    whole = uninterrupted(road)
    survived = 0
    for _ in range(12 * repeats):
        number = moments.randrange(20_000, 400_000)
        ended = road.train(f"cut{number}", before=lambda number=number: call_by_call(number))
        survived += ended.code == 0
        assert ended.code in (-9, 0), ended
        if ended.code == -9 and (road.home / f"cut{number}/record.json").exists():  # else there was no run yet
            compare(whole, resumed(road, f"cut{number}"), f"killed at call {number}")
    assert survived <= 6 * repeats  # the moments lie inside the training


def seen(road, folder):
    """Windows of each step over all processes."""
    steps = {}
    for path in sorted((road.home / folder).glob("seen-*.jsonl")):
        for row in map(json.loads, path.read_text().splitlines()):
            steps.setdefault((row["epoch"], row["step"]), []).extend(map(tuple, row["windows"]))
    return steps


def forget_after_the_checkpoint(road, folder):
    """Drop what was seen in steps that will be trained again."""
    for path in (road.home / folder).glob("seen-*.jsonl"):
        rows = path.read_text().splitlines(keepends=True)
        path.write_text("".join(row for row in rows if json.loads(row)["step"] < road.step(folder)))


def each_window_once(road, folder):
    epochs = {}
    for (epoch, _), windows in seen(road, folder).items():
        epochs.setdefault(epoch, []).extend(windows)
    return sorted(epochs) == [0, 1, 2] and all(len(w) == len(set(w)) == 90 for w in epochs.values())


def other_world_size(road, before, after):
    sets = ("trainer.precision=64-true", "model.dropout=0.0")
    whole = uninterrupted(road, *sets, processes=before)
    ended = road.train(
        "cut", *sets, processes=before, before=lambda: arm("on_train_batch_start", die, step=6, rank=before - 1)
    )
    assert ended.code not in (0, None), ended
    forget_after_the_checkpoint(road, "cut")
    resumed(road, "cut", *sets, processes=after)
    assert road.step("cut") == road.step("whole")
    assert each_window_once(road, "whole")
    assert each_window_once(road, "cut")
    for name, value in road.weights("whole").items():
        assert (value - road.weights("cut")[name]).abs().max() < 1e-9, name
    if before == after:
        compare(whole, road.state("cut"))
    return ended


def test_f28_resumed_on_two_processes_instead_of_one(road):
    other_world_size(road, 1, 2)


def test_f29_resumed_on_one_process_instead_of_two(road):
    other_world_size(road, 2, 1)


def test_f30_resumed_on_two_processes_again(road):
    other_world_size(road, 2, 2)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(("place", "step"), [("on_save", 6), ("on_validation_batch_start", 8)])
def test_l4_killed_on_two_processes_while_saving_or_validating(road, place, step, rank):
    whole = uninterrupted(road, processes=2)
    ended = road.train("cut", processes=2, before=lambda: arm(place, die, step=step, rank=rank))
    assert ended.code == 70, ended
    compare(whole, resumed(road, "cut", processes=2))


def test_f31_resumed_with_another_global_batch_is_refused(road):
    killed(road, "cut", step=6)
    ended = road.train("cut", "sampler.batch_size=12", resume=True)
    assert ended.code == 2, ended
    assert "sampler.batch_size: the checkpoint was trained with 24 (got 12)" in ended.err


def test_a_resumed_run_says_where_it_is_the_same_to_rounding_only(road):
    killed(road, "cut", step=6)
    ended = road.train("cut", processes=2, resume=True)
    assert ended.code == 0, ended
    assert ended.err.count("warning: resumed to rounding only: processes 1 -> 2") == 1


def test_what_is_changed_on_resume_reaches_every_process(road):
    killed_on_two = road.train("cut", processes=2, before=lambda: arm("on_train_batch_start", die, step=6, rank=0))
    assert killed_on_two.code == 70, killed_on_two
    sets = ("trainer.max_epochs=4", "optimizer.lr=0.02", "policies.resume_changes=optimizer.lr")
    ended = road.train("cut", *sets, processes=2, resume=True)
    assert ended.code == 0, ended
    assert road.step("cut") == 16
    assert road.newest("cut")["optimizer_states"][0]["param_groups"][0]["lr"] in (0.02, 0.01)


def test_what_initialisers_draw_on_resume_is_not_trained(road):
    whole = uninterrupted(road)
    killed(road, "cut", step=6)

    def start_elsewhere():
        original = toy_parts.ToyModel.__init__

        def other(self, *arguments):
            original(self, *arguments)
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.fill_(7.0)

        toy_parts.ToyModel.__init__ = other

    ended = road.train("cut", resume=True, before=start_elsewhere)
    assert ended.code == 0, ended
    compare(whole, road.state("cut"))
