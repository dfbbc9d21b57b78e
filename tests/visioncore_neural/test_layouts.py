"""What `visioncore doctor --windows` measures: frames and valid predictions as counted by hand, equal predictions."""

from __future__ import annotations

import json

import pytest

from visioncore_engine import layouts
from visioncore_engine.cli import main
from visioncore_engine.errors import PluginError
from visioncore_engine.layouts import compare_lengths

RUN = {
    "seed": 1,
    "data": {"name": "synthetic_v1", "num_sessions": 2, "num_units": 3, "size": 12, "duration": 100, "dt": 0.05},
    "sampler": {"name": "shuffled", "batch_size": 32},
    "model": {
        "name": "encoder",
        "core": [{"name": "conv3d", "channels": [4], "kernel_size": [4, 3, 3], "norm": "none"}],
        "readout": "gaussian",
    },
    "loss": "poisson",
    "metrics": ["bits_per_spike"],
    "optimizer": {"name": "adamw", "lr": 0.01},
    "trainer": {"max_steps": 4},
}


def test_the_two_layouts_predict_the_same_and_are_measured():
    one, eight = compare_lengths({"paths": RUN}, lengths=(1, 8), num_predictions=64)
    assert (one.length, eight.length) == (1, 8)
    assert one.frames_read == 4.0  # three of history and its own
    assert 11 / 8 <= eight.frames_read <= 11 / (8 * 0.5)
    assert one.valid_share == 1.0
    assert 0.5 < eight.valid_share <= 1.0
    assert one.per_second > 0 < eight.per_second
    assert eight.num_compared > 3 * 32
    assert eight.difference < 1e-12


def test_a_model_whose_predictions_depend_on_the_window_is_seen(monkeypatch):
    real = layouts.predict

    def leaning(model, batch):
        lean = 1e-4 * batch.groups[0].inputs.shape[2]
        return [{task: value + lean for task, value in output.items()} for output in real(model, batch)]

    monkeypatch.setattr(layouts, "predict", leaning)
    rows = compare_lengths({"paths": RUN}, lengths=(1, 8), num_predictions=32)
    assert rows[0].difference == 0.0
    assert 1e-6 < rows[1].difference < 1.0


def test_a_length_that_is_refused_is_a_row_and_all_of_them_an_error():
    rows = compare_lengths({"paths": RUN}, lengths=(0, 4), num_predictions=32)
    assert "data.window.length" in rows[0].refused
    assert rows[1].num_compared > 0
    with pytest.raises(PluginError, match="nonsense"):
        compare_lengths({"paths": {**RUN, "model": "nonsense"}}, lengths=(1, 2))


def test_the_command_prints_a_table_or_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(json.dumps(RUN))
    assert main(["doctor", "--windows", "run.yaml", "--lengths", "1", "4", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["length"] for row in rows] == [1, 4]
    assert rows[1]["difference"] < 1e-12
    assert main(["doctor", "--windows", "run.yaml", "--lengths", "1", "4"]) == 0
    text = capsys.readouterr().out
    assert "predictions/s" in text
    assert "1.00" in text
    assert main(["doctor", "--windows", "run.yaml", "--lengths", "0"]) == 2
