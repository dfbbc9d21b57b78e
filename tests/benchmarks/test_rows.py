"""Every row runs, at sizes that say nothing about speed; what it measures is what it says."""

from __future__ import annotations

import math
import shlex

import checkpoints
import data_path
import ddp
import device
import first_step
import memory
import metric
import overhead
import penalties
import pytest
import sampling
import time_to_quality
import training

SMALL = overhead.Case(width=4, batch=4, steps=12, skip=2)
DATA = data_path.Sizes(
    sessions=2, frames=1500, size=5, num_units=3, lags=4, batch=8, length=4, batches=1, rounds=1, fixes_allocator=False
)
ROWS = {
    "checkpoints": lambda: checkpoints.measure(checkpoints.Sizes(tensors=2, values=1000, rounds=1)),
    "data_path": lambda: data_path.measure(DATA),
    "metric": lambda: metric.measure(metric.Sizes(num=512, units=3, batch=64, rounds=1)),
    "penalties": lambda: penalties.measure(penalties.Sizes(readouts=2, units=3, channels=4, rounds=1, steps=1)),
    "sampling": lambda: sampling.measure(sampling.Sizes(sessions=2, batch=8, few=400, many=800, rounds=1, batches=2)),
}


def check(figures):
    assert figures
    assert len({figure.name for figure in figures}) == len(figures)
    for figure in figures:
        assert figure.value is None or math.isfinite(figure.value), figure
        assert figure.value is not None or figure.note, figure


@pytest.mark.parametrize("row", ROWS)
def test_a_row_runs(row):
    check(ROWS[row]())


def test_the_overhead_row_runs():
    check(overhead.measure(overhead.Sizes(small=SMALL, large=SMALL, rounds=1)))


def test_the_training_row_runs():
    check(
        training.measure(
            training.Sizes(
                sessions=1, pixels=12, batch=16, length=8, steps=4, long_steps=4, rounds=1, temporal=2, channels=(2,)
            )
        )
    )


@pytest.mark.slow
def test_the_row_of_processes_runs():  # it raises where the gradients of its methods differ
    check(ddp.measure(ddp.Sizes(readouts=3, width=4, inputs=5, units=2, rows=2, steps=2, rounds=1)))


@pytest.mark.slow
def test_the_memory_row_runs():
    check(memory.measure(memory.Sizes(sessions=2, frames=3000, pixels=20, units=2, lags=5)))


@pytest.mark.slow
def test_the_rows_of_a_gpu_run_on_the_cpu():
    sizes = device.Sizes(sessions=1, pixels=12, batch=32, length=16, channels=(2,), skip=1, steps=3)
    share, wait = device.measure(sizes)
    assert share.value > 0
    assert wait.value >= 0


@pytest.mark.slow
def test_the_row_of_the_first_step_runs():
    check(first_step.measure(first_step.Sizes(sessions=2, frames=3000, pixels=20, units=2, rounds=1)))


@pytest.mark.slow
def test_the_row_by_hand_runs(capsys):
    words = shlex.split("--duration 100 --max-steps 14 --seeds 1 --rates 0.01 --no-write --target -9")
    assert time_to_quality.main(words) == 0
    assert "not reached" not in capsys.readouterr().out
    words[-1] = "9"
    assert time_to_quality.main(words) == 0
    assert "not reached" in capsys.readouterr().out


def test_a_read_of_everything_touches_every_frame(tmp_path, monkeypatch):
    import numpy as np

    from visioncore_neural.data.source import SessionSource

    sizes = memory.Sizes(sessions=1, frames=2000, pixels=12, units=1, lags=9, batch=32)
    memory.write_sessions(tmp_path, sizes)
    seen = np.zeros(sizes.frames, dtype=bool)
    stored = SessionSource.stored

    def watched(self, items):
        for last in self.frames(items)[:, 0]:
            seen[last - sizes.lags + 1 : last + 1] = True
        return stored(self, items)

    monkeypatch.setattr(SessionSource, "stored", watched)
    memory.read_everything(tmp_path, sizes)
    assert seen[: int(0.9 * sizes.frames)].mean() > 0.95  # the last tenth validates


def test_state_counts_what_a_sampler_keeps_itself():
    index, _ = sampling.index_of(1000, 2)
    sampler = sampling.contrast_weighted(index, 8)
    assert sampling.state_bytes(sampler, index) == pytest.approx(2 * 2 * 8 * 501, abs=400)
