"""`visioncore runs`: many runs in one table."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from visioncore_engine.cli import main
from visioncore_engine.errors import UsageError
from visioncore_engine.report import differing, run_folders


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Three runs: one finished, one cut off, one that nobody has started."""
    monkeypatch.chdir(tmp_path)
    for name, lr, state in (("a", 0.1, "finished"), ("b", 0.2, "cut"), ("c", 0.3, "waiting")):
        folder = tmp_path / "runs" / "study" / name
        (folder / "checkpoints").mkdir(parents=True)
        run = {"seed": 1, "optimizer": {"name": "adamw", "lr": lr}, "checkpoint": {"monitor": "val/error"}}
        (folder / "run.yaml").write_text(yaml.safe_dump({**run, "run": {"name": name, "dir": str(folder)}}))
        if state != "waiting":
            record = {"name": name, "seed": 1, **({"finished": "now"} if state == "finished" else {})}
            (folder / "record.json").write_text(json.dumps(record))
            (folder / "metrics.jsonl").write_text('{"step": 5, "train/loss": 1.0}\n{"step": 9, "train/loss": 0.5}\n')
    scores = {"validation": {"error": 0.25, "error/m1": float("nan")}, "test": {"error": 0.5}}
    (tmp_path / "runs" / "study" / "a" / "scores.json").write_text(json.dumps(scores))
    return tmp_path / "runs"


def test_the_table_says_state_steps_scores_and_differences(study, capsys):
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith("runs/")}
    assert out.split()[:5] == ["run", "state", "step", "error", "optimizer.lr"]
    assert rows == {
        "runs/study/a": ["finished", "9", "0.25", "0.1"],
        "runs/study/b": ["unfinished", "9", "-", "0.2"],
        "runs/study/c": ["waiting", "0", "-", "0.3"],
    }


def test_scores_of_another_split_by_name(study, capsys):
    assert main(["runs", "runs/study/a", "--split", "test", "--metric", "error", "nothing"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["runs/study/a", "finished", "9", "0.5", "-"]


def test_json_has_every_score_and_null_for_what_could_not_be_scored(study, capsys):
    assert main(["runs", "runs", "--json"]) == 0
    first, *others = json.loads(capsys.readouterr().out)
    assert first == {
        "path": "runs/study/a",
        "name": "a",
        "state": "finished",
        "step": 9,
        "scores": {"validation": {"error": 0.25, "error/m1": None}, "test": {"error": 0.5}},
        "differences": {"optimizer.lr": "0.1"},
    }
    assert [other["state"] for other in others] == ["unfinished", "waiting"]


def test_folders_without_a_run_are_named(study, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as error:
        run_folders([study, tmp_path / "empty", tmp_path / "absent"])
    assert [problem.what for problem in error.value.problems] == [
        "there is no run in this folder",
        "there is no such folder",
    ]
    assert len(run_folders([study, study / "study" / "a"])) == 3


def test_options_of_another_component_are_no_difference_of_their_own():
    one = {"loss.name": "poisson", "loss.eps": 1, "seed": 1}
    other = {"loss.name": "squared", "loss.power": 2, "seed": 1, "extra": [1]}
    assert differing([one, other]) == {"loss.name": ["poisson", "squared"], "extra": ["-", "[1]"]}


def test_listing_runs_loads_no_torch(study):
    code = "import sys; from visioncore_engine.cli import main; main(['runs']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
