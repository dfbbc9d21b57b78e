"""A step that is not finite, and a callback that has had enough: every process decides alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toy_plugin
import unruly_plugin
from engine_road import EngineRoad, differences
from torch import nn
from unruly_parts import rank

from visioncore_engine import resolve, train
from visioncore_engine.buffers import BufferKeeper
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.cli import main
from visioncore_engine.errors import RunError

PLUGINS = (toy_plugin.__file__, unruly_plugin.__file__)
RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 4}
model: {name: unruly, dropout: 0.2}
loss: {name: unruly, weighting: places}
regularizers: {shrink: {name: toy_l2, strength: 1.0e-3, match: "heads.*.weight"}}
optimizer: {name: toy_adamw, lr: 0.01, weight_decay: 0.1, accumulate: 2}
callbacks: [unruly]
loggers: [unruly]
trainer: {max_epochs: 3, log_every_n_steps: 1, accelerator: cpu}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(RUN)
    return lambda *sets: resolve(["run.yaml"], sets=sets, plugin_files=PLUGINS)


@pytest.fixture
def road(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return EngineRoad(tmp_path, RUN.replace("model: {name: unruly", "model: {name: toy_linear"), PLUGINS)


def broken_at(*steps, on_rank=None, value=float("nan"), group=None):
    """A loss that is not finite in some steps."""

    def loss(sums, batch_group, step):
        if step in steps and on_rank in (None, rank()) and group in (None, batch_group.name):
            return {name: total * value for name, total in sums.items()}
        return None

    return loss


def broken_gradient_at(step, on_rank=None):
    """A loss that is finite with a gradient that is not: the root of zero."""

    def loss(sums, group, now):
        if now == step and on_rank in (None, rank()):
            return {name: total + (total * 0).sqrt() for name, total in sums.items()}
        return None

    return loss


def state(folder):
    """Weights, buffers and optimizer of the last checkpoint."""
    payload = read_checkpoint(Path(folder) / "checkpoints/last.ckpt")
    return payload["state_dict"], payload["optimizer_states"]


def photograph(trainer, module):
    """Copies of everything that a step may change."""
    optimizer = {
        number: {name: torch.as_tensor(value).clone() for name, value in own.items()}
        for number, own in enumerate(module.parts.optimizer.state.values())
    }
    return {name: value.clone() for name, value in module.state_dict().items()}, optimizer


def test_stop_saves_the_state_before_the_step_and_names_what_was_wrong(run, handlers):
    train(run("run.dir=whole"), quiet=True)
    train(run("run.dir=three", "trainer.max_steps=3"), quiet=True)
    handlers["loss"] = broken_at(3, group="group1")
    with pytest.raises(RunError, match=r"step 3: the loss is not finite in term 'y' of 'group1'.*is saved") as ended:
        train(run("run.dir=cut"), quiet=True)
    assert ended.value.exit_code == 70
    assert not ended.value.shows_traceback
    assert read_checkpoint(Path("cut/checkpoints/last.ckpt"))["global_step"] == 3
    assert not differences(state("cut"), state("three"))
    # what was saved is the start of the step: without the fault, nothing shows
    handlers.clear()
    train(run("run.dir=cut"), resume=True, quiet=True)
    assert not differences(state("cut"), state("whole"))


def test_skip_changes_no_weight_no_optimizer_state_and_no_buffer(run, handlers, capsys):
    before, rows = {}, []
    changed = []

    def start(trainer, module):
        before["state"] = photograph(trainer, module)

    def end(trainer, module):
        if differences(before["state"], photograph(trainer, module)):
            changed.append(trainer.global_step - 1)

    handlers |= {"on_train_batch_start": start, "on_train_batch_end": end, "loss": broken_at(3, 7)}
    handlers["log"] = lambda metrics, step: rows.append((step, metrics))
    folder = train(run("policies.non_finite=skip"), quiet=True).run_dir
    assert changed == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert read_checkpoint(folder / "checkpoints/last.ckpt")["global_step"] == 12  # it keeps its place in the plan
    told = capsys.readouterr().err
    assert "step 3 is left out: the loss is not finite in term 'y' of 'group0'" in told
    assert "(2 of at most 10)" in told
    logged = {step: row["train/skipped"] for step, row in rows if "train/skipped" in row}
    assert logged == {4: 1, 5: 1, 6: 1, 7: 1, 8: 2, 9: 2, 10: 2, 11: 2, 12: 2}


def test_a_gradient_that_is_not_finite_is_left_out_as_well(run, handlers):
    before, changed = {}, []

    def start(trainer, module):
        before["state"] = photograph(trainer, module)

    def end(trainer, module):
        if differences(before["state"], photograph(trainer, module)):
            changed.append(trainer.global_step - 1)

    handlers |= {"on_train_batch_start": start, "on_train_batch_end": end, "loss": broken_gradient_at(2)}
    train(run("policies.non_finite=skip", "trainer.max_epochs=1"), quiet=True)
    assert changed == [0, 1, 3]


def test_skips_count_over_a_resume_and_too_many_end_the_run(run, handlers):
    sets = ("run.dir=cut", "policies.non_finite=skip", "policies.max_skips=2")
    handlers["loss"] = broken_at(1, 2, 6)

    def fail(trainer, module):
        if trainer.global_step == 5:
            raise KeyError

    handlers["on_train_batch_end"] = fail
    with pytest.raises(RunError, match="KeyError"):
        train(run(*sets, "checkpoint.every_n_steps=1"), quiet=True)
    del handlers["on_train_batch_end"]
    sets = (*sets, "policies.resume_changes=checkpoint.*")
    with pytest.raises(RunError, match=r"step 6: .*; 2 steps were left out already \(policies.max_skips\)"):
        train(run(*sets), resume=True, quiet=True)
    train(run(*sets, "policies.max_skips=3"), resume=True, quiet=True)
    assert read_checkpoint(Path("cut/checkpoints/last.ckpt"))["visioncore"]["skipped"] == {"all": 3, "non_finite": 3}


def test_raise_shows_where(run, handlers, capsys):
    arguments = ["train", "run.yaml", "--quiet", *(word for file in PLUGINS for word in ("--plugin", file))]
    handlers["loss"] = broken_at(1)
    assert main([*arguments, "--set", "policies.non_finite=raise", "--set", "run.dir=a"]) == 70
    assert "Traceback" in capsys.readouterr().err
    assert main([*arguments, "--set", "run.dir=b"]) == 70
    told = capsys.readouterr().err
    assert "step 1: the loss is not finite" in told
    assert "Traceback" not in told


def test_f18_a_loss_that_is_not_finite_on_one_process_is_left_out_on_all(road, handlers):
    sets = ("policies.non_finite=skip", "trainer.precision=64-true", "model.dropout=0")
    handlers["loss"] = broken_at(2, 5)
    assert road.train("alone", *sets).code == 0
    handlers["loss"] = broken_at(2, 5, on_rank=1)
    ended = road.train("shared", *sets, processes=2)
    assert ended.code == 0, ended
    assert "(rank 1) (2 of at most 10)" in ended.err
    alone, shared = road.weights("alone"), road.weights("shared")
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-9, atol=1e-12)


def test_a_gradient_that_is_not_finite_on_one_process_stops_all(road, handlers):
    handlers["loss"] = broken_gradient_at(2, on_rank=1)
    ended = road.train("cut", processes=2)
    assert ended.code == 70, ended
    assert (
        "step 2: the gradient of 'shared.weight' is not finite though the loss is (in 'group0', 'group1')" in ended.err
    )
    assert road.step("cut") == 2
    assert all(value.isfinite().all() for value in road.weights("cut").values())


@pytest.mark.parametrize(
    "hook", ["on_train_batch_start", "on_train_batch_end", "on_train_epoch_end", "on_validation_end"]
)
def test_a_callback_that_ends_one_process_ends_all_at_the_same_step(road, handlers, hook):
    def ask(trainer, module):
        if rank() == trainer.world_size - 1 and trainer.global_step >= 5:
            trainer.should_stop = True

    handlers[hook] = ask
    for folder, processes in (("alone", 1), ("shared", 2)):
        ended = road.train(folder, processes=processes)
        assert ended.code == 0, ended
    asked_in = {"on_train_batch_start": 6, "on_train_batch_end": 6}.get(hook, 8)
    assert road.step("alone") == road.step("shared") == asked_in


def test_a_callback_that_leaves_out_a_step_on_one_process_is_named(road, handlers):
    def object_to(trainer, module):
        if trainer.global_step == 2 and rank() == 0:
            module.skip_step()

    handlers["on_before_optimizer_step"] = object_to
    ended = road.train("cut", processes=2)
    assert ended.code == 70, ended
    assert "the processes disagree on the steps that were left out" in ended.err


def test_buffers_come_back_whether_changed_in_place_or_replaced():
    model = nn.BatchNorm1d(3)
    model.register_buffer("replaced", torch.ones(2))
    model.register_buffer("constant", torch.ones(2))
    keeper = BufferKeeper(model)
    for _ in range(2):
        keeper.keep()
        before = {name: value.clone() for name, value in model.named_buffers()}
        model(torch.randn(8, 3) * float("nan"))
        model.replaced = model.replaced + 1
        keeper.restore()
        assert not differences(before, dict(model.named_buffers()))
        model(torch.randn(8, 3))
        model.replaced = model.replaced * 2
