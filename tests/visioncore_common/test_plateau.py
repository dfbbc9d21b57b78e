from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from visioncore_common.options.scheduler import PlateauOptions
from visioncore_common.plateau import Plateau
from visioncore_engine.contracts import SchedulerFacts
from visioncore_engine.errors import ConfigError

SCORES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=60)
FACTS = SchedulerFacts(None, 10)


def follow(scheduler, scores):
    factors = []
    for score in scores:
        scheduler.observe({"val/loss": score, "val/other": 0.0})
        factors.append(scheduler.factor(0))
    return factors


@given(
    scores=SCORES,
    mode=st.sampled_from(["min", "max"]),
    patience=st.integers(0, 4),
    cooldown=st.integers(0, 3),
    min_delta=st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_b3_plateau_reduces_when_torch_does(scores, mode, patience, cooldown, min_delta):
    """The old system passed `verbose`, which torch no longer takes."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = ReduceLROnPlateau(
        optimizer,
        mode=mode,
        factor=0.5,
        patience=patience,
        threshold=min_delta,
        threshold_mode="abs",
        cooldown=cooldown,
        eps=0.0,
    )
    expected = []
    for score in scores:
        reference.step(score)
        expected.append(optimizer.param_groups[0]["lr"])
    chosen = PlateauOptions(mode=mode, patience=patience, cooldown=cooldown, min_delta=min_delta)
    assert follow(Plateau(chosen, FACTS), scores) == expected


@given(scores=SCORES, cut=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_resumed_run_goes_on_as_if_nothing_had_happened(scores, cut):
    chosen = PlateauOptions(patience=1, cooldown=1)
    whole = follow(Plateau(chosen, FACTS), scores)
    first, second = Plateau(chosen, FACTS), Plateau(chosen, FACTS)
    before = follow(first, scores[:cut])
    second.restore(json.loads(json.dumps(first.state())))
    assert before + follow(second, scores[cut:]) == whole


def test_a_score_that_is_nan_is_no_improvement():
    chosen = PlateauOptions(patience=1)
    assert follow(Plateau(chosen, FACTS), [float("nan"), float("nan"), 1.0]) == [1.0, 0.5, 0.5]


def test_the_factor_stops_at_the_last_one():
    chosen = PlateauOptions(patience=0, gamma=0.1, final_factor=0.05)
    assert follow(Plateau(chosen, FACTS), [1.0] * 4) == [1.0, 0.1, 0.05, 0.05]


def test_a_monitor_that_nothing_logs_is_named():
    scheduler = Plateau(PlateauOptions(monitor="val/los"), FACTS)
    with pytest.raises(ConfigError, match=r"scheduler\.monitor.*'val/los'.*did you mean 'val/loss'"):
        scheduler.observe({"val/loss": 1.0})
