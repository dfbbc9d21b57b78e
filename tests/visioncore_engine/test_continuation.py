"""What a run may go on from: every mismatch is told by its name before a step is taken (K13-K21, D07, D17, P20)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import toy_plugin
from toy_parts import ToyData

from visioncore_engine import load, resolve, train
from visioncore_engine.checkpoint import read_checkpoint, write_checkpoint
from visioncore_engine.cli import main
from visioncore_engine.errors import CheckpointError, ConfigError, DataError, PluginError
from visioncore_engine.registry import discover

RUN = """
seed: 5
data: {name: toy, num_groups: 2, num_columns: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 3}
model: {name: toy_linear, width: 3}
loss: toy_squared
metrics: [toy_error]
optimizer: {name: toy_adamw, lr: 0.01}
scheduler: toy_halving
callbacks: [toy_events]
loggers: [toy_memory]
checkpoint: {monitor: val/toy_error, every_n_steps: 1}
trainer: {max_epochs: 2}
run: {dir: here}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "run.yaml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(resolve(["run.yaml"], plugin_files=[toy_plugin.__file__]), quiet=True)
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return lambda *sets: resolve(["run.yaml"], sets=sets, plugin_files=[toy_plugin.__file__])


LAST = Path("here/checkpoints/last.ckpt")


def change(**parts):
    """Rewrite the last checkpoint, keeping its own description unless `visioncore` says other."""
    payload = read_checkpoint(LAST)
    own = parts.pop("visioncore", {})
    payload |= parts
    payload["visioncore"] |= own
    write_checkpoint(payload, LAST)
    return payload


def refused(run, kind, *sets):
    with pytest.raises(kind) as error:
        train(run("trainer.max_epochs=3", *sets), resume=True, quiet=True)
    return str(error.value)


def test_k13_a_wider_model_is_told_with_both_shapes(run):
    told = refused(run, CheckpointError, "model.width=4", "policies.resume_changes=model.width")
    assert told.startswith("checkpoint error: here/checkpoints/last.ckpt: the weights do not fit the model: ")
    assert "0 missing, 0 unexpected, 4 of another shape: 'shared.weight': checkpoint (3, 5), model (4, 5)" in told


def test_k14_missing_and_unexpected_tensors_are_counted_and_named(run):
    weights = dict(read_checkpoint(LAST)["state_dict"])
    weights["model.extra.weight"] = weights.pop("model.shared.weight")
    change(state_dict=weights)
    told = refused(run, CheckpointError)
    assert "1 missing, 1 unexpected, 0 of another shape: missing 'shared.weight'; unexpected 'extra.weight'" in told
    with pytest.raises(CheckpointError, match="1 missing, 1 unexpected"):
        load(LAST, registry=discover(files=[toy_plugin.__file__]))


@pytest.mark.parametrize("number", [0, 2])
def test_k15_the_number_of_optimizer_states(run, number):
    states = read_checkpoint(LAST)["optimizer_states"]
    change(optimizer_states=states * number)
    assert f"the checkpoint has {number} optimizer states, the run has 1" in refused(run, CheckpointError)


def test_k15_other_optimizer_groups_are_told_with_their_sizes(run):
    sets = ('optimizer.groups={core: {match: "shared.*"}}', "policies.resume_changes=optimizer.groups.*")
    told = refused(run, CheckpointError, *sets)
    assert "the checkpoint has optimizer groups 'rest' of 6 tensors" in told
    assert "the run has 'core' of" in told


def test_k16_a_scheduler_without_its_state(run):
    change(visioncore={"scheduler": {}})
    told = refused(run, CheckpointError)
    assert "the checkpoint's scheduler keeps no state, the run's keeps best, value" in told


@pytest.mark.parametrize(
    "key", ["sampler.batch_size=12", "data.num_items=50", "loss.weighting=places", "optimizer.accumulate=2"]
)
def test_k18_another_run_is_refused_by_the_key_that_differs(run, key):
    told = refused(run, ConfigError, key)
    assert f"--set: {key.partition('=')[0]}: the checkpoint was trained with" in told


def test_k19_a_checkpoint_beyond_the_end_is_nothing_to_do_and_a_mistake(run, capsys):
    arguments = ["train", "run.yaml", "--resume", "--quiet", "--plugin", toy_plugin.__file__]
    assert main([*arguments, "--set", "trainer.max_steps=4"]) == 2
    told = capsys.readouterr().err
    assert "nothing to do: the checkpoint is at step 6, and the run ends at step 4; raise trainer.max_epochs" in told


