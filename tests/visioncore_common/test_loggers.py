"""The files in the run folder: every row once, whatever was killed."""

from __future__ import annotations

import csv
import errno
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import composite
from PIL import Image

from visioncore_common.loggers.csv import CSV
from visioncore_common.loggers.jsonl import JSONL
from visioncore_common.loggers.tensorboard import TensorBoard
from visioncore_engine.contracts import LoggerFacts
from visioncore_engine.errors import ConfigError, StorageError
from visioncore_engine.options import Options

BOTH = pytest.mark.parametrize("logger", [CSV, JSONL])


def open_logger(logger, folder, resume_id=None):
    return logger(Options(), LoggerFacts(folder, "run", {}, resume_id))


def read_csv(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def read_jsonl(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_csv_has_a_row_per_step_and_a_column_per_value(tmp_path):
    logger = open_logger(CSV, tmp_path)
    logger.log_metrics({"train/loss": 0.1 + 0.2}, 10)
    logger.log_metrics({"val/loss": 1.5, "val/a,b": float("nan")}, 10)
    logger.log_metrics({"train/loss": 0.25}, 20)
    logger.finalize("success")
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines == ['step,train/loss,val/loss,"val/a,b"', f"10,{0.1 + 0.2!r},1.5,nan", "20,0.25,,"]
    assert float(read_csv(tmp_path)[0]["train/loss"]) == 0.1 + 0.2, "numbers are written in full"


def test_jsonl_has_a_line_per_call_and_null_for_what_json_cannot_say(tmp_path):
    logger = open_logger(JSONL, tmp_path)
    logger.log_metrics({"train/loss": 0.5}, 10)
    logger.log_metrics({"val/a": math.nan, "val/b": -math.inf}, 10)
    assert read_jsonl(tmp_path) == [{"step": 10, "train/loss": 0.5}, {"step": 10, "val/a": None, "val/b": None}]


@composite
def calls(draw):
    steps = draw(st.lists(st.integers(1, 12), min_size=1, max_size=12).map(sorted))
    values = st.dictionaries(
        st.sampled_from(["a", "b", "c/d"]), st.floats(allow_nan=False, allow_infinity=False), min_size=1
    )
    return [(step, draw(values)) for step in steps]


@given(calls=calls())
@settings(max_examples=60, deadline=None)
def test_csv_holds_what_was_logged(calls, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    logger = open_logger(CSV, folder)
    expected = {}
    for step, values in calls:
        logger.log_metrics(values, step)
        expected.setdefault(step, {}).update(values)
    rows = {int(row.pop("step")): {name: float(value) for name, value in row.items()} for row in read_csv(folder)}
    assert rows == expected


@BOTH
@given(calls=calls(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_killed_anywhere_and_resumed_from_any_checkpoint_the_file_is_the_same(logger, calls, data, tmp_path_factory):
    saved = data.draw(st.integers(1, len(calls)), "calls before the checkpoint")
    killed = data.draw(st.integers(saved, len(calls)), "calls before the kill")
    whole, torn = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("torn")
    reference = open_logger(logger, whole)
    for step, values in calls:
        reference.log_metrics(values, step)
    first = open_logger(logger, torn)
    for step, values in calls[:saved]:
        first.log_metrics(values, step)
    kept = first.resume_id
    if saved < len(calls) and logger is CSV and calls[saved][0] == calls[saved - 1][0]:
        return  # a checkpoint is taken after everything that a step logs, so that no step is cut in two
    for step, values in calls[saved:killed]:
        first.log_metrics(values, step)
    second = open_logger(logger, torn, kept)
    assert second.resume_id == kept, "a checkpoint before the first logged value still knows"
    for step, values in calls[saved:]:
        second.log_metrics(values, step)
    if calls[saved:]:
        read = read_csv if logger is CSV else read_jsonl
        assert read(torn) == read(whole)
    assert not list(torn.glob("*.tmp"))


@BOTH
def test_killed_before_the_first_checkpoint_the_run_starts_over_without_duplicates(logger, tmp_path):
    first = open_logger(logger, tmp_path)
    for step in (10, 20, 30):
        first.log_metrics({"train/loss": float(step)}, step)
    before = content(tmp_path)
    second = open_logger(logger, tmp_path)
    for step in (10, 20, 30):
        second.log_metrics({"train/loss": float(step)}, step)
    assert content(tmp_path) == before


@BOTH
def test_without_a_known_number_of_rows_those_from_the_resumed_step_on_are_dropped(logger, tmp_path):
    first = open_logger(logger, tmp_path)
    for step in (10, 20, 30):
        first.log_metrics({"a": 1.0}, step)
    open_logger(logger, tmp_path).log_metrics({"a": 2.0}, 20)
    rows = read_csv(tmp_path) if logger is CSV else read_jsonl(tmp_path)
    assert [(int(row["step"]), float(row["a"])) for row in rows] == [(10, 1.0), (20, 2.0)]


@BOTH
def test_a_line_that_a_crash_cut_short_goes_with_all_that_follows(logger, tmp_path):
    first = open_logger(logger, tmp_path)
    for step in (10, 20):
        first.log_metrics({"a": 1.0}, step)
    (path,) = tmp_path.iterdir()
    tail = {CSV: b"\x2c", JSONL: b'{"step": 3'}[logger]
    path.write_bytes(path.read_bytes() + tail)
    open_logger(logger, tmp_path, "5").log_metrics({"a": 3.0}, 30)
    rows = read_csv(tmp_path) if logger is CSV else read_jsonl(tmp_path)
    assert [int(row["step"]) for row in rows] == [10, 20, 30]


@BOTH
def test_every_row_is_in_the_file_when_the_call_returns(logger, tmp_path):
    built = open_logger(logger, tmp_path / "new" / "folder")
    for step in range(1, 4):
        built.log_metrics({"a": 1.0}, step)
        assert len((read_csv if logger is CSV else read_jsonl)(tmp_path / "new" / "folder")) == step


@BOTH
def test_a_full_disk_is_a_storage_error_that_names_the_file(logger, tmp_path, monkeypatch):
    built = open_logger(logger, tmp_path)
    built.log_metrics({"a": 1.0}, 1)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.open", full)
    with pytest.raises(StorageError, match=r"metrics\..*No space left"):
        built.log_metrics({"a": 1.0}, 2)


@BOTH
def test_hyperparameters_are_not_repeated_and_nothing_is_made_before_the_first_value(logger, tmp_path):
    built = open_logger(logger, tmp_path)
    built.log_hyperparams({"lr": 1.0})
    assert not list(tmp_path.iterdir())
    assert (built.name, built.version) == (logger.__name__.lower(), "")


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = open_logger(TensorBoard, tmp_path)
    for step in (10, 20):
        first.log_metrics({"train/loss": 1.0}, step)
    kept = first.resume_id
    first.log_metrics({"train/loss": 1.0}, 30)
    first.finalize("failed")
    second = open_logger(TensorBoard, tmp_path, kept)
    for step in (30, 40):
        second.log_metrics({"train/loss": 2.0}, step)
    second.finalize("success")
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in events] == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0)]


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)])
def test_tensorboard_shows_pictures_at_their_step_and_a_late_one_hides_no_row(tmp_path, shape):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    image = (np.arange(np.prod(shape)).reshape(shape) * 2).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "kernels.png")
    logger = open_logger(TensorBoard, tmp_path)
    logger.log_metrics({"train/loss": 1.0}, 20)
    logger.log_pictures({"pictures/kernels": tmp_path / "kernels.png"}, 10)
    assert logger.resume_id == "21"
    logger.finalize("success")
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (shown,) = events.Images("pictures/kernels")
    pixels = np.asarray(Image.open(io.BytesIO(shown.encoded_image_string)))
    assert (shown.step, shown.width, shown.height) == (10, 7, 5)
    assert (pixels.reshape(5, 7, -1)[..., 0] == image.reshape(5, 7, -1)[..., 0]).all()
    assert [event.step for event in events.Scalars("train/loss")] == [20]


def test_tensorboard_without_its_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("visioncore_common.loggers.tensorboard.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'visioncore-engine\[tensorboard\]'"):
        open_logger(TensorBoard, tmp_path)
