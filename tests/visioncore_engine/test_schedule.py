"""One scalar schedule: its shapes against closed forms, and what every shape promises."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from visioncore_engine.schedule import Clock, Schedule, Scheduled, value_at

ends = st.tuples(st.floats(0.01, 10), st.floats(0.01, 10))


def at(schedule, step, epoch=0.0, fraction=0.0):
    return schedule.at(Clock(step, epoch, fraction))


# Shape, and its value at a part of the way from `start` to `stop`.
SHAPES = {
    "ramp": lambda start, stop, part: start + (stop - start) * part,
    "cosine": lambda start, stop, part: stop + (start - stop) * 0.5 * (1 + math.cos(math.pi * part)),
    "decay": lambda start, stop, part: math.exp((1 - part) * math.log(start) + part * math.log(stop)),
}


@pytest.mark.parametrize("shape", SHAPES)
@given(ends, st.integers(0, 50), st.integers(1, 100), st.integers(0, 300))
def test_shapes_are_their_formulas_and_hold_both_ends(shape, ends, begin, steps, step):
    start, stop = ends
    schedule = Schedule(schedule=shape, start=start, stop=stop, begin=begin, steps=steps)
    part = min(max((step - begin) / steps, 0), 1)
    assert at(schedule, step) == pytest.approx(SHAPES[shape](start, stop, part))
    assert at(schedule, begin) == pytest.approx(start)
    assert at(schedule, begin + steps) == at(schedule, 10**12) == stop  # exactly, and for ever


@given(ends, st.integers(1, 60), st.sampled_from(sorted(SHAPES)))
def test_every_shape_goes_one_way(ends, steps, shape):
    start, stop = ends
    schedule = Schedule(schedule=shape, start=start, stop=stop, steps=steps)
    values = [at(schedule, step) for step in range(steps + 2)]
    ordered = sorted(values, reverse=start > stop)
    assert values == pytest.approx(ordered)
    assert all(min(start, stop) - 1e-9 <= value <= max(start, stop) + 1e-9 for value in values)


def test_constant_is_its_stop_and_step_in_jumps_once():
    assert {at(Schedule(schedule="constant", start=3, stop=0.5), step) for step in range(5)} == {0.5}
    jump = Schedule(schedule="step_in", start=2, stop=7, begin=3)
    assert [at(jump, step) for step in range(5)] == [2, 2, 2, 7, 7]


def test_the_clock_says_what_ticks():
    ramp = {"schedule": "ramp", "start": 0, "stop": 1}
    assert at(Schedule(**ramp, steps=10, clock="step"), 5, epoch=9, fraction=0.9) == 0.5
    assert at(Schedule(**ramp, steps=10, clock="epoch"), 9, epoch=2.5, fraction=0.9) == 0.25
    assert at(Schedule(**ramp, steps=0.5, clock="fraction"), 9, epoch=9, fraction=0.1) == 0.2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "ramp"}, "needs `steps` > 0"),
        ({"schedule": "cosine", "steps": 0}, "needs `steps` > 0"),
        ({"schedule": "decay", "steps": 5, "start": 0, "stop": 1}, "must be > 0"),
        ({"schedule": "decay", "steps": 5, "start": 1, "stop": -1}, "must be > 0"),
        ({"schedule": "wramup", "steps": 5}, "schedule"),
        ({"steps": 5}, "schedule"),
        ({"schedule": "ramp", "steps": 5, "stpes": 4}, "stpes"),
        ({"schedule": "ramp", "steps": -5}, "steps"),
        ({"schedule": "ramp", "steps": math.nan}, "finite"),
        ({"schedule": "ramp", "steps": "5"}, "steps"),
        ({"schedule": "ramp", "steps": 5, "clock": "batch"}, "clock"),
    ],
)
def test_a_schedule_that_says_nothing_sensible_is_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        Schedule(**wrong)


def test_an_option_may_be_a_number_or_a_schedule():
    option = TypeAdapter(Scheduled)
    assert value_at(option.validate_json("3"), Clock(9, 9.0, 0.9)) == 3.0
    ramp = option.validate_json('{"schedule": "ramp", "steps": 10}')
    assert value_at(ramp, Clock(5, 0.0, 0.0)) == 0.5
    with pytest.raises(ValidationError):
        option.validate_json('"3"', strict=True)
