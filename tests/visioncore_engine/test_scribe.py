"""Writing beside training."""

from __future__ import annotations

import threading
from collections import OrderedDict

import pytest
import torch

from visioncore_engine.scribe import Scribe, Snapshot


def tree():
    return OrderedDict(
        weights=OrderedDict(a=torch.arange(6.0).reshape(2, 3).T, b=torch.tensor(2, dtype=torch.int64)),
        groups=[{"lr": 0.1, "params": [0, 1]}, ("x", torch.ones(3)[1:])],
        plain={"step": 3, "name": "a", "nothing": None},
    )


def alike(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


def test_what_changes_after_a_copy_does_not_show_in_it():
    original = tree()
    copy = Snapshot().take(original)
    assert alike(copy, original)
    original["weights"]["a"].zero_()
    original["groups"][0]["lr"] = 0.2
    original["groups"][0]["params"].append(2)
    original["plain"]["step"] = 4
    assert alike(copy, tree())


def test_memory_is_used_again_and_made_anew_where_shapes_change():
    snapshot, original = Snapshot(), tree()
    first = snapshot.take(original)
    original["weights"]["a"].add_(1)
    second = snapshot.take(original)
    assert second["weights"]["a"].data_ptr() == first["weights"]["a"].data_ptr()
    assert alike(second, original)
    original["weights"]["a"] = torch.zeros(4, dtype=torch.float64)
    assert alike(snapshot.take(original), original)


def test_jobs_are_done_in_order_and_waited_for():
    done, gate, scribe = [], threading.Event(), Scribe()

    def first():
        assert gate.wait(60)
        done.append(1)

    scribe.submit(first)
    scribe.submit(lambda: done.append(2))
    assert done == []
    gate.set()
    scribe.wait()
    assert done == [1, 2]


def test_nothing_is_done_after_a_failure_and_it_is_raised_wherever_training_asks():
    done, scribe = [], Scribe()

    def fail():
        raise OSError("disk")

    scribe.submit(fail)
    scribe.submit(lambda: done.append(1))
    for ask in (scribe.wait, scribe.check, scribe.wait):
        with pytest.raises(OSError, match="disk"):
            ask()
    assert done == []


def test_closing_waits_and_ends_the_thread_and_more_can_be_written_after_it():
    done, scribe, before = [], Scribe(), set(threading.enumerate())
    scribe.close()
    for number in range(2):
        scribe.submit(lambda number=number: done.append(number))
        scribe.close()
        assert done == list(range(number + 1))
    assert set(threading.enumerate()) <= before


def test_asking_does_not_wait():
    gate, scribe = threading.Event(), Scribe()
    scribe.submit(lambda: gate.wait(60))
    scribe.check()
    gate.set()
    scribe.wait()
