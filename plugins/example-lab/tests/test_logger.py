"""The logger `status` keeps one whole file."""

from __future__ import annotations

import json
import math
from pathlib import Path

from example_lab.logger import Status
from example_lab.options import StatusOptions
from visioncore_engine.contracts import LoggerFacts


def build(folder: Path, resume_id: str | None = None) -> Status:
    return Status(StatusOptions(), LoggerFacts(folder, "run", {}, resume_id))


def test_the_file_holds_the_last_value_of_each_name(tmp_path: Path) -> None:
    logger = build(tmp_path)
    logger.log_metrics({"a": 1.0, "b": 2.0}, 1)
    logger.log_metrics({"a": math.nan, "c": math.inf}, 2)
    assert json.loads((tmp_path / "status.json").read_text()) == {"step": 2, "values": {"a": None, "b": 2.0, "c": None}}
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_only_a_resumed_run_takes_over_what_was_there(tmp_path: Path) -> None:
    first = build(tmp_path)
    first.log_metrics({"a": 1.0}, 1)
    resumed = build(tmp_path, first.resume_id)
    resumed.log_metrics({"b": 2.0}, 2)
    assert json.loads((tmp_path / "status.json").read_text())["values"] == {"a": 1.0, "b": 2.0}
    build(tmp_path).log_metrics({"b": 3.0}, 1)
    assert json.loads((tmp_path / "status.json").read_text())["values"] == {"b": 3.0}
