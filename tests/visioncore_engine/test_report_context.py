"""What a section may ask of the context: the model and the data of a run, opened once."""

from __future__ import annotations

import pytest
import torch
import toy_plugin

from visioncore_engine import resolve, train
from visioncore_engine.errors import CheckpointError, DataError, UserError
from visioncore_engine.registry import Registry
from visioncore_engine.report import ReportContext, write

RUN = {
    "seed": 5,
    "data": {"name": "toy", "num_groups": 2},
    "sampler": {"name": "toy_random", "batch_size": 24, "batches_per_epoch": 3},
    "model": "toy_linear",
    "loss": "toy_squared",
    "metrics": ["toy_error"],
    "optimizer": {"name": "toy_adamw", "lr": 0.01},
    "evaluate": ["toy_table"],
    "loggers": ["toy_memory"],
    "checkpoint": {"monitor": "val/toy_error"},
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
}


@pytest.fixture(scope="module")
def registry():
    return resolve(RUN, plugin_files=[toy_plugin.__file__]).registry


@pytest.fixture
def run_dir(tmp_path, registry):
    folder = tmp_path / "toy"
    train(resolve({**RUN, "run": {"dir": str(folder)}}, registry=registry), quiet=True)
    return folder


def test_model_and_data_of_a_split_are_those_that_were_scored(run_dir, registry):
    context = ReportContext(run_dir, registry)
    evaluation = context.evaluation("validation")
    errors = []
    for batch, (output,) in evaluation.batches():
        (group,) = batch.groups
        error = torch.where(group.mask, (output["y"] - group.targets["y"]).square(), 0.0)
        errors.append(error.double().sum(0) / group.mask.sum(0))
        assert not torch.is_inference_mode_enabled()  # a section may differentiate inside the loop
    assert torch.cat(errors).nanmean().item() == pytest.approx(context.scores["validation"]["toy_error"], rel=1e-6)
    assert [row["split"] for row in context.tables["toy"]] == ["validation"] * 2
    assert set(context.model.groups) == {group.name for group in evaluation.dataset.groups}
    assert evaluation.split == "validation"


def test_sections_share_one_model_and_one_dataset(run_dir, registry):
    context = ReportContext(run_dir, registry)
    one, other = context.evaluation("validation"), context.evaluation("test")
    assert one.model is other.model
    assert one.dataset is other.dataset


def test_the_last_checkpoint_stands_in_for_the_best(run_dir, registry):
    (run_dir / "checkpoints" / "best.ckpt").unlink()
    assert ReportContext(run_dir, registry).model is not None
    for path in (run_dir / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        _ = ReportContext(run_dir, registry).model


def test_data_that_changed_are_refused_by_name(run_dir, registry):
    path = run_dir / "run.yaml"
    path.write_text(path.read_text().replace("num_columns: 4", "num_columns: 3"))
    with pytest.raises(CheckpointError, match=r"group0.*3 cells here, 4 in the checkpoint"):
        ReportContext(run_dir, registry).evaluation()


def test_data_of_other_content_are_told_on_the_page(run_dir, registry):
    path = run_dir / "run.yaml"
    path.write_text(path.read_text().replace("seed: 5", "seed: 6"))
    context = ReportContext(run_dir, registry)
    context.evaluation()
    assert context.problems == ["The data are no longer those that the model was trained on: group0, group1."]


def test_a_split_without_windows_is_the_users_mistake(run_dir, registry, monkeypatch):
    context = ReportContext(run_dir, registry)
    evaluation = context.evaluation()
    monkeypatch.setattr(type(evaluation.dataset), "sources", lambda self, split, history: [])
    with pytest.raises(DataError, match="no windows"):
        context.evaluation("test")


def test_a_run_that_no_longer_resolves_still_has_a_page(run_dir):
    """Without its plugin the model cannot be built; everything that the files tell is on the page."""
    context = ReportContext(run_dir)
    with pytest.raises(UserError, match="toy"):
        _ = context.resolved
    assert isinstance(context.registry, Registry)
    text = write(run_dir).read_text()
    assert "toy_error" in text
