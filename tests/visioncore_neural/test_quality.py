"""What is known of units from elsewhere stands beside their scores, by id, and is drawn as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from neural_truth import FieldModel, SimpleEvaluation, recorded, recordings
from pydantic import ValidationError
from torch import nn

from visioncore_engine.contracts import EvaluatorFacts
from visioncore_engine.errors import DataError
from visioncore_engine.report import SERIES, ReportContext, drawing
from visioncore_neural.evaluators.names import UNIT_COLUMNS
from visioncore_neural.evaluators.quality import UnitQuality
from visioncore_neural.evaluators.units import Units
from visioncore_neural.options.evaluator import QualityOptions, UnitsOptions
from visioncore_neural.report import quality
from visioncore_neural.report.quality_figures import quality_figure, waveform_figure

TABLE = """unit,depth,session,contamination,x,label
u2,300,m1_a,,0,a
u0,100,m1_a,5,10,b
u1,200,m1_a,25,20,a
u0,700,m2_a,99,0,a
u2,900,m2_a,1,0,a
u1,800,m2_a,2,0,a
u7,1,m2_a,3,0,a
u0,1,elsewhere,4,0,a
"""
COLUMNS = ("contamination", "depth", "x")


class Softplus(FieldModel):
    def forward(self, batch):
        return [{"robs": nn.functional.softplus(output["robs"])} for output in super().forward(batch)]


@pytest.fixture
def table(tmp_path):
    def write(text=TABLE):
        (tmp_path / "units.csv").write_text(text)
        return str(tmp_path / "units.csv")

    return write


@pytest.fixture
def waves(tmp_path):
    """Files of waveforms: unit u<k> has a trough of -k - 1 at sample 1 and a peak of 1 at sample 4, on channel 1."""

    def write(session, ids, **changes):
        made = np.zeros((len(ids), 2, 6))
        for place, unit in enumerate(ids):
            made[place, 1, 0], made[place, 1, 1], made[place, 1, 4] = 3.0, -int(unit[1:]) - 1, 1.0
        np.savez(tmp_path / f"{session}.npz", **{"units": np.array(ids), "waveforms": made, **changes})
        return str(tmp_path / "{session}.npz")

    return write


@pytest.fixture
def evaluation():
    made = recorded("m2_a", seed=1), recorded()
    dataset = recordings(*made)
    draws = np.random.default_rng(8)
    return SimpleEvaluation(
        dataset, Softplus({recording.name: 0.2 * draws.normal(size=(3, 1, 4, 5, 6)) for recording in made})
    )


def found(evaluation, **options):
    chosen = UnitsOptions(quality=QualityOptions(**options) if options else None)
    return Units(chosen, EvaluatorFacts(evaluation.dataset.groups)).evaluate(evaluation)


def test_a_unit_has_the_values_of_its_id_and_its_scores_stay(evaluation, table):
    result = found(evaluation, table=table(), columns=COLUMNS, layer_4={"m1_a": (150.0, 250.0)})
    assert result.tables["units"].columns == (*UNIT_COLUMNS, *COLUMNS, "layer_4_low", "layer_4_high")
    rows = {(row["session"], row["unit"]): row for row in result.tables["units"].rows}
    assert {key: row["depth"] for key, row in rows.items()} == {
        ("m1_a", "u0"): 100, ("m1_a", "u1"): 200, ("m1_a", "u2"): 300,
        ("m2_a", "u0"): 700, ("m2_a", "u1"): 800, ("m2_a", "u2"): 900,
    }  # fmt: skip
    assert math.isnan(rows["m1_a", "u2"]["contamination"])  # unknown is not 0
    assert rows["m1_a", "u0"]["layer_4_low"] == 150
    assert math.isnan(rows["m2_a", "u0"]["layer_4_low"])
    alone = found(evaluation)
    assert alone.figures == {}
    for row in alone.tables["units"].rows:
        assert {name: repr(rows[row["session"], row["unit"]][name]) for name in UNIT_COLUMNS} == {
            name: repr(row[name]) for name in UNIT_COLUMNS
        }
    assert result.figures["quality"].startswith(b"\x89PNG")


def test_waveforms_are_measured_where_they_are_largest_and_by_id(evaluation, waves):
    waves("m1_a", ["u2", "u0", "u9", "u1"])
    result = found(evaluation, waveforms=waves("m2_a", ["u0", "u1", "u2"]))
    rows = result.tables["units"].rows
    # from 3 down to -k - 1; the sample of 3 before the trough is not the peak after it
    assert [row["waveform_amplitude"] for row in rows] == [4, 5, 6] * 2
    assert {row["trough_to_peak"] for row in rows} == {3.0}
    assert set(result.figures) == {"quality", "waveforms"}


def groups(evaluation):
    return evaluation.dataset.groups


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (("u1,200,m1_a,25,20,a\n", ""), {}, r"has no row for 1 units of session 'm1_a' .got u1"),
        (("u7,1,m2_a", "u0,1,m2_a"), {}, r"has several rows for units of session 'm2_a' .got u0"),
        (("u0,100,m1_a,5", "u0,100,m1_a,five"), {}, r"units.csv:3.*contamination: is no number .got 'five'"),
        ((",label", ",spikes"), {"columns": ("spikes",)}, "has columns that the table of units has already: spikes"),
        (("", ""), {"columns": ()}, "label: is no number"),
        (("", ""), {"columns": ("contamnation",)}, "has no column contamnation"),
        (("", ""), {"layer_4": {"m1_b": (1.0, 2.0)}}, r"layer_4: no such session .got 'm1_b'.*nearest is 'm1_a'"),
        (("", ""), {"layer_4": {"m1_a": (1.0, 2.0)}, "columns": ("x",)}, "has no column 'depth', in which layer 4"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_name(evaluation, table, change, options, message):
    path = table(TABLE.replace(*change, 1))
    with pytest.raises(DataError, match=message):
        UnitQuality(QualityOptions(**{"table": path, "columns": COLUMNS, **options}), groups(evaluation))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": np.array(["u0", "u1"]), "waveforms": np.ones((2, 5))}, "has no waveform for 1 units .got u2"),
        ({"units": np.array(["u0", "u0", "u2"])}, "must name each unit once"),
        ({"waveforms": np.full((3, 5), np.nan)}, "must be finite numbers"),
        ({"waveforms": np.ones((2, 5))}, r"a waveform per id .got \(2, 5\) for 3 units"),
        ({"waveforms": np.array([{}] * 3)}, r"must be an .npz file with `units` and `waveforms`"),
    ],
)
def test_waveforms_that_cannot_be_used_are_refused_by_name(evaluation, waves, changes, message):
    waves("m2_a", ["u0", "u1", "u2"])
    path = waves("m1_a", ["u0", "u1", "u2"], **changes)
    with pytest.raises(DataError, match=rf"m1_a.npz.*{message}"):
        UnitQuality(QualityOptions(waveforms=path), groups(evaluation))


def test_a_file_that_is_not_there_or_no_such_file_is_refused(evaluation, tmp_path):
    for options in ({"table": str(tmp_path / "none.csv")}, {"waveforms": str(tmp_path / "{session}.npz")}):
        with pytest.raises(DataError, match="cannot be read"):
            UnitQuality(QualityOptions(**options), groups(evaluation))
    (tmp_path / "m2_a.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"must be an .npz file"):
        UnitQuality(QualityOptions(waveforms=str(tmp_path / "{session}.npz")), groups(evaluation))
    for wrong in ({}, {"waveforms": "w.npz"}, {"table": "t.csv", "layer_4": {"m1_a": (2.0, 1.0)}}):
        with pytest.raises(ValidationError):
            QualityOptions(**wrong)


def test_other_content_has_another_fingerprint(evaluation, table, waves):
    waves("m1_a", ["u0", "u1", "u2"])
    options = QualityOptions(table=table(), columns=COLUMNS, waveforms=waves("m2_a", ["u0", "u1", "u2"]))
    prints = [UnitQuality(options, groups(evaluation)).fingerprint for _ in range(2)]
    table(TABLE.replace("25", "26"))
    prints.append(UnitQuality(options, groups(evaluation)).fingerprint)
    waves("m1_a", ["u0", "u2", "u1"])
    prints.append(UnitQuality(options, groups(evaluation)).fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


ROWS = [
    {"session": "m1_a", "unit": f"u{k}", "bits_per_spike": bits, "contamination": k, "depth": 100.0 * k, "x": k % 2,
     "layer_4_low": 80.0, "layer_4_high": 190.0}
    for k, bits in enumerate([0.1, 0.5, math.nan, 0.3])
]  # fmt: skip


def test_pictures_show_the_numbers_of_the_table():
    with drawing():
        scatter, depth, probe = quality_figure(ROWS).axes[:3]
        (dots,) = scatter.get_lines()
        np.testing.assert_array_equal(dots.get_xydata(), [(k, ROWS[k]["bits_per_spike"]) for k in range(4)])
        dots = depth.get_lines()[0]
        np.testing.assert_array_equal(dots.get_xydata()[[0, 1, 3]], [(0.1, 0), (0.5, 100), (0.3, 300)])
        (band,) = depth.patches
        np.testing.assert_array_equal((band.get_y(), band.get_y() + band.get_height()), (80, 190))
        assert depth.yaxis_inverted()  # the surface is above
        (places,) = probe.collections
        np.testing.assert_array_equal(places.get_offsets(), [(0, 0), (1, 100), (0, 200), (1, 300)])
        np.testing.assert_array_equal(places.get_array().filled(np.nan), [0.1, 0.5, np.nan, 0.3])
        assert quality_figure([{"session": "m1_a", "unit": "u0", "bits_per_spike": 1.0}]) is None


def test_the_best_waveforms_stand_above_the_worst():
    with drawing():
        (axes,) = waveform_figure(ROWS, {"m1_a": np.eye(4, 9)}).axes
        above = [line.get_ydata().argmax() for line in axes.get_lines() if line.get_color() == SERIES[1]]
        below = [line.get_ydata().argmax() for line in axes.get_lines() if line.get_color() == SERIES[0]]
    assert (above, below) == ([1, 3], [0])  # the unit without a score is in neither
    assert to_rgba(SERIES[0]) != to_rgba(SERIES[1])


def test_the_report_has_a_section_where_the_table_of_units_holds_more_than_scores(tmp_path):
    def written(names):
        lines = [",".join(["validation", *(str(row[name]) for name in names)]) for row in ROWS]
        (tmp_path / "units.csv").write_text("\n".join([",".join(["split", *names]), *lines, ""]))
        with drawing():
            return quality.section(ReportContext(tmp_path))

    assert written(["session", "unit", "bits_per_spike"]) is None
    found = written([*ROWS[0]])
    assert found.title == "Quality of units"
    assert ">contamination</text>" in found.html
    assert ">layer 4</text>" in found.html
