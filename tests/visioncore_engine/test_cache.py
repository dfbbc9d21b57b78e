"""Evaluators are not run twice for the same content, and never spared for another."""

from __future__ import annotations

import json

import pytest
import toy_parts
import toy_plugin

from visioncore_engine import evaluate, resolve, train
from visioncore_engine.errors import DataError, Problem

RUN = {
    "seed": 5,
    "data": {"name": "toy", "num_groups": 2},
    "sampler": {"name": "toy_random", "batch_size": 13, "batches_per_epoch": 2},
    "model": {"name": "toy_linear"},
    "loss": {"name": "toy_squared"},
    "metrics": ["toy_error"],
    "optimizer": {"name": "toy_adamw", "lr": 0.01},
    "loggers": [],
    "evaluate": ["toy_table"],
    "checkpoint": {"monitor": "val/toy_error", "mode": "max"},  # the best is not the last
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "toy"
    resolved = resolve({**RUN, "run": {"name": "toy", "dir": str(folder)}}, plugin_files=[toy_plugin.__file__])
    train(resolved, quiet=True)
    return folder, resolved.registry


@pytest.fixture
def evaluated(trained, monkeypatch):
    """Evaluates the run, and says how often its evaluator worked."""
    folder, registry = trained
    calls = []
    whole = toy_parts.ToyTable.evaluate
    monkeypatch.setattr(
        toy_parts.ToyTable, "evaluate", lambda self, evaluation: calls.append(1) or whole(self, evaluation)
    )

    def evaluated(**options):
        before = len(calls)
        found = evaluate(folder, registry=registry, **options)
        return found, len(calls) - before

    for path in folder.glob("cache/*"):
        path.unlink()
    return evaluated


def tables(found):
    return {
        split: {name: (table.columns, table.rows) for name, table in results["toy_table"].tables.items()}
        for split, results in found.items()
    }


def test_the_same_content_is_evaluated_once_and_gives_the_same(evaluated, trained):
    first, num = evaluated()
    assert num == 1
    written = {path.name: path.read_text() for path in trained[0].glob("*.csv")}
    again, num = evaluated()
    assert num == 0
    assert repr(tables(again)) == repr(tables(first))
    assert {path.name: path.read_text() for path in trained[0].glob("*.csv")} == written
    _, num = evaluated(fresh=True)
    assert num == 1


@pytest.mark.parametrize(
    "options",
    [
        {"splits": ("test",)},
        {"checkpoint": "last"},
        {"sets": ["loader.evaluation_batch_size=7"]},
    ],
    ids=["split", "checkpoint", "loader"],
)
def test_a32_another_split_checkpoint_or_setting_is_never_answered_from_the_cache(evaluated, options):
    evaluated()
    assert evaluated(**options)[1] == 1


def test_a32_other_code_or_data_is_never_answered_from_the_cache(evaluated, monkeypatch):
    evaluated()
    from visioncore_engine import cache

    whole = cache.contents
    with monkeypatch.context() as changed:
        changed.setattr(cache, "contents", lambda plugin: type(whole(plugin))(hash="other"))
        assert evaluated()[1] == 1
    with monkeypatch.context() as changed:
        other = toy_parts.ToyData.fingerprints
        changed.setattr(toy_parts.ToyData, "fingerprints", lambda self: dict.fromkeys(other(self), "x"))
        assert evaluated(sets=["policies.data_changes=warn"])[1] == 1


def test_a_damaged_or_foreign_file_is_made_anew(evaluated, trained):
    evaluated()
    (path,) = trained[0].glob("cache/*.json")
    path.write_text(path.read_text()[:-20])
    assert evaluated()[1] == 1
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "key": "other"}))
    assert evaluated()[1] == 1


def test_a_file_beside_the_data_whose_content_changed_is_never_answered_from_the_cache(evaluated, monkeypatch):
    monkeypatch.setattr(toy_parts.ToyTable, "fingerprint", "one", raising=False)
    assert [evaluated()[1], evaluated()[1]] == [1, 0]
    monkeypatch.setattr(toy_parts.ToyTable, "fingerprint", "other")
    assert evaluated()[1] == 1


def test_what_an_evaluator_lacks_is_told_before_training(tmp_path, monkeypatch):
    def lacks(self, options, facts):
        raise DataError(Problem(where="units.csv", what="cannot be read"))

    monkeypatch.setattr(toy_parts.ToyTable, "__init__", lacks)
    run = {**RUN, "run": {"name": "toy", "dir": str(tmp_path / "toy")}}
    with pytest.raises(DataError, match=r"units\.csv.*cannot be read"):
        train(resolve(run, plugin_files=[toy_plugin.__file__]), quiet=True)
    assert not (tmp_path / "toy" / "checkpoints").exists()
