"""Which units are used, and when they count."""

from __future__ import annotations

import numpy as np
import pytest
from neural_recordings import choice, dataset, make

from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.errors import ConfigError, DataError

TRAIN = np.repeat([True, False], 120)


def build(name, **options):
    return choice("preparation", name, **options).build(PreparationFacts(group="m1_a"))


@pytest.fixture
def table(tmp_path):
    def write(*rows, columns="session,unit,start,stop,missing_pct,contamination"):
        path = tmp_path / "units.csv"
        path.write_text("\n".join([columns, *rows, ""]))
        return str(path)

    return write


def test_units_are_kept_by_id_in_the_order_of_the_recording():
    found = build("select_units", ids={"m1_a": ["u2", "u0"]})
    chosen = found.apply(make(), found.fit(make(), TRAIN))
    assert chosen.units == ("u0", "u2")
    np.testing.assert_array_equal(chosen.counts(slice(None)), make().robs[:, [0, 2]])


def test_a30_units_are_found_by_id_and_not_by_position():
    robs, valid = make().robs, np.random.default_rng(0).random((240, 3)) > 0.5
    order = [2, 0, 1]
    turned = make(robs=robs[:, order], valid=valid[:, order], units=("u2", "u0", "u1"))
    preparation = build("select_units", ids={"m1_a": ["u0", "u1"]})
    state = preparation.fit(make(valid=valid), TRAIN)
    one, two = preparation.apply(make(valid=valid), state), preparation.apply(turned, state)
    assert one.units == two.units == ("u0", "u1")
    np.testing.assert_array_equal(one.counts(slice(None)), two.counts(slice(None)))
    np.testing.assert_array_equal(one.validity(slice(None)), two.validity(slice(None)))


def test_an_unknown_unit_or_session_is_named_with_the_nearest():
    with pytest.raises(DataError, match=r"session 'm1_a': ids: the session has no such unit .got 'u7'.*nearest"):
        build("select_units", ids={"m1_a": ["u7"]}).fit(make(), TRAIN)
    with pytest.raises(DataError, match=r"does not name session 'm1_a'; it names m2_a"):
        build("select_units", ids={"m2_a": ["u0"]}).fit(make(), TRAIN)
    with pytest.raises(ConfigError, match="ids: must say which units are kept"):
        build("select_units")
    # a unit that a checkpoint knows and the recording lacks
    with pytest.raises(DataError, match=r"units: the session has no such unit .got 'u2'"):
        build("select_units", ids={"m1_a": ["u0"]}).apply(make(num_units=2), {"units": ["u2"]})


def test_a_table_decides_and_a_checkpoint_remembers(table):
    rows = [f"m1_a,u{i},0,240,10,{c}" for i, c in enumerate((3, 30, ""))]
    path = table(*rows, "m2_a,u1,0,1,0,1")
    options = {"table": path, "at_most": {"contamination": 10.0}}
    opened = dataset(make(), prepare=[choice("preparation", "select_units", **options)])
    assert opened.groups[0].targets["robs"].ids == ("u0",)  # what is not known keeps no bound
    state = opened.state()
    table(*[row.replace(",3", ",99") for row in rows])
    again = dataset(make(), prepare=[choice("preparation", "select_units", **options)], state=state)
    assert again.groups[0].targets["robs"].ids == ("u0",)
    with pytest.raises(DataError, match="leaves no unit"):
        dataset(make(), prepare=[choice("preparation", "select_units", **options)])


def test_a_table_that_lacks_a_unit_or_a_column_is_refused(table, tmp_path):
    with pytest.raises(DataError, match=r"has no row for 2 units of session 'm1_a' .got u1, u2"):
        build("select_units", table=table("m1_a,u0,0,1,0,0"), at_least={"contamination": 0.0}).fit(make(), TRAIN)
    with pytest.raises(DataError, match="has no column quality"):
        build("select_units", table=table(), at_least={"quality": 0.0}).fit(make(), TRAIN)
    with pytest.raises(DataError, match=r"units.csv:2.*contamination: is no number .got 'x'"):
        build("select_units", table=table("m1_a,u0,0,1,0,x"), at_least={"contamination": 0.0}).fit(make(), TRAIN)
    with pytest.raises(DataError, match="cannot be read"):
        build("missing_pct", table=str(tmp_path / "none.csv")).fit(make(), TRAIN)


def test_missing_spikes_mask_a_unit_while_they_are_missed(table):
    valid = np.ones(240, bool)
    valid[7] = False
    path = table("m1_a,u0,0,100,44.9,", "m1_a,u0,100,150,45,", "m1_a,u1,0,240,0,", "m1_a,u2,0,240,80,")
    preparation = build("missing_pct", table=path)
    state = preparation.fit(make(valid=valid), TRAIN)
    assert state["never_masked"] == ["u2"]  # no single unit
    found = preparation.apply(make(valid=valid), state).validity(slice(None))
    expected = np.repeat(valid[:, None], 3, axis=1)
    expected[100:150, 0] = False  # what no row covers counts
    np.testing.assert_array_equal(found, expected)


def test_a26_whether_a_unit_is_a_single_one_is_decided_by_training_frames(table):
    rows = ("m1_a,u1,0,240,0,", "m1_a,u2,0,240,0,")
    for held_out in (0, 100):
        path = table("m1_a,u0,0,70,50,", "m1_a,u0,70,120,10,", f"m1_a,u0,120,240,{held_out},", *rows)
        assert build("missing_pct", table=path).fit(make(), TRAIN)["never_masked"] == ["u0"]


def test_another_table_than_that_of_the_checkpoint_is_refused(table):
    rows = ("m1_a,u1,0,240,0,", "m1_a,u2,0,240,0,")
    preparation = build("missing_pct", table=table("m1_a,u0,0,240,50,", *rows))
    state = preparation.fit(make(), TRAIN)
    table("m1_a,u0,0,240,51,", *rows)
    with pytest.raises(DataError, match="is not the table that the checkpoint was trained with"):
        preparation.apply(make(), state)
    with pytest.raises(DataError, match="must have whole `start` and `stop`"):
        build("missing_pct", table=table("m1_a,u0,9,3,50,", *rows)).fit(make(), TRAIN)


def test_missing_pct_after_a_selection_of_units(table):
    path = table(*(f"m1_a,u{i},0,50,{50 * (i == 2)},{i}" for i in range(3)))
    prepare = [
        choice("preparation", "select_units", table=path, at_least={"contamination": 1.0}),
        choice("preparation", "missing_pct", table=path),
    ]
    recording = dataset(make(), prepare=prepare).sources("train", 0)[0].recording
    assert recording.units == ("u1", "u2")
    np.testing.assert_array_equal(recording.counts(slice(None)), make().robs[:, 1:])
