"""The sections of a report on neural recordings, drawn from the files that a real, tiny run leaves."""

from __future__ import annotations

import csv
import math
import re
import shutil

import numpy as np
import pytest
from small_runs import small_run

from visioncore_engine import resolve, train
from visioncore_engine.report import ReportContext, Section, drawing, write
from visioncore_neural.report import fields, influence, kernels, scores, traces, truth
from visioncore_neural.report.mosaic import Picture, mosaic
from visioncore_neural.report.rows import UnitRows, unit_rows
from visioncore_neural.report.truth_figures import truth_figure

SECTIONS = {
    "Scores of units": scores,
    "Ground truth": truth,
    "Predicted and observed rates": traces,
    "Receptive fields and masks": fields,
    "Influence by lag": influence,
    "Temporal kernels": kernels,
}
CORE = (
    {"name": "learnable_temporal", "kernel_size": 4, "num_channels": 2},
    {"name": "conv3d", "channels": [4], "kernel_size": [1, 5, 5]},
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    run = small_run(
        tmp_path_factory.mktemp("runs") / "tiny",
        data={"num_sessions": 3, "num_units": 4},
        core=CORE,
        evaluate=["units", {"name": "ground_truth", "num_predictions": 20}],
        checkpoint={"monitor": "val/bits_per_spike", "mode": "max"},
        trainer={"max_epochs": 2, "log_every_n_steps": 1, "accelerator": "cpu"},
    )
    return train(resolve(run), quiet=True).run_dir


@pytest.fixture
def copy(run_dir, tmp_path):
    """The run, to be changed."""
    shutil.copytree(run_dir, tmp_path / "run")
    return tmp_path / "run"


def drawn(section, folder):
    with drawing():
        return section.section(ReportContext(folder))


def rewritten(path, change):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    changed = [row for row in map(change, rows) if row is not None]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(changed)


def test_training_leaves_a_report_with_every_section_and_no_failure(run_dir):
    text = (run_dir / "report.html").read_text()
    assert set(SECTIONS) <= set(re.findall(r"<h2>([^<]+)</h2>", text))
    assert "(failed)" not in text
    assert 'class="error"' not in text
    assert not re.search(r"\b[a-z]+://", text)
    assert "m1_a" in text
    assert "u003" in text


def test_the_report_can_be_drawn_again_from_the_folder_alone(run_dir, copy):
    shutil.rmtree(copy / "figures")
    assert write(copy).read_text().count("<svg") == (run_dir / "report.html").read_text().count("<svg")


def test_axes_carry_units(run_dir):
    text = (run_dir / "report.html").read_text()
    for label in ("bits per spike", "lag (ms)", "spikes/s", "time (s)", "row (pixels)", "distance (pixels)"):
        assert f">{label}</text>" in text


@pytest.mark.parametrize("title", SECTIONS)
def test_a_run_without_units_has_none_of_these_sections(copy, title):
    (copy / "units.csv").unlink()
    (copy / "ground_truth.csv").unlink()
    assert drawn(SECTIONS[title], copy) is None


@pytest.mark.parametrize("section", [scores, truth])
def test_tables_alone_draw_their_sections_without_a_checkpoint(copy, section):
    shutil.rmtree(copy / "checkpoints")
    assert isinstance(drawn(section, copy), Section)


def test_a_lost_checkpoint_is_told_on_the_page(copy):
    shutil.rmtree(copy / "checkpoints")
    text = write(copy).read_text()
    assert text.count("could not be drawn: CheckpointError") == 4
    assert "Scores of units" in text


def test_the_split_that_is_shown_is_validation_where_there_is_one(copy):
    rewritten(copy / "units.csv", lambda row: {**row, "split": "test"})
    assert unit_rows(ReportContext(copy)).split == "test"
    with (copy / "units.csv").open("a") as file:
        file.write("validation,m1_a,m1,u000,0.5,,,1,1.0,10\n")
    assert (unit_rows(ReportContext(copy)).split, len(unit_rows(ReportContext(copy)).rows)) == ("validation", 1)


def test_units_without_a_score_are_drawn_as_what_they_are(copy):
    rewritten(copy / "units.csv", lambda row: {**row, "bits_per_spike": "nan"})
    assert drawn(traces, copy) is None  # nothing to rank
    assert isinstance(drawn(fields, copy), Section)
    assert isinstance(drawn(scores, copy), Section)


def test_one_outlier_does_not_flatten_all_others(copy):
    rows = iter(range(100))
    rewritten(
        copy / "units.csv", lambda row: {**row, "bits_per_spike": "-500" if next(rows) == 0 else row["bits_per_spike"]}
    )
    assert "1 below" in drawn(scores, copy).html


def test_a_hostile_subject_is_text(copy):
    rewritten(copy / "units.csv", lambda row: {**row, "subject": "<b onload=x>$"})
    html = drawn(scores, copy).html
    assert "<b " not in html
    assert "&lt;b onload=x&gt;$" in html


def test_units_are_ranked_and_the_unscored_left_out():
    rows = [{"session": "a", "bits_per_spike": text} for text in ("0.2", "nan", "0.9", "", "-1")]
    assert UnitRows("validation", rows).ranked() == [2, 0, 4]


@pytest.mark.parametrize("shape", [(8, 8), (1, 31), (31, 1), (40, 12)])
@pytest.mark.parametrize("sizes", [(1,), (10, 3), (2, 2, 2)])
def test_pictures_of_any_shape_keep_to_their_cells(shape, sizes):
    rows = {f"session {i}": [Picture(np.ones(shape), "u0: 1.00")] * size for i, size in enumerate(sizes)}
    with drawing():
        (axes,) = mosaic(rows, signed=False).axes
    boxes = np.array([image.get_extent() for image in axes.images])
    assert len(boxes) == sum(sizes)
    left, right, bottom, top = boxes.T
    assert (left >= 0).all()
    assert (right <= max(sizes)).all()
    assert bottom.min() >= axes.get_ylim()[0] - 1e-9
    assert top.max() < axes.get_ylim()[1]
    one, other = np.triu_indices(len(boxes), 1)
    apart = (right[one] <= left[other]) | (top[other] <= bottom[one])
    assert apart.all()


def test_data_without_space_have_time_courses_and_no_pictures():
    pictures = {"m1_a": [Picture(np.ones((1, 1)), "u0")]}
    assert fields._mosaic("Masks", pictures, "", signed=True) == ""


def test_the_truth_figure_takes_numbers_and_texts_and_holes():
    rows = [
        {"kind": "linear", "true_row": 3.0, "true_column": 4.0, "row": 3.5, "column": math.nan, "error": math.nan},
        {"kind": "energy", "true_row": "3", "true_column": "4", "row": "2", "column": "4", "error": "1"},
    ]
    with drawing():
        axes = truth_figure(rows).axes
    assert [one.get_title(loc="left") for one in axes] == [
        "Receptive-field centres",
        "Error of the centre",
        "Correlation with the spikes",
    ]
    assert np.diff(axes[1].get_xlim())[0] > 2
