"""Values on their way to the next row: whatever a callback tracks is averaged as the number that it is."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine.contracts import Training
from visioncore_engine.row import Row

FLOATS = st.floats(-1e6, 1e6, width=32)
KINDS = {
    "number": float,
    "float64": lambda value: torch.tensor(value, dtype=torch.float64),
    "float32": torch.tensor,
    "one element": lambda value: torch.tensor([[value]]),
    "with gradient": lambda value: torch.tensor(value, requires_grad=True) * 1,
}


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from("ab"), FLOATS), min_size=1))
def test_a_row_holds_the_mean_of_each_tracked_scalar(tracked):
    row = Row()
    for kind, name, value in tracked:
        row.track(name, KINDS[kind](value))
    kept = Row()
    kept.restore(row.state())  # what a checkpoint keeps
    for one in (row, kept):
        loss, means = one.take()
        assert loss == {}
        for name in {name for _, name, _ in tracked}:
            values = [value for _, own, value in tracked if own == name]
            assert means[f"train/{name}"] == math.fsum(values) / len(values)
        assert one.take() == ({}, {})


def test_whole_numbers_and_truths_are_tracked_exactly():
    row = Row()
    for value in (torch.tensor(2**53 - 1), torch.tensor(2**53 - 1)):
        row.track("count", value)
    row.track("flag", torch.tensor(data=True))
    assert row.take()[1] == {"train/count": float(2**53 - 1), "train/flag": 1.0}


class Whole:
    total_steps = 10

    def recent_loss(self): ...

    track = log_pictures = skip_step = plan_end = roll_back = recent_loss


@pytest.mark.parametrize("missing", [None, *sorted(Training.__abstractmethods__)])
def test_whatever_has_all_members_of_a_training_is_one(missing):
    members = {name: value for name, value in vars(Whole).items() if name != missing and not name.startswith("__")}
    assert isinstance(type("Fake", (), members)(), Training) == (missing is None)
