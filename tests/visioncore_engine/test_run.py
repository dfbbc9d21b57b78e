"""The whole road with the toy family: train, stop, resume, evaluate, load."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_parts
import toy_plugin
from toy_parts import Cut, ToyMemory

from visioncore_engine import evaluate, load, resolve, train
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.cli import main
from visioncore_engine.errors import CheckpointError, ConfigError, DataError, PluginError, RunError

RUN = """
seed: 5
data: {name: toy, num_groups: 3}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 5}
model: {name: toy_linear, dropout: 0.2}
loss: {name: toy_squared, weighting: places}
metrics: [toy_error]
regularizers: {shrink: {name: toy_l2, strength: {schedule: ramp, stop: 1.0e-3, steps: 8}, match: "heads.*.weight"}}
optimizer:
  {name: toy_adamw, lr: 0.01, weight_decay: 0.01, clip: 0.5, accumulate: 2,
   groups: {core: {match: "shared.*", lr_scale: 0.5}}}
scheduler: toy_halving
callbacks: [toy_events]
loggers: [toy_memory]
evaluate: [toy_table]
checkpoint: {monitor: val/toy_error, keep: 2}
trainer: {max_epochs: 4, log_every_n_steps: 1}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN)

    def resolved(*sets):
        return resolve(["run.yaml"], sets=sets, plugin_files=[toy_plugin.__file__])

    return resolved


def weights(path):
    return read_checkpoint(path)["state_dict"]


def test_a_run_leaves_a_folder_that_describes_itself(run):
    result = train(run(), quiet=True)
    folder = result.run_dir
    assert folder.parent == Path("runs/run")
    names = {path.name for path in folder.iterdir()}
    assert {"run.yaml", "record.json", "checkpoints", "scores.json", "toy.csv", "report.html"} <= names
    assert {"best.ckpt", "last.ckpt", "last.prev.ckpt"} <= {path.name for path in (folder / "checkpoints").iterdir()}
    assert len(list((folder / "checkpoints").glob("step-*.ckpt"))) == 2
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["validation"]["toy_error"] == result.scores["val/toy_error"]
    with (folder / "toy.csv").open() as file:
        assert [row["split"] for row in csv.DictReader(file)] == ["validation"] * 3
    # the resolved run in the folder is a run file: it resolves to itself
    again = resolve([folder / "run.yaml"], plugin_files=[toy_plugin.__file__])
    assert again.dump() == run().dump()


def test_a_loss_of_the_models_own_is_logged_with_its_weight(run, monkeypatch):
    rows = []
    monkeypatch.setattr(ToyMemory, "log_metrics", lambda self, metrics, step=None: rows.append(dict(metrics)))
    train(run("run.dir=own", "model.auxiliary=0.5"), quiet=True)
    scores = read_checkpoint("own/checkpoints/last.ckpt")["visioncore"]["scores"]
    assert 0 < scores["val/auxiliary/size"] < 0.5  # the mean square of a tanh, halved
    assert scores["val/loss"] > scores["val/auxiliary/size"]
    parts = [row["train/auxiliary/size"] for row in rows if "train/auxiliary/size" in row]
    assert len(parts) == 20
    assert all(0 < part < 0.5 for part in parts)
    train(run("run.dir=plain"), quiet=True)
    assert "val/auxiliary/size" not in read_checkpoint("plain/checkpoints/last.ckpt")["visioncore"]["scores"]


def test_best_is_the_checkpoint_with_the_best_score(run):
    folder = train(run("trainer.max_epochs=6"), quiet=True).run_dir
    kept = {
        path.name: read_checkpoint(path)["visioncore"]["scores"]["val/toy_error"]
        for path in (folder / "checkpoints").glob("step-*.ckpt")
    }
    best = read_checkpoint(folder / "checkpoints" / "best.ckpt")["visioncore"]["scores"]["val/toy_error"]
    assert best == min(kept.values())


def test_one_seed_repeats_and_another_differs(run):
    first = weights(train(run("run.dir=a"), quiet=True).run_dir / "checkpoints/last.ckpt")
    second = weights(train(run("run.dir=b"), quiet=True).run_dir / "checkpoints/last.ckpt")
    other = weights(train(run("run.dir=c", "seed=6"), quiet=True).run_dir / "checkpoints/last.ckpt")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("stop_at", [1, 5, 7, 10, 12, 19])
