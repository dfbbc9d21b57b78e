"""`visioncore sweep`: which runs there are, how they are carried out, and what becomes of each."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
import toy_plugin
from waiting import until

from visioncore_engine.cli import main
from visioncore_engine.errors import ConfigError
from visioncore_engine.sweep import Plan, children
from visioncore_engine.sweep.array import array_script
from visioncore_engine.sweep.options import ArrayOptions

RUN = """
loggers: []
data: {name: toy}
sampler: {name: toy_random}
model: {name: toy_linear}
loss: {name: toy_squared}
metrics: [toy_error]
optimizer: {name: toy_adamw, lr: 0.01}
checkpoint: {monitor: val/toy_error}
trainer: {max_epochs: 2, accelerator: cpu}
"""


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Writes a sweep file, and carries it out with runs that take no time."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)
    (tmp_path / "wide.yaml").write_text("model: {name: toy_linear, width: 9}\n")
    (tmp_path / "wild.yaml").write_text("optimizer: {name: toy_adamw, weight_decay: 0.5}\n")
    whole = children.prepare

    def prepare(point):
        command = whole(point)
        run = point.resolved.run
        words = [str(point.folder.path), point.resolved.digest, point.name, str(run.optimizer.options.lr)]
        return [sys.executable, "-S", sweep_stub_file(), *words, *command[-1:]]

    monkeypatch.setattr(children, "prepare", prepare)

    def sweep(text, *more):
        (tmp_path / "study.yaml").write_text(text)
        return main(["sweep", "study.yaml", "--plugin", toy_plugin.__file__, *more])

    return sweep


def sweep_stub_file():
    return str(Path(__file__).resolve().parents[1] / "support" / "sweep_stub.py")


def plan_of(text, tmp_path, **options):
    (tmp_path / "study.yaml").write_text(text)
    return Plan.read(tmp_path / "study.yaml", plugin_files=[toy_plugin.__file__], **options)


def states(capsys):
    out = json.loads(capsys.readouterr().out)
    return {run["name"]: run["state"] for run in out["runs"]}, out


def starts(name, folder="runs/study"):
    return Path(folder, name, "starts.txt").read_text().splitlines()


def test_every_combination_is_a_run_named_by_what_differs(sweep, tmp_path):
    text = """
run: run.yaml
set: {trainer.max_epochs: 5}
overlays: [[wide.yaml], [wide.yaml, wild.yaml]]
grid: {optimizer.lr: [0.1, 0.2], model.width: [3]}
seeds: [1, 2]
"""
    points = plan_of(text, tmp_path).points()
    assert [point.name for point in points] == [
        f"{overlay}-lr={lr}-width=3-seed{seed}"
        for overlay in ("wide", "wide+wild")
        for lr in (0.1, 0.2)
        for seed in (1, 2)
    ]
    last = points[-1].resolved.run
    assert (last.seed, last.optimizer.options.lr, last.optimizer.options.weight_decay) == (2, 0.2, 0.5)
    assert (last.trainer.max_epochs, last.model.options.width) == (5, 3)
    assert (last.run.name, last.run.dir) == (points[-1].name, f"runs/study/{points[-1].name}")


def test_overlays_may_have_names_and_values_may_be_blocks(sweep, tmp_path):
    text = """
