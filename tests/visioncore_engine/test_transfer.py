"""Weights taken over by name with an account of every tensor; parts that stay as they are (A1, A5, A7, A29, A30)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import toy_plugin
from torch import nn

from visioncore_engine import resolve, train
from visioncore_engine.build import build
from visioncore_engine.checkpoint import read_checkpoint, write_checkpoint
from visioncore_engine.cli import main
from visioncore_engine.errors import CheckpointError, ConfigError
from visioncore_engine.transfer import freeze

RUN = """
seed: 5
data: {name: toy, num_groups: 2, num_columns: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 3}
model: {name: toy_linear, width: 3, dropout: 0.2}
loss: toy_squared
metrics: [toy_error]
optimizer: {name: toy_adamw, lr: 0.01, weight_decay: 0.1}
loggers: [toy_memory]
checkpoint: {monitor: val/toy_error}
trainer: {max_epochs: 2}
"""
SOURCE = Path("source/checkpoints/best.ckpt")
# More groups, of which the first two are those of the source.
CORE = ("transfer.from=source", "transfer.parts=shared", "transfer.freeze=shared", "data.num_groups=3", "seed=6")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    (folder / "run.yaml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(resolve(["run.yaml"], sets=["run.dir=source"], plugin_files=[toy_plugin.__file__]), quiet=True)
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return lambda *sets: resolve(["run.yaml"], sets=sets, plugin_files=[toy_plugin.__file__])


def weights(path):
    return read_checkpoint(path)["state_dict"]


def change(**tensors):
    """Rewrite tensors of the source; None takes one away."""
    payload = read_checkpoint(SOURCE)
    for name, value in tensors.items():
        payload["state_dict"].pop(f"model.{name}", None)
        if value is not None:
            payload["state_dict"][f"model.{name}"] = value
    write_checkpoint(payload, SOURCE)


def test_the_core_of_a_run_is_taken_over_frozen_and_new_heads_train(run):
    result = train(run(*CORE, "run.dir=new"), quiet=True)
    before, after = weights(SOURCE), weights(result.run_dir / "checkpoints/last.ckpt")
    for name in ("model.shared.weight", "model.shared.bias"):
        assert torch.equal(before[name], after[name])
    assert not torch.equal(before["model.heads.group0.weight"], after["model.heads.group0.weight"])
    record = json.loads((result.run_dir / "record.json").read_text())
    (row,) = record["transfer"]["parts"]
    assert row["matched"] == row["changed"] == ["shared.weight", "shared.bias"]
    assert row["missing"] == row["unexpected"] == row["shapes"] == []
    assert record["transfer"]["from"] == str(SOURCE)
    assert any("data.num_groups was 2, and is 3" in note for note in record["warnings"])


def test_what_a_checkpoint_offers_is_taken_before_what_was_trained(run):
    payload = read_checkpoint(SOURCE)
    payload["visioncore"]["offered"] = {"model.shared.weight": payload["state_dict"]["model.shared.weight"] * 2}
    write_checkpoint(payload, SOURCE)
    taken = build(run(*CORE)).model.state_dict()
    assert torch.equal(taken["shared.weight"], weights(SOURCE)["model.shared.weight"] * 2)
    assert torch.equal(taken["shared.bias"], weights(SOURCE)["model.shared.bias"])


def test_heads_are_taken_over_by_the_name_of_their_group_and_new_groups_start_anew(run):
    parts = build(run(*CORE, "transfer.parts=[shared, heads]"))
    before, fresh = weights(SOURCE), build(run("data.num_groups=3", "seed=6")).model.state_dict()
    for name, value in parts.model.state_dict().items():
        taken = before.get(f"model.{name}")
        assert torch.equal(value, fresh[name] if taken is None else taken), name
    heads = parts.transfer.parts[1]
    assert heads.missing == ("heads.group2.weight", "heads.group2.bias")


def test_a29_a_group_whose_columns_are_others_is_refused_by_its_name(run):
    payload = read_checkpoint(SOURCE)
    target = payload["visioncore"]["groups"][1]["targets"]["y"]
    target["ids"] = target["ids"][::-1]  # as many, in another order: the shapes fit
    write_checkpoint(payload, SOURCE)
    with pytest.raises(CheckpointError, match=r"'group1'.*same ids in another order"):
        build(run(*CORE, "transfer.parts=[shared, heads]"))
    assert build(run(*CORE)).transfer  # the core alone has no columns


def test_heads_of_groups_that_are_not_here_are_left_and_listed(run):
    row = build(run(*CORE, "data.num_groups=1", "transfer.parts=heads")).transfer.parts[0]
    assert row.matched == ("heads.group0.weight", "heads.group0.bias")
    assert row.unexpected == ("heads.group1.weight", "heads.group1.bias")


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"shared.bias": None}, "part 'shared', the source lacks: shared.bias"),
        ({"shared.more": torch.ones(2)}, "part 'shared', the source has what the model lacks: shared.more"),
        ({"shared.bias": torch.ones(4)}, r"in another shape: shared.bias: \(4,\) there, \(3,\) here"),
        ({"shared.bias": None, "shared.weight": None}, "nothing of part 'shared' is in the source|the source lacks"),
    ],
)
def test_what_does_not_fit_is_told_by_name(run, tensors, told):
    change(**tensors)
    with pytest.raises(CheckpointError, match=told):
        build(run(*CORE))


def test_a1_a_file_that_changes_no_value_is_an_error(run):
    fresh = build(run("seed=6", "data.num_groups=3")).model.state_dict()
    change(**{"shared.weight": fresh["shared.weight"], "shared.bias": fresh["shared.bias"]})
    with pytest.raises(CheckpointError, match="the source changes not one value of the model"):
        build(run(*CORE))


@pytest.mark.parametrize("key", ["parts", "freeze"])
def test_a_part_that_the_model_lacks_is_told_with_the_nearest(run, key):
    with pytest.raises(ConfigError, match=r"did you mean 'shared'.*its parts are: shared, heads"):
        build(run(*CORE, f"transfer.{key}=shard"))


def test_b13_a_source_that_is_gone_is_told_and_a_resumed_run_needs_it_no_more(run, capsys):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        build(run(*CORE, "transfer.from=nowhere.ckpt"))
    train(run(*CORE, "run.dir=new"), quiet=True)
    shutil.rmtree("source")
    train(run(*CORE, "run.dir=new", "trainer.max_epochs=3"), resume=True, quiet=True)
    assert json.loads(Path("new/record.json").read_text())["transfer"]["parts"]


def test_a7_a_resumed_run_is_the_unbroken_one_and_takes_nothing_over_again(run):
    free = ("transfer.freeze=[]", "callbacks=[toy_events]", "checkpoint.every_n_steps=1")
    train(run(*CORE, *free, "run.dir=whole"), quiet=True)
    with pytest.raises(toy_parts_cut()):
        train(run(*CORE, *free, "run.dir=cut", "callbacks.toy_events.stop_at=4"), quiet=True)
    train(run(*CORE, *free, "run.dir=cut", "policies.resume_changes=callbacks.*"), resume=True, quiet=True)
    whole, cut = (weights(f"{name}/checkpoints/last.ckpt") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def toy_parts_cut():
    import toy_parts

    return toy_parts.Cut


def test_a5_frozen_parameters_are_in_no_group_of_the_optimizer_and_no_penalty(run):
    both = 'regularizers={sparse: {name: toy_l2, strength: 0.1, match: "*.weight"}}'
    parts = build(run(*CORE, both))
    frozen = {"shared.weight", "shared.bias"}
    moved = {name for group in parts.groups for name in group.parameters}
    penalised = {name for active in parts.regularization.regularizers for name in active.parameters}
    assert not (moved | penalised) & frozen
    assert moved == {name for name, _ in parts.model.named_parameters()} - frozen
    with pytest.raises(ConfigError, match="only frozen parameters"):
        build(run(*CORE, 'regularizers={sparse: {name: toy_l2, strength: 0.1, match: "shared.*"}}'))


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.core = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))

    def forward(self, inputs):
        return self.head(self.core(inputs))


def test_a30_frozen_parts_stay_in_eval_mode_and_keep_every_bit_whoever_calls_train():
    model = Deep()
    freeze(model, ["core"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        model.train()
        model(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
    assert not any(part.training for part in model.core.modules())
    assert all(part.training for part in model.head.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("core"), name
    assert torch.equal(model.core(torch.ones(2, 3)), model.core(torch.ones(2, 3)))  # no dropout


def test_a_module_of_which_only_a_part_is_frozen_keeps_its_mode():
    model = Deep()
    freeze(model, ["core.0.weight", "core.1.weight", "core.1.bias"])
    model.train()
    assert all(part.training for part in model.modules())
    assert [name for name, value in model.named_parameters() if not value.requires_grad] == [
        "core.0.weight", "core.1.weight", "core.1.bias",
    ]  # fmt: skip


def test_old_groups_are_predicted_as_before_when_only_new_heads_train(run):
    from visioncore_engine import load
    from visioncore_engine.registry import discover

    freeze_old = 'transfer.freeze=[shared, "heads.group[01].*"]'
    result = train(run(*CORE, "transfer.parts=[shared, heads]", freeze_old, "run.dir=new"), quiet=True)
    registry = discover(files=[toy_plugin.__file__])
    old, new = (load(path, registry=registry) for path in (SOURCE, result.run_dir / "checkpoints/last.ckpt"))
    inputs = torch.randn(9, 5)
    for group in ("group0", "group1"):
        assert torch.equal(old(group, inputs), new(group, inputs))


def test_check_shows_what_trains_and_what_was_taken_over(run, capsys):
    sets = [word for one in CORE for word in ("--set", one)]
    assert main(["check", "run.yaml", "--plugin", toy_plugin.__file__, "--build", *sets]) == 0
    shown = capsys.readouterr().out
    assert "What trains" in shown
    assert f"Taken over from {SOURCE}" in shown
    assert "shared       0      18" in shown
