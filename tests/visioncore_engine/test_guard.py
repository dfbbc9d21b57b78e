"""What would go wrong only later is refused before the first step."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import toy_plugin
import unruly_plugin
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine import resolve, train
from visioncore_engine.checkpoint import read_checkpoint, write_checkpoint
from visioncore_engine.cli import main
from visioncore_engine.contracts import Result
from visioncore_engine.errors import ConfigError, PluginError, RunError
from visioncore_engine.plain import unsafe_parts

PLUGINS = (toy_plugin.__file__, unruly_plugin.__file__)
RUN = """
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 8, batches_per_epoch: 4}
model: toy_linear
loss: toy_squared
metrics: [toy_error]
optimizer: {name: toy_sgd, lr: 0.01}
scheduler: toy_halving
callbacks: [unruly]
loggers: []
trainer: {max_epochs: 2, accelerator: cpu}
"""


class Mode(enum.Enum):
    FAST = 1


class Level(enum.StrEnum):
    LOW = "low"


class Pair(NamedTuple):
    left: int
    right: int


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN)
    return lambda *sets: resolve(["run.yaml"], sets=sets, plugin_files=PLUGINS)


def steps_of(folder="here"):
    return list(Path(folder).glob("checkpoints/*.ckpt"))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Mode.FAST, "a Mode"),
        (Level.LOW, "a Level"),
        (Path("x"), "a PosixPath"),
        (lambda: 0, "a function"),
        (np.float64(1.0), "a float64"),
        (np.arange(3), "a ndarray"),
        (Pair(1, 2), "a Pair"),
        ({Mode.FAST: 1}, "a key of type Mode"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_p15_a_state_that_cannot_be_saved_safely_is_refused_before_the_first_step(run, handlers, value, kind):
    handlers["state_dict"] = lambda: {"deep": [1, {"mode": value}]}
    with pytest.raises(PluginError, match=r"callbacks\.unruly: .*cannot be saved safely") as refused:
        train(run("run.dir=here"), quiet=True)
    assert kind in str(refused.value)
    assert "['deep'][1]['mode']" in str(refused.value)
    assert "plugin 'unruly_plugin'" in str(refused.value)
    assert "run.yaml:9" in str(refused.value)
    assert steps_of() == []


def test_p16_a_state_dict_that_raises_is_refused_before_the_first_step(run, handlers):
    def broken():
        raise AttributeError("no attribute 'best'")

    handlers["state_dict"] = broken
    with pytest.raises(PluginError, match="its state cannot be asked for: AttributeError: no attribute 'best'"):
        train(run("run.dir=here"), quiet=True)
    assert steps_of() == []


def test_a_state_that_is_no_mapping_is_refused(run, handlers):
    handlers["state_dict"] = lambda: [1]
    with pytest.raises(PluginError, match="its state is a list, not a mapping"):
        train(run(), quiet=True)


def test_the_state_of_a_scheduler_is_looked_at_too(run, monkeypatch):
    monkeypatch.setattr("toy_parts.ToyHalving.state", lambda self: {"mode": Mode.FAST})
    with pytest.raises(PluginError, match=r"scheduler: .*\['mode'\] is a Mode"):
        train(run(), quiet=True)


def test_a_state_that_turns_bad_later_never_replaces_a_good_file(run, handlers):
    state = {"mode": "fast"}
    handlers["state_dict"] = lambda: dict(state)

    def turn(trainer, module):
        if trainer.global_step > 4:
            state["mode"] = Mode.FAST

    handlers["on_validation_end"] = turn
    with pytest.raises(RunError, match=r"refusing to save a Mode in \['callbacks'\]\['Unruly'\]\['mode'\]"):
        train(run("run.dir=here"), quiet=True)
    assert read_checkpoint("here/checkpoints/last.ckpt")["callbacks"]["Unruly"] == {"mode": "fast"}


@pytest.mark.parametrize("name", ["log", "log_dict"])
def test_attributes_that_lightning_overwrites_are_refused(run, monkeypatch, name):
    monkeypatch.setattr("unruly_parts.Unruly." + name, "mine", raising=False)
    with pytest.raises(PluginError, match=f"Lightning overwrites the attribute `{name}`"):
        train(run(), quiet=True)


@pytest.mark.parametrize("hook", ["on_before_zero_grad", "on_before_backward", "on_after_backward"])
def test_hooks_that_are_never_called_are_refused(run, monkeypatch, hook):
    monkeypatch.setattr("unruly_parts.Unruly." + hook, lambda *arguments: None, raising=False)
    with pytest.raises(PluginError, match=f"`{hook}` is never called here"):
        train(run(), quiet=True)


def test_two_states_under_one_key_are_refused(run):
    with pytest.raises(PluginError, match="its state has the same key as that of 'unruly': 'Unruly'"):
        train(run("callbacks.second.name=unruly"), quiet=True)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    )
)
def test_plain_values_are_safe(value):
    assert list(unsafe_parts({"value": value, "tensor": torch.zeros(2), "pair": (value,)})) == []


def test_what_is_called_safe_comes_back_equal(tmp_path):
    state = {"a": [1, (2.5, None)], 3: {"b": torch.arange(3)}, "set": {1, 2}, "size": torch.Size([2])}
    assert list(unsafe_parts(state)) == []
    payload = {"state_dict": {}, "callbacks": state}
    write_checkpoint(payload, tmp_path / "x.ckpt")
    again = torch.load(tmp_path / "x.ckpt", weights_only=True)["callbacks"]
    assert again.pop(3)["b"].tolist() == state.pop(3)["b"].tolist()
    assert again == state


def test_c33_a_validation_that_never_runs_is_refused_without_building_anything(run, capsys):
    arguments = ["check", "run.yaml", *(word for file in PLUGINS for word in ("--plugin", file))]
    assert main([*arguments, "--set", "trainer.check_val_every_n_epoch=2"]) == 0
    assert main([*arguments, "--set", "trainer.check_val_every_n_epoch=3"]) == 2
    told = capsys.readouterr().err
    assert "trainer.check_val_every_n_epoch: no validation would ever run in 2 epochs" in told
    assert "(got 3); write 2 at most" in told


def test_c33_a_run_of_steps_that_ends_before_its_first_validation_is_refused(run):
    sets = ("trainer.max_epochs=null", "trainer.check_val_every_n_epoch=3", "run.dir=here")
    with pytest.raises(ConfigError, match="the run has 8 steps, and the first validation is due in epoch 3 of 4 steps"):
        train(run(*sets, "trainer.max_steps=8"), quiet=True)
    train(run(*sets, "trainer.max_steps=9"), quiet=True)
    assert (Path("here") / "checkpoints/best.ckpt").exists()


def test_a_run_that_ends_within_its_first_epoch_has_a_best_checkpoint(run):
    folder = train(run("trainer.max_steps=3"), quiet=True).run_dir
    best = read_checkpoint(folder / "checkpoints/best.ckpt")
    assert best["global_step"] == 3
    assert set(best["visioncore"]["scores"]) >= {"val/loss", "val/toy_error"}


@pytest.mark.parametrize(
    ("monitor", "todo"),
    [
        ("val/loss/group0", "did you mean 'val/loss'"),
        ("val/toy_error/grup1", "did you mean 'val/toy_error/group1'"),
        ("val/toy_error/nothing", "groups: group0, group1"),
    ],
)
def test_a_monitor_of_a_group_that_is_not_there_is_refused(run, monitor, todo):
    with pytest.raises(ConfigError) as refused:
        train(run(f"checkpoint.monitor={monitor}"), quiet=True)
    assert "checkpoint.monitor" in str(refused.value)
    assert todo in str(refused.value)


def test_a_checkpoint_is_there_before_the_end_where_epochs_are_long(run, handlers):
    # `every_n_epochs` beyond the end is no mistake: every validation saves, and so does the end.
    found = []
    handlers["on_train_batch_end"] = lambda trainer, module: found.append(module.skips.newest() and len(steps_of()))
    train(run("checkpoint.every_n_epochs=9", "run.dir=here"), quiet=True)
    assert found[0] is None
    assert found[-1] > 0


def test_a_score_that_never_was_finite_is_said_at_the_end(run, monkeypatch, capsys):
    monkeypatch.setattr("toy_parts.ToyError.compute", lambda self, states: Result(scalars={"toy_error": float("nan")}))
    train(run("checkpoint.monitor=val/toy_error"), quiet=True)
    assert "val/toy_error was not finite in any of 2 validations: no best checkpoint" in capsys.readouterr().err