run: run.yaml
name: other
overlays: {plain: [], broad: wide.yaml}
grid: {optimizer: [toy_sgd, {name: toy_adamw, lr: 0.5}]}
"""
    points = plan_of(text, tmp_path).points()
    assert [point.name for point in points][::2] == ["plain-optimizer=toy_sgd", "broad-optimizer=toy_sgd"]
    assert [point.resolved.run.model.options.width for point in points] == [6, 6, 9, 9]
    assert [point.resolved.run.optimizer.name for point in points] == ["toy_sgd", "toy_adamw"] * 2
    assert {point.folder.path.parent for point in points} == {Path("runs/other")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("run: run.yaml\ngird: {seed: [1]}\n", "did you mean 'grid'"),
        ("run: run.yaml\ngrid: {optimizer.lr: [-1]}\n", "optimizer.lr"),
        ("run: run.yaml\ngrid: {optimizer.rate: [1]}\n", "unknown key 'rate'"),
        ("run: absent.yaml\n", "no such file"),
        ("run: run.yaml\nmode: optuna\n", "go together"),
        ("run: run.yaml\ngrid: {seed: [1, 1]}\n", "is the same run as"),
    ],
)
def test_a_mistake_in_any_run_is_told_before_any_starts(sweep, text, told, capsys):
    assert sweep(text) == 2
    assert told in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_failed_run_is_told_with_its_last_lines_and_does_not_stop_the_rest(sweep, capsys):
    text = "run: run.yaml\ngrid: {optimizer.lr: [0.1, 3.0, 4.0, 0.2]}\n"
    assert sweep(text) == 70
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in out.partition("\n\n")[0].splitlines() if "lr=" in line}
    assert rows["lr=0.1"] == ["finished", "0", "0.04"]
    assert rows["lr=3.0"][:2] == ["failed", "70"]
    assert rows["lr=4.0"][:2] == ["failed", "-9"]
    assert rows["lr=0.2"] == ["finished", "0", "0.01"]
    assert "lr=3.0 ended with exit code 70; the last it said:" in out
    assert "  run failed: the numbers did it" in out
    assert json.loads(Path("runs/study/sweep.json").read_text())["runs"][1]["last_lines"][-1].startswith("run failed")


def test_a_finished_run_is_not_repeated_and_a_begun_one_goes_on(sweep, capsys):
    assert sweep("run: run.yaml\ngrid: {optimizer.lr: [0.1, 3.0]}\n") == 70
    capsys.readouterr()
    # Another axis gives the runs other names: what counts is their content.
    text = "run: run.yaml\ngrid: {optimizer.lr: [0.1, 3.0], model.width: [6, 7]}\n"
    assert sweep(text, "--json") == 70
    found, _ = states(capsys)
    assert found == {
        "lr=0.1": "was finished",
        "lr=0.1-width=7": "finished",
        "lr=3.0": "failed",
        "lr=3.0-width=7": "failed",
    }
    assert len(starts("lr=0.1")) == 1
    assert [line.partition("|")[0] for line in starts("lr=3.0")] == ["--quiet", "--resume"]


def test_a_run_of_other_content_is_never_overwritten(sweep, capsys):
    assert sweep("run: run.yaml\ngrid: {optimizer.lr: [0.1]}\n") == 0
    assert sweep("run: run.yaml\ngrid: {optimizer.lr: [0.1]}\n", "--set", "trainer.max_epochs=3", "--json") == 0
    capsys.readouterr()
    assert sorted(path.name for path in Path("runs/study").glob("lr*")) == ["lr=0.1", "lr=0.1_2"]
    assert len(starts("lr=0.1")) == 1


def test_a_preempted_run_goes_on_in_the_same_call(sweep, capsys):
    assert sweep("run: run.yaml\ngrid: {optimizer.lr: [5.0]}\n") == 0
    assert [line.partition("|")[0] for line in starts("lr=5.0")] == ["--quiet", "--resume"]


def test_runs_side_by_side_take_turns_on_the_gpus(sweep, capsys):
    text = "run: run.yaml\nmode: parallel\ngpus: ['0', '3']\ngrid: {optimizer.lr: [0.1, 0.2, 0.3, 0.4]}\n"
    assert sweep(text) == 0
    used = [starts(f"lr={lr}")[0].partition("|")[2] for lr in (0.1, 0.2, 0.3, 0.4)]
    assert used[:2] == ["0", "3"]
    assert set(used[2:]) <= {"0", "3"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_stops_all_runs_cleanly_and_the_next_call_goes_on(sweep, capsys, number):
    text = "run: run.yaml\nmode: parallel\njobs: 2\ngrid: {optimizer.lr: [100.0, 101.0, 0.1]}\n"
    waiting = [Path(f"runs/study/lr={lr}/waiting") for lr in ("100.0", "101.0")]

    def send():
        until("two runs wait", lambda: all(path.exists() for path in waiting))
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = threading.Thread(target=send)
    thread.start()
    code = sweep(text, "--json")
    thread.join()
    assert code == 143
    found, out = states(capsys)
    assert found == {"lr=100.0": "stopped", "lr=101.0": "stopped", "lr=0.1": "not started"}
    assert [run["code"] for run in out["runs"]] == [143, 143, None]
    assert signal.getsignal(number) is before


def test_a_dry_run_starts_nothing(sweep, capsys):
    assert sweep("run: run.yaml\nseeds: [1, 2]\n", "--dry-run", "--json") == 0
    found, _ = states(capsys)
    assert found == {"seed1": "not started", "seed2": "not started"}
    assert not Path("runs").exists()


STUDY = """
run: run.yaml
mode: optuna
set: {checkpoint.mode: min}
seeds: [1, 2]
study:
  trials: 6
  seed: 3
  parameters:
    optimizer.lr: {low: 0.01, high: 1.0, log: true}
    model.width: {choices: [3, 9]}