def test_l4_cut_at_any_step_and_resumed_nothing_shows(run, stop_at):
    every = "checkpoint.every_n_steps=1"
    whole = train(run("run.dir=whole", every), quiet=True).run_dir
    with pytest.raises(Cut):
        train(run("run.dir=cut", every, f"callbacks.toy_events.stop_at={stop_at}"), quiet=True)
    train(run("run.dir=cut", every, "policies.resume_changes=callbacks.*"), resume=True, quiet=True)
    one, two = (read_checkpoint(Path(folder) / "checkpoints/last.ckpt") for folder in (whole, "cut"))
    for name, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][name]), name
    for name, value in one["optimizer_states"][0]["state"].items():
        for key, tensor in value.items():
            assert torch.equal(tensor, two["optimizer_states"][0]["state"][name][key])
    assert one["global_step"] == two["global_step"] == 20
    assert one["visioncore"]["scheduler"] == two["visioncore"]["scheduler"]
    assert one["visioncore"]["scores"] == two["visioncore"]["scores"]
    events = [next(v["events"] for k, v in c["callbacks"].items() if "ToyEvents" in k) for c in (one, two)]
    assert events[0] == events[1]


TRACKER = """
import pytorch_lightning as pl
from visioncore_engine import Component, hookimpl

@hookimpl
def visioncore_callbacks():
    yield Component(name="tracker", summary="tracks", build=":Tracker")

class Tracker(pl.Callback):
    def __init__(self, options, facts):
        pass

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pl_module.track("weight", pl_module.model.shared.weight.sum())
        if trainer.global_step % 2:
            pl_module.track("step", trainer.global_step)
"""


def logged(name):
    """Values of a name by step, as the logger of the last training got them."""
    return {step: row[name] for step, row in ToyMemory.newest.rows if name in row}


def test_what_a_callback_tracks_is_logged_as_its_mean_and_goes_on_after_a_resume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN.replace("log_every_n_steps: 1", "log_every_n_steps: 4"))
    Path("tracker.py").write_text(TRACKER)

    def resolved(*sets):
        chosen = ["callbacks=[toy_events, tracker]", "checkpoint.every_n_steps=1", *sets]
        return resolve(["run.yaml"], sets=chosen, plugin_files=[toy_plugin.__file__, "tracker.py"])

    train(resolved("run.dir=whole"), quiet=True)
    # Steps 1, 3, 5 … counted at a batch's end; the row of step 4 k is written before that of its own batch.
    assert logged("train/step") == {4: 2.0, 8: 6.0, 12: 10.0, 16: 14.0, 20: 18.0}
    expected = logged("train/weight")
    assert sorted(expected) == [4, 8, 12, 16, 20]
    with pytest.raises(Cut):
        train(resolved("run.dir=cut", "callbacks.toy_events.stop_at=6"), quiet=True)
    train(resolved("run.dir=cut", "policies.resume_changes=callbacks.*"), quiet=True, resume=True)
    assert logged("train/weight") == {step: value for step, value in expected.items() if step > 4}
    assert logged("train/step")[8] == 6.0


def test_a_run_that_is_resumed_as_another_is_refused_with_the_differences(run):
    with pytest.raises(Cut):
        train(run("run.dir=cut", "callbacks.toy_events.stop_at=7"), quiet=True)
    changed = ("run.dir=cut", "optimizer.lr=0.02", "trainer.max_epochs=5", "callbacks.toy_events.stop_at=null")
    with pytest.raises(ConfigError) as refused:
        train(run(*changed), resume=True, quiet=True)
    assert "--set: optimizer.lr: the checkpoint was trained with 0.01 (got 0.02)" in str(refused.value)
    assert "callbacks.toy_events.stop_at" in str(refused.value)
    assert "max_epochs" not in str(refused.value)  # a run may always be made longer
    allowed = 'policies.resume_changes=["optimizer.lr", "callbacks.*"]'
    train(run(*changed, allowed), resume=True, quiet=True)


def test_a_used_folder_is_refused_without_resume_and_resume_needs_one(run):
    train(run("run.dir=here"), quiet=True)
    with pytest.raises(ConfigError, match=r"here: run.dir: this folder already holds a run"):
        train(run("run.dir=here"), quiet=True)
    with pytest.raises(ConfigError, match="nothing to resume"):
        train(run("run.dir=elsewhere"), resume=True, quiet=True)


def test_accumulation_and_its_absence_give_the_same_weights(run):
    sets = ("model.dropout=0.0", "trainer.precision=64-true", "trainer.max_epochs=2")
    results = [
        weights(
            train(run(*sets, f"run.dir=acc{cut}", f"optimizer.accumulate={cut}"), quiet=True).run_dir
            / "checkpoints/last.ckpt"
        )
        for cut in (1, 2, 5)
    ]
    for other in results[1:]:
        for name, value in results[0].items():
            np.testing.assert_allclose(other[name].numpy(), value.numpy(), rtol=1e-9, atol=1e-12)


