"""A signal saves and stops at the next step, and the run that continues is the run that was never stopped."""

from __future__ import annotations

import inspect
import signal
from pathlib import Path

import numpy as np
import pytest
import toy_plugin
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from visioncore_engine import resolve, train
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.cli import main
from visioncore_engine.errors import Stopped

RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 5}
model: {name: toy_linear, dropout: 0.2}
loss: toy_squared
optimizer: {name: toy_adamw, lr: 0.01}
callbacks: [toy_events]
loggers: []
policies: {resume_changes: "callbacks.*"}
trainer: {max_epochs: 3, accelerator: cpu}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_plugin.__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("run.yaml").write_text(RUN)

    def resolved(*sets):
        return resolve(["run.yaml"], sets=sets, plugin_files=[toy_plugin.__file__])

    return resolved


def end_of(folder):
    checkpoint = read_checkpoint(Path(folder) / "checkpoints/last.ckpt")
    return checkpoint["global_step"], {name: value.numpy() for name, value in checkpoint["state_dict"].items()}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_saves_after_the_step_and_resume_shows_nothing(run, name, capfd):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    train(run("run.dir=whole"), quiet=True)
    sets = ("callbacks.toy_events.signal_at=7", f"callbacks.toy_events.signal_name={name}")
    with pytest.raises(Stopped, match="saved at step 8"):
        train(run("run.dir=cut", *sets), quiet=True)
    assert f"{name}: saving at the next step" in capfd.readouterr().err
    assert end_of("cut")[0] == 8
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    train(run("run.dir=cut"), resume=True, quiet=True)
    whole, cut = end_of("whole"), end_of("cut")
    assert whole[0] == cut[0] == 15
    for key, value in whole[1].items():
        np.testing.assert_array_equal(cut[1][key], value)


def test_the_command_ends_with_143(run, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(toy_plugin.__file__).parent))
    arguments = ["train", "run.yaml", "--plugin", toy_plugin.__file__, "--quiet", "--set", "run.dir=cut"]
    assert main([*arguments, "--set", "callbacks.toy_events.signal_at=3"]) == 143
    assert main([*arguments, "--resume"]) == 0


def test_a_signal_to_one_process_stops_all_at_the_same_step(run):
    train(run("run.dir=whole", "trainer.devices=2"), quiet=True)
    with pytest.raises(Stopped):
        train(run("run.dir=cut", "trainer.devices=2", "callbacks.toy_events.signal_at=7"), quiet=True)
    assert end_of("cut")[0] == 8
    train(run("run.dir=cut", "trainer.devices=2"), resume=True, quiet=True)
    for key, value in end_of("whole")[1].items():
        np.testing.assert_array_equal(end_of("cut")[1][key], value)


def test_what_we_switch_off_in_lightning_is_still_called_that():
    # Renamed, our replacements would silently do nothing, and a collective would run inside a signal handler again.
    assert "_broadcast_sigterm_tensor" in inspect.getsource(_TrainingEpochLoop.advance)
    assert "broadcast" in inspect.getsource(_SignalConnector._sigterm_notifier_fn)
    assert callable(_SignalConnector.register_signal_handlers)
