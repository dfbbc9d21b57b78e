"""No logger makes training wait, none ends it, and none keeps rows from another."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import toy_plugin
import unruly_plugin
from pytorch_lightning.loggers import Logger

from visioncore_engine import resolve, sinks, train
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.errors import ConfigError, Problem, StorageError
from visioncore_engine.sinks import DirectSink, QueuedSink, Sinks

PLUGINS = (toy_plugin.__file__, unruly_plugin.__file__)
RUN = """
data: {name: toy, num_groups: 1}
sampler: {name: toy_random, batch_size: 8, batches_per_epoch: 10}
model: toy_linear
loss: toy_squared
optimizer: {name: toy_sgd, lr: 0.01}
callbacks: [unruly]
loggers: [unruly, unruly_at_once]
trainer: {max_epochs: 2, log_every_n_steps: 1, accelerator: cpu}
"""
NUM_ROWS = 22  # twenty steps and two validations


class Memory(Logger):
    """Takes rows while its gate is open."""

    name = "memory"
    version = 0

    def __init__(self, fail_at=None, error=ValueError):
        super().__init__()
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.rows, self.saved, self.statuses = [], 0, []
        self.fail_at, self.error = fail_at, error

    @property
    def resume_id(self):
        return str(len(self.rows))

    def log_hyperparams(self, params, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.entered.set()
        self.gate.wait()
        if step == self.fail_at:
            raise self.error("as asked")
        self.rows.append((step, metrics))

    def save(self):
        self.saved += 1

    def finalize(self, status):
        self.statuses.append(status)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN)
    return lambda *sets: resolve(["run.yaml"], sets=sets, plugin_files=PLUGINS)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(sinks, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(sinks, "PATIENCE_SECONDS", 0.01)


def queued(logger, **more):
    return QueuedSink("slow", logger, lambda error: "plugin 'p': ", **more)


def soon():
    """A deadline that a thread that has work to do in memory never misses."""
    return time.monotonic() + 60


def test_a_run_ends_before_the_first_call_of_a_slow_logger_does(run, handlers, impatient, capsys):
    # So it adds less than one call's time, however long that is.
    release, done, quick = threading.Event(), [], []

    def slow(metrics, step):
        release.wait()
        done.append(step)

    handlers |= {"log": slow, "log_at_once": lambda metrics, step: quick.append(step)}
    train(run("run.dir=here"), quiet=True)
    assert done == []
    assert len(quick) == NUM_ROWS
    assert f"logger 'unruly' has not taken {NUM_ROWS} of {NUM_ROWS} rows" in capsys.readouterr().err
    release.set()


def test_a_logger_that_sleeps_5_s_a_call_adds_less_than_one_call():
    assert sinks.SETTLE_SECONDS + sinks.PATIENCE_SECONDS < 5.0  # each is waited for once in a run, as above


def test_a_logger_that_keeps_up_has_every_row_in_order_when_the_run_ends(run, handlers):
    seen = {"log": [], "log_at_once": []}
    for name, rows in seen.items():
        handlers[name] = lambda metrics, step, rows=rows: rows.append((step, metrics))
    statuses = []
    handlers["finalize"] = statuses.append
    train(run(), quiet=True)
    assert seen["log"] == seen["log_at_once"]
    assert len(seen["log"]) == NUM_ROWS
    assert [step for step, _ in seen["log"]] == sorted(step for step, _ in seen["log"])
    assert statuses == ["success", "success"]


@pytest.mark.parametrize("place", ["log", "log_at_once"])
def test_f33_a_logger_that_raises_is_named_and_training_goes_on(run, handlers, capsys, place):
    seen, other = [], []

    def fail(metrics, step):
        seen.append(step)
        if step == 3:
            raise ConnectionError("no network")

    handlers |= {
        "log": lambda metrics, step: other.append(step),
        "log_at_once": lambda metrics, step: other.append(step),
    }
    handlers[place] = fail
    train(run(), quiet=True)
    told = capsys.readouterr().err
    name = {"log": "unruly", "log_at_once": "unruly_at_once"}[place]
    assert f"logger {name!r} is switched off, training goes on: plugin 'toy_plugin'" not in told
    assert f"logger {name!r} is switched off, training goes on: plugin 'unruly_plugin' (" in told
    assert "ConnectionError: no network" in told
    assert seen == [1, 2, 3]
    assert len(other) == NUM_ROWS


@pytest.mark.parametrize("place", ["log", "log_at_once"])
def test_f08_a_full_disk_in_a_logger_ends_the_run(run, handlers, place):
    def full(metrics, step):
        if step == 3:
            raise StorageError("storage failed: metrics: no space")

    handlers[place] = full
    with pytest.raises(StorageError, match="no space") as ended:
        train(run("run.dir=here"), quiet=True)
    assert ended.value.exit_code == 74


def test_f32_a_logger_that_cannot_be_built_is_left_out_and_keeps_its_place_in_checkpoints(run, handlers, capsys):
    first = train(run("run.dir=here", "trainer.max_epochs=1"), quiet=True).run_dir

    def ids():
        return read_checkpoint(first / "checkpoints/last.ckpt")["visioncore"]["loggers"]

    before = ids()
    assert before == {"unruly": "10", "unruly_at_once": "10"}

    def down(facts):
        raise OSError("service unavailable")

    handlers["build"] = down
    train(run("run.dir=here"), resume=True, quiet=True)
    assert "logger 'unruly' is left out: plugin 'unruly_plugin'" in capsys.readouterr().err
    assert ids() == before


def test_a_mistake_in_the_options_of_a_logger_is_still_refused(run, handlers):
    def refuse(facts):
        raise ConfigError(Problem(what="not installed"))

    handlers["build"] = refuse
    with pytest.raises(ConfigError, match="not installed"):
        train(run(), quiet=True)


def test_what_does_not_fit_is_dropped_and_counted(capsys):
    logger = Memory()
    logger.gate.clear()
    sink = queued(logger, capacity=4)
    sink.log({"a": 0.0}, 0)
    logger.entered.wait()
    for step in range(1, 50):
        sink.log({"a": float(step)}, step)
    logger.gate.set()
    sink.settle(soon())
    logger.patience = 60
    sink.end("success")
    sink.close()
    assert [step for step, _ in logger.rows] == [0, 1, 2, 3, 4]
    told = capsys.readouterr().err
    assert told.count("what does not fit is dropped") == 1
    assert "logger 'slow' has not taken 45 of 50 rows" in told
    assert logger.statuses == ["success"]
    assert logger.saved == 5  # stock loggers write what they buffer in `save`


def test_a_checkpoint_waits_for_rows_on_their_way_but_only_once_for_a_logger_that_is_late():
    logger = Memory()
    sink = queued(logger)
    for step in range(100):
        sink.log({"a": 0.0}, step)
    sink.settle(soon())
    assert sink.resume_id() == "100"
    logger.gate.clear()
    logger.entered.clear()
    sink.log({"a": 0.0}, 100)
    logger.entered.wait()
    sink.settle(time.monotonic())  # the time is up
    sink.settle(float("inf"))  # would wait for ever
    logger.gate.set()
    assert sink._idle.acquire()
    assert sink._idle.wait_for(lambda: not sink._is_late, 60)  # it has caught up: the next checkpoint waits again
    sink._idle.release()
    assert sink.resume_id() == "101"


class Gallery(Memory):
    """Takes pictures, too."""

    def log_pictures(self, pictures, step):
        self.log_metrics(pictures, step)


def test_pictures_go_to_those_that_take_them_in_the_order_of_the_rows_and_nobody_waits():
    shown, at_once, blind = Gallery(), Gallery(), Memory()
    shown.gate.clear()
    facade = Sinks(Path(), [queued(shown), queued(blind), DirectSink("at_once", at_once, lambda error: "")])
    facade.log_metrics({"a": 1.0}, 0)
    facade.log_pictures({"kernels": Path("k.png")}, 0)  # returns although the gate is shut
    facade.log_metrics({"a": 2.0}, 1)
    shown.gate.set()
    facade.state()
    assert shown.rows == at_once.rows == [(0, {"a": 1.0}), (0, {"kernels": Path("k.png")}), (1, {"a": 2.0})]
    assert blind.rows == [(0, {"a": 1.0}), (1, {"a": 2.0})]


@pytest.mark.parametrize("kind", [DirectSink, QueuedSink])
def test_a_logger_that_cannot_show_a_picture_is_named_and_switched_off(kind, capsys):
    sink = kind("gallery", Gallery(fail_at=1), lambda error: "plugin 'p': ")
    sink.log_pictures({"kernels": Path("k.png")}, 1)
    sink.settle(soon())
    sink.log({"a": 1.0}, 2)
    sink.end("success")
    sink.close()
    assert "logger 'gallery' is switched off, training goes on: plugin 'p': ValueError" in capsys.readouterr().err
    assert sink._logger.rows == []


def test_values_are_copied_when_they_are_logged():
    logger = Memory()
    logger.gate.clear()
    values = {"a": 1.0}
    facade = Sinks(Path(), [queued(logger)])
    facade.log_metrics(values, 0)
    values["a"] = 2.0
    logger.gate.set()
    facade.state()
    assert logger.rows == [(0, {"a": 1.0})]


def test_the_end_comes_once_and_a_failed_run_shows_its_own_error(capsys):
    logger = Memory()
    full = DirectSink("full", Memory(fail_at=0, error=StorageError), lambda error: "")
    facade = Sinks(Path(), [full, queued(logger)])
    with pytest.raises(StorageError, match="as asked"):
        facade.log_metrics({"a": 1.0}, 0)
    facade.finalize("failed")
    facade.finalize("success")
    assert logger.statuses == ["failed"]
    late = queued(Memory(fail_at=1, error=StorageError))
    facade = Sinks(Path(), [late])
    facade.log_metrics({"a": 1.0}, 1)
    facade.finalize("failed")  # the run's own error is the one to raise
    assert "as asked" in capsys.readouterr().err


def test_a_logger_that_exits_its_thread_is_switched_off(capsys):
    sink = queued(Memory(fail_at=0, error=SystemExit))
    sink.log({"a": 1.0}, 0)
    sink.settle(soon())
    sink.log({"a": 1.0}, 1)
    sink.end("success")
    sink.close()
    assert "logger 'slow' is switched off, training goes on: plugin 'p': SystemExit" in capsys.readouterr().err


def test_stock_callbacks_find_a_logger_on_every_process():
    facade = Sinks(Path("here"))
    assert facade.save_dir == "here"
    facade.log_metrics({"a": 1.0}, 0)
    facade.finalize("success")
    assert facade.state() == {}
    assert not hasattr(facade, "experiment")
