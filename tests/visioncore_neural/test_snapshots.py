"""Evaluations beside training: which weights, when, and what an evaluation that fails or lasts does."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytorch_lightning.trainer.states import TrainerFn
from small_runs import small_run
from waiting import until

from visioncore_engine import resolve, train
from visioncore_engine.contracts import CallbackFacts
from visioncore_neural.callbacks.model_logging import ModelLogging
from visioncore_neural.options.callback import ModelLoggingOptions


class Process:
    """A process that ends when the test says so."""

    def __init__(self, folder):
        self.folder, self.code, self.num_waits, self.is_killed = folder, None, 0, False

    def end(self, code=0, scores=None):
        if scores is not None:
            (self.folder / "scores.json").write_text(json.dumps({"validation": scores}))
        self.code = code

    def poll(self):
        return self.code

    def wait(self, timeout=None):
        if timeout is None:
            assert self.is_killed, "an endless wait"
            return -9
        self.num_waits += 1
        if self.code is None:
            raise subprocess.TimeoutExpired("evaluate", timeout)
        return self.code

    def kill(self):
        self.is_killed = True


class Run:
    """A run folder whose checkpoints are kept at once, a callback in it, and what it starts and logs."""

    def __init__(self, folder, **options):
        (folder / "run.yaml").write_text("seed: 1\n")
        self.folder, self.rows, self.started, self.num_beats, self.error = folder, [], [], 0, None
        self.is_durable = True
        facts = CallbackFacts(
            folder, "val/loss", "min", 100, 10, heartbeat=self.beat, keep_checkpoint=self.keep, command=self.command
        )
        self.callback = ModelLogging(ModelLoggingOptions(every=100, **options), facts, self.start)
        self.trainer = SimpleNamespace(
            global_step=0,
            is_global_zero=True,
            sanity_checking=False,
            state=SimpleNamespace(fn=TrainerFn.FITTING),
            loggers=[SimpleNamespace(log_metrics=lambda values, step: self.rows.append((step, values)))],
        )

    def beat(self):
        self.num_beats += 1

    def keep(self, path):
        self.kept = Future()
        if self.error is not None:
            self.kept.set_exception(self.error)
        elif self.is_durable:
            path.parent.mkdir(parents=True)
            path.write_text("weights")
            path.with_name("last.ckpt.sha256").write_text("digest")
            self.kept.set_result(None)
        return self.kept

    @staticmethod
    def command(*words):
        return ("visioncore", *words)

    def start(self, command, log):
        assert command == (
            *("visioncore", "evaluate", str(log.parent)),
            *("--checkpoint", "last", "--split", "validation"),
        )
        assert (log.parent / "run.yaml").read_text() == "seed: 1\n"
        self.started.append(Process(log.parent))
        return self.started[-1]

    def validate(self, step):
        """Validate, save at the start of the next step, and take that step."""
        self.trainer.global_step = step
        self.callback.on_validation_end(self.trainer, None)
        self.callback.on_save_checkpoint(self.trainer, None, {})
        self.step()

    def step(self):
        self.trainer.global_step += 1
        self.callback.on_train_batch_end(self.trainer, None, None, None, 0)

    def checkpoints(self):
        return sorted(path.relative_to(self.folder).parts[1] for path in self.folder.rglob("last.ckpt*"))


def test_scores_are_logged_at_the_step_of_the_weights_and_their_file_is_given_back(tmp_path):
    run = Run(tmp_path, evaluate_every=2)
    run.validate(10)
    assert not run.started
    run.validate(20)
    assert [process.folder.name for process in run.started] == ["step-000000020"]
    assert run.checkpoints() == ["step-000000020"] * 2
    run.step()
    assert not run.rows
    run.started[0].end(scores={"bits_per_spike": 0.25, "units": float("nan")})
    run.step()
    ((step, values),) = run.rows
    assert step == 20
    assert values.pop("snapshot/units") != 0.0  # NaN
    assert values == {"snapshot/bits_per_spike": 0.25}
    assert run.checkpoints() == []
    run.validate(30)
    run.validate(40)
    assert [process.folder.name for process in run.started] == ["step-000000020", "step-000000040"]


def test_without_the_option_nothing_is_kept(tmp_path):
    run = Run(tmp_path)
    run.validate(10)
    run.callback.on_fit_end(run.trainer, None)
    assert not (tmp_path / "snapshots").exists()
    assert "snapshots" not in run.callback.state_dict()


def test_only_the_first_process_evaluates(tmp_path):
    run = Run(tmp_path, evaluate_every=1)
    run.trainer.is_global_zero = False
    run.validate(10)
    assert not (tmp_path / "snapshots").exists()


def test_a_checkpoint_that_is_not_on_disk_yet_is_not_read(tmp_path):
    run = Run(tmp_path, evaluate_every=1)
    run.is_durable = False
    run.validate(10)
    run.step()
    assert not run.started
    (tmp_path / "snapshots" / "step-000000010").mkdir(parents=True)
    run.kept.set_result(None)
    run.step()
    assert len(run.started) == 1


def test_a_turn_is_skipped_while_the_last_is_under_way_and_that_is_said_once(tmp_path, caplog):
    run = Run(tmp_path, evaluate_every=1)
    for step in (10, 20, 30):
        run.validate(step)
    assert len(run.started) == 1
    assert run.callback.state_dict()["snapshots"] == {"num_skipped": 2, "num_failed": 0}
    assert caplog.text.count("is not evaluated") == 1
    run.started[0].end(scores={})
    run.step()
    run.validate(40)
    assert [process.folder.name for process in run.started] == ["step-000000010", "step-000000040"]


def test_b9_a_failure_is_said_with_the_log_and_counted_and_the_next_is_tried(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    run = Run(tmp_path, evaluate_every=1)
    run.validate(10)
    run.started[0].end(70)
    run.step()
    log = tmp_path / "snapshots" / "step-000000010" / "log.txt"
    assert f"the snapshot of step 10 was not evaluated (1 so far): exit code 70; see {log}" in caplog.text
    run.validate(20)
    run.started[1].end(0)  # and no scores
    run.step()
    assert "step 20 was not evaluated (2 so far): it left no scores: FileNotFoundError" in caplog.text
    run.error = OSError("no second names here")
    run.validate(30)
    assert "step 30 was not evaluated (3 so far): OSError: no second names here" in caplog.text
    assert len(run.started) == 2
    assert not run.rows
    assert run.checkpoints() == []
    assert run.callback.state_dict()["snapshots"] == {"num_skipped": 0, "num_failed": 3}


def test_a_run_that_fails_kills_its_evaluation_and_goes_on_with_it_when_resumed(tmp_path):
    run = Run(tmp_path, evaluate_every=1)
    run.validate(10)
    run.callback.on_exception(run.trainer, None, KeyboardInterrupt())
    assert run.started[0].is_killed
    again = Run(tmp_path, evaluate_every=1)
    again.callback.load_state_dict({"num_validations": 3, "snapshots": {"num_skipped": 4, "num_failed": 5}})
    assert again.callback.state_dict() == {"num_validations": 3, "snapshots": {"num_skipped": 4, "num_failed": 5}}
    again.trainer.global_step = 12
    again.callback.on_train_start(again.trainer, None)
    again.step()
    again.started[0].end(scores={"units": 1.0})
    again.step()
    assert again.rows == [(10, {"snapshot/units": 1.0})]
    again.callback.load_state_dict({"num_validations": 3})  # of a run that had no evaluations


def test_what_lies_beyond_the_step_that_a_run_goes_on_from_is_not_evaluated(tmp_path):
    run = Run(tmp_path, evaluate_every=1)
    run.validate(10)
    run.callback.on_exception(run.trainer, None, KeyboardInterrupt())
    again = Run(tmp_path, evaluate_every=1)
    again.trainer.global_step = 9
    again.callback.on_train_start(again.trainer, None)
    again.step()
    assert not again.started
    assert again.checkpoints() == []


@pytest.mark.parametrize(("minutes", "num_waits"), [(0.0, 0), (0.05, 3)])
def test_the_end_waits_a_bounded_time_and_says_what_it_left(tmp_path, caplog, minutes, num_waits):
    run = Run(tmp_path, evaluate_every=1, wait_minutes=minutes)
    run.validate(10)
    run.callback.on_fit_end(run.trainer, None)
    (process,) = run.started
    assert process.is_killed
    assert process.num_waits == run.num_beats == num_waits
    assert "step 10 was not evaluated (1 so far): it had not ended when training did" in caplog.text


def test_the_last_checkpoint_is_evaluated_after_the_last_step(tmp_path):
    run = Run(tmp_path, evaluate_every=1, wait_minutes=1.0)
    run.trainer.global_step = 10
    run.callback.on_validation_end(run.trainer, None)
    run.callback.on_save_checkpoint(run.trainer, None, {})
    start = run.callback.snapshots._start_process

    def ends_at_once(command, log):
        start(command, log).end(scores={"units": 2.0})
        return run.started[-1]

    run.callback.snapshots._start_process = ends_at_once
    run.callback.on_fit_end(run.trainer, None)
    assert run.rows == [(10, {"snapshot/units": 2.0})]


PARENT = """
import sys
from pathlib import Path
from visioncore_engine.launch.entry import command_beside
from visioncore_engine.registry import discover
from visioncore_neural.callbacks.snapshots import start_process
command = list(command_beside(discover(), "plugins"))
first = command[2].partition("from visioncore_engine.cli")[0]  # what it does before it does its work
command[2] = first + "import time; print(os.getpid(), flush=True); time.sleep(600)"
start_process(command, Path(sys.argv[1]))
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a parent's death is signalled by Linux only")
def test_no_process_is_left_when_training_is_killed(tmp_path):
    log = tmp_path / "log.txt"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(log)], stdin=subprocess.PIPE)
    try:
        child = int(until("the child's number", lambda: log.exists() and log.read_text().strip(), seconds=60.0))
        assert os.getpriority(os.PRIO_PROCESS, child) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    finally:
        parent.kill()
        parent.wait()
        parent.stdin.close()
    until("the child ends", lambda: not _runs(child))


def _runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_snapshot_has_in_a_process_of_its_own_the_scores_that_its_weights_had_in_training(tmp_path):
    run = small_run(
        tmp_path / "run",
        trainer={"max_epochs": 3, "accelerator": "cpu"},
        evaluate=["units"],
        callbacks=[{"name": "model_logging", "every": 100, "evaluate_every": 1, "wait_minutes": 4.0}],
        loggers=["jsonl"],
    )
    train(resolve(run), quiet=True)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    valued = {row["step"]: row for row in rows if "val/loss" in row}
    found = {row["step"]: row for row in rows if any(name.startswith("snapshot/") for name in row)}
    assert found
    for step, row in found.items():
        assert row["snapshot/bits_per_spike"] == pytest.approx(valued[step]["val/bits_per_spike"], rel=1e-5)
        folder = tmp_path / "run" / "snapshots" / f"step-{step:09d}"
        assert (folder / "units.csv").exists()
        assert not list(folder.rglob("*.ckpt"))
    assert len({row["val/bits_per_spike"] for row in valued.values()}) == 3  # so that a wrong step would be seen