def test_k19_a_finished_run_that_is_resumed_is_done(run, capsys):
    before = LAST.read_bytes()
    arguments = ["train", "run.yaml", "--resume", "--quiet", "--plugin", toy_plugin.__file__]
    assert main(arguments) == 0
    assert "nothing to do: here is finished; scoring it again" in capsys.readouterr().err
    assert LAST.read_bytes() == before


def test_k21_the_state_of_a_callback_that_is_gone_is_said_to_be_given_up(run, capsys):
    sets = ("callbacks=null", "policies.resume_changes=callbacks.*", "trainer.max_epochs=3")
    assert "callbacks.toy_events" in refused(run, ConfigError, "callbacks=null")
    train(run(*sets), resume=True, quiet=True)
    told = capsys.readouterr().err
    assert "the state of callback 'ToyEvents' in the checkpoint is given up: the run has no such callback" in told


def test_p20_a_plugin_that_is_not_installed_is_named_with_its_distribution(run):
    record = read_checkpoint(LAST)["visioncore"]["record"]
    for plugin in record["plugins"]:
        if plugin["name"] == "toy_plugin":
            plugin |= {"distribution": "toy-lab", "version": "1.2"}
    change(visioncore={"record": record})
    with pytest.raises(PluginError) as error:
        load(LAST)
    first, second = str(error.value).splitlines()
    assert first == (
        f"plugin error: {LAST}: the checkpoint was made with plugin 'toy_plugin' (toy-lab==1.2), which cannot be used "
        "here; install toy-lab==1.2"
    )
    assert "no model named 'toy_linear'" in second


def changed_data(monkeypatch):
    original = ToyData.fingerprints
    monkeypatch.setattr(ToyData, "fingerprints", lambda data: {**original(data), "group1": "another content"})


def test_d17_data_that_changed_since_the_checkpoint_are_refused_by_name(run, monkeypatch):
    changed_data(monkeypatch)
    told = refused(run, DataError)
    assert "last.ckpt: policies.data_changes: the data changed since the checkpoint was written: " in told
    assert "group 'group1' had the fingerprint 5-group1, and has another cont" in told
    assert "group0" not in told


def test_d17_data_that_changed_may_be_accepted_and_are_named_all_the_same(run, monkeypatch, capsys):
    changed_data(monkeypatch)
    train(run("policies.data_changes=warn", "trainer.max_epochs=3"), resume=True, quiet=True)
    assert "warning: here/checkpoints/last.ckpt: the data changed" in capsys.readouterr().err
    assert read_checkpoint(LAST)["global_step"] == 9


def test_d07_groups_that_drifted_are_told_with_their_columns_before_their_weights(run):
    told = refused(run, CheckpointError, "data.num_columns=3", "policies.resume_changes=data.*")
    assert "group 'group0': 3 cells here, 2 in the checkpoint; unknown ids: g0c2" in told


def test_a_resume_that_is_refused_leaves_the_record_alone(run):
    before = Path("here/record.json").read_bytes()
    refused(run, CheckpointError, "model.width=4", "policies.resume_changes=model.width")
    assert Path("here/record.json").read_bytes() == before


# -- damaged files


def damage(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_k03_k04_a_damaged_last_file_falls_back_to_the_generation_before_and_says_so(run, capsys):
    damage(LAST)
    before = read_checkpoint("here/checkpoints/last.prev.ckpt")["global_step"]
    result = train(run("trainer.max_epochs=3"), resume=True, quiet=True)
    told = capsys.readouterr().err
    assert "last.ckpt: content does not match its sha256" in told
    assert "falling back to last.prev.ckpt" in told
    assert before == 5
    assert read_checkpoint(result.run_dir / "checkpoints/last.ckpt")["global_step"] == 9


def test_where_no_generation_loads_the_run_exits_with_2(run, capsys):
    damage(LAST)
    damage(Path("here/checkpoints/last.prev.ckpt"))
    arguments = ["train", "run.yaml", "--resume", "--quiet", "--plugin", toy_plugin.__file__]
    assert main(arguments) == 2
    assert "last.prev.ckpt: content does not match its sha256" in capsys.readouterr().err


def test_a_damaged_file_that_the_user_names_exits_with_2(run, capsys):
    damage(LAST)
    assert main(["evaluate", "here", "--checkpoint", "last", "--plugin", toy_plugin.__file__]) == 2
    assert main(["evaluate", "here", "--checkpoint", str(LAST), "--plugin", toy_plugin.__file__]) == 2
    assert main(["checkpoint", "inspect", str(LAST)]) == 2
    assert main(["checkpoint", "migrate", str(LAST)]) == 2
    told = capsys.readouterr().err
    assert told.count("content does not match its sha256: truncated or changed") == 4
    assert "Traceback" not in told