def test_l8_a_head_that_no_batch_touches_does_not_move(run, monkeypatch):
    original = toy_parts.ToySampler.batch

    def only_the_first_group(self, position):
        return original(self, position) % self.index.offsets[1]

    monkeypatch.setattr(toy_parts.ToySampler, "batch", only_the_first_group)
    resolved = run("optimizer.weight_decay=0.5")
    from visioncore_engine.build import build

    start = {f"model.{k}": v.clone() for k, v in build(resolved).model.state_dict().items()}
    end = weights(train(resolved, quiet=True).run_dir / "checkpoints/last.ckpt")
    moved = {name for name, value in end.items() if not torch.equal(value, start[name])}
    assert moved == {"model.shared.weight", "model.shared.bias", "model.heads.group0.weight", "model.heads.group0.bias"}


def test_evaluate_scores_the_best_checkpoint_on_any_split(run):
    result = train(run(), quiet=True)
    registry = run().registry
    found = evaluate(result.run_dir, splits=("validation", "test"), registry=registry)
    assert found["validation"]["toy_error"].scalars["toy_error"] == pytest.approx(result.scores["val/toy_error"])
    with (result.run_dir / "toy.csv").open() as file:
        assert [row["split"] for row in csv.DictReader(file)] == ["validation"] * 3 + ["test"] * 3
    with pytest.raises(DataError, match="no split 'nonsense'"):
        evaluate(result.run_dir, splits=("nonsense",), registry=registry)


def test_a_model_loads_alone_and_predicts_as_in_the_run(run, tmp_path, monkeypatch):
    result = train(run(), quiet=True)
    path = (result.run_dir / "checkpoints/best.ckpt").resolve()
    registry = run().registry
    monkeypatch.chdir(tmp_path.parent)  # neither the run file nor the data are here
    model = load(path, registry=registry)
    assert list(model.groups) == ["group0", "group1", "group2"]
    assert model.ids("group1") == ("g1c0", "g1c1", "g1c2", "g1c3", "g1c4")
    assert not model.training
    outputs = model("group1", torch.ones(2, 5))
    assert outputs.shape == (2, 5)
    assert not outputs.requires_grad
    with pytest.raises(Exception, match=r"no group 'grup1'.*did you mean 'group1'"):
        model("grup1", torch.ones(2, 5))


def test_a_drifted_group_is_named_with_its_ids(run):
    result = train(run("run.dir=drift"), quiet=True)
    changed = run("run.dir=drift", "data.num_columns=5")
    with pytest.raises(CheckpointError, match=r"group 'group0': 5 cells here, 4 in the checkpoint; unknown ids: g0c4"):
        evaluate(result.run_dir, resolved=changed)


@pytest.fixture
def other_content(run, monkeypatch):
    """A trained run whose second group has other values than when it was trained."""
    folder = train(run(), quiet=True).run_dir
    original = toy_parts.ToyData.fingerprints
    monkeypatch.setattr(toy_parts.ToyData, "fingerprints", lambda data: {**original(data), "group1": "other"})
    return folder


def test_d17_data_that_changed_since_they_were_trained_on_are_not_scored(other_content, capsys):
    before = (other_content / "scores.json").read_bytes()
    assert main(["evaluate", str(other_content), "--plugin", toy_plugin.__file__]) == 2
    told = capsys.readouterr().err
    assert "best.ckpt: policies.data_changes: the data changed since the checkpoint was written: group 'group1'" in told
    assert "accept it with policies.data_changes: warn" in told
    assert "Traceback" not in told
    assert (other_content / "scores.json").read_bytes() == before


def test_d17_data_that_changed_are_scored_where_that_is_accepted_and_said_aloud(other_content, capsys):
    sets = ("--set", "policies.data_changes=warn", "--split", "test")
    assert main(["evaluate", str(other_content), "--plugin", toy_plugin.__file__, *sets]) == 0
    assert "best.ckpt: the data changed since the checkpoint was written: group 'group1'" in capsys.readouterr().err
    assert "test" in json.loads((other_content / "scores.json").read_text())


def test_an_exception_of_a_plugin_is_named(run):
    with pytest.raises(RunError, match=r"plugin 'toy_plugin'.*ValueError: the toy fails as asked"):
        train(run("callbacks.toy_events.fail_at=3"), quiet=True)


def test_a_non_finite_loss_stops_and_names_the_group(run):
    with pytest.raises(RunError, match=r"step \d+: the loss is not finite in term 'y' of 'group"):
        train(run("optimizer.name=toy_sgd", "optimizer.lr=1e30"), quiet=True)


def test_a_pattern_that_matches_nothing_says_where(run):
    with pytest.raises(ConfigError, match=r"run\.yaml:8: regularizers\.shrink\.match: .*'heads\.\*\.wieght'"):
        train(run("regularizers.shrink.match=heads.*.wieght"), quiet=True)


def test_an_unknown_component_is_named(run):
    with pytest.raises((PluginError, ConfigError), match=r"toy_lineer.*toy_linear"):
        run("model=toy_lineer")