"""


def test_a_study_takes_the_monitored_scores_and_goes_on_where_it_was(sweep, capsys, monkeypatch):
    pytest.importorskip("optuna")
    assert sweep(STUDY, "--json") == 0
    found, out = states(capsys)
    assert set(found.values()) == {"finished"}
    assert len(found) == 12
    scores = {run["name"].partition("-")[0]: run["score"] for run in out["runs"]}
    assert out["best"]["score"] == pytest.approx(min(scores.values()))
    assert out["best"]["score"] == pytest.approx((out["best"]["values"]["optimizer.lr"] - 0.3) ** 2)
    assert sweep(STUDY.replace("trials: 6", "trials: 7"), "--json") == 0
    found, _ = states(capsys)
    assert list(found) == ["trial006-seed1", "trial006-seed2"]


def test_trials_that_fail_are_trials_that_failed(sweep, capsys):
    pytest.importorskip("optuna")
    text = STUDY.replace("{low: 0.01, high: 1.0, log: true}", "{choices: [3.0, 0.1]}").replace("[1, 2]", "[1]")
    assert sweep(text, "--json") == 70
    found, out = states(capsys)
    assert set(found.values()) >= {"failed", "finished"}
    assert out["best"]["values"]["optimizer.lr"] == 0.1


def test_without_optuna_a_study_says_what_to_install(sweep, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert sweep(STUDY) == 2
    assert "pip install 'visioncore-engine[sweep]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{low: 1.0}", "give `low` and `high`, or `choices`"),
        ("{low: 2.0, high: 1.0}", "must be less than"),
        ("{low: 0.0, high: 1.0, log: true}", "needs `low` > 0"),
    ],
)
def test_a_parameter_of_a_study_is_a_range_or_choices(sweep, tmp_path, given, told):
    with pytest.raises(ConfigError, match=told):
        plan_of(STUDY.replace("{choices: [3, 9]}", given), tmp_path)


def test_the_script_of_an_array_has_a_job_for_each_run(sweep, tmp_path):
    points = plan_of("run: run.yaml\nseeds: [1, 2]\ndir: a folder\n", tmp_path).points()
    options = ArrayOptions(options=("--time=5",), setup=("module load x",), at_once=1, signal_before=60)
    script = array_script(options, "study", points, [["train", "a file"], ["train", "b"]])
    lines = script.splitlines()
    assert "#SBATCH --array=0-1%1" in lines
    assert "#SBATCH --signal=B:USR1@60" in lines
    assert "#SBATCH --time=5" in lines
    assert "module load x" in lines
    assert f"'{tmp_path}/a folder/seed1'" in lines


def test_an_array_that_is_only_written_says_how_to_submit_it(sweep, capsys):
    text = "run: run.yaml\nmode: slurm\narray: {submit: false}\nseeds: [1, 2]\n"
    assert sweep(text, "--json") == 0
    captured = capsys.readouterr()
    assert "sbatch runs/study/array.sh" in captured.err
    assert {run["state"] for run in json.loads(captured.out)["runs"]} == {"not started"}
    assert all(Path(f"runs/study/seed{seed}/run.yaml").exists() for seed in (1, 2))
    assert "--resume" not in Path("runs/study/array.sh").read_text().partition("folder=")[0]
