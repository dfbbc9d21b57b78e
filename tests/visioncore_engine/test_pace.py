"""A course that is ended sooner than planned never jumps, and all of it is passed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine.pace import Pace


@given(st.integers(1, 10**7), st.data())
def test_where_the_end_was_not_moved_the_course_is_the_step_itself(total, data):
    step = data.draw(st.integers(0, total))
    assert Pace.planned(total).at(step) == step


@given(st.integers(2, 10**5), st.data())
def test_however_the_end_is_moved_the_course_has_no_jump_and_all_of_it_is_passed(total, data):
    pace, step, before = Pace.planned(total), 0, 0.0
    for _ in range(data.draw(st.integers(1, 4))):
        step = data.draw(st.integers(step, pace.end - 1))
        passed = pace.at(step)
        assert passed >= before - 1e-6
        pace = pace.ending(data.draw(st.integers(step + 1, total)), step)
        assert pace.at(step) == pytest.approx(passed, abs=1e-6)
        assert pace.at(pace.end) == pytest.approx(total)
        assert Pace.restored(pace.state(), total) == pace
        before = passed


@pytest.mark.parametrize("end", [0, 5, 101])
def test_an_end_in_the_past_or_beyond_the_plan_is_refused(end):
    with pytest.raises(ValueError, match=f"cannot end at step {end} when 5 are made"):
        Pace.planned(100).ending(end, 5)


def test_a_run_that_is_planned_for_another_length_now_starts_over_with_that():
    assert Pace.restored(Pace(100, 50, 10, 10.0).state(), 200) == Pace.planned(200) == Pace.restored(None, 200)
