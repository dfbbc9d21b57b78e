"""Killed and resumed with every built-in sampler, on simulated recordings with an encoder: nothing shows."""

from __future__ import annotations

import fault_plugin
import pytest
from engine_road import EngineRoad, differences
from fault_parts import arm, die

RUN = """
seed: 3
data: {name: synthetic_v1, num_sessions: 3, num_units: 3, size: 12, duration: 50, dt: 0.05, trial: 5, num_repeats: 2,
       window: {length: 10}, max_frames: 300}
sampler: {name: shuffled, batch_size: 160, batches_per_epoch: 4}
model:
  name: encoder
  core:
    - {name: learnable_temporal, kernel_size: 3, num_channels: 2}
    - {name: conv3d, channels: [3], kernel_size: [1, 3, 3]}
  modulator: film
  readout: gaussian
loss: {name: poisson, weighting: sessions}
metrics: [bits_per_spike]
regularizers: {sparse: {name: l1, strength: 1.0e-4, match: "readouts.*.features"}}
optimizer: {name: adamw, lr: 0.01, clip: 1.0}
scheduler: {name: warmup_cosine, warmup_steps: 3}
callbacks: [toy_witness, toy_faults, {name: early_stopping, patience: 5}]
checkpoint: {monitor: val/bits_per_spike, mode: max, every_n_steps: 3}
trainer: {max_epochs: 3, log_every_n_steps: 1, accelerator: cpu}
"""
SAMPLERS = ["shuffled", "sequential", "by_session", "balanced", "contrast_weighted"]


@pytest.fixture
def road(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return EngineRoad(tmp_path, RUN, [fault_plugin.__file__])


def chosen(sampler):
    """What chooses a sampler; that of contrast fades while it runs."""
    fading = ", warmup: {schedule: ramp, steps: 8}" if sampler == "contrast_weighted" else ""
    return f"sampler={{name: {sampler}, batch_size: 160, batches_per_epoch: 4{fading}}}"


@pytest.mark.parametrize(("sampler", "prefetch"), [("shuffled", 0), *((sampler, 2) for sampler in SAMPLERS)])
def test_l4_killed_with_every_sampler(road, moments, repeats, sampler, prefetch):
    sets = (chosen(sampler), f"loader.prefetch={prefetch}")
    whole = road.train("whole", *sets)
    assert whole.code == 0, whole
    for step in moments.sample(range(2, 12), 2 * repeats):
        cut = road.train(f"cut{step}", *sets, before=lambda step=step: arm("on_train_batch_end", die, step=step))
        assert cut.code == -9, cut
        again = road.train(f"cut{step}", *sets, resume=True)
        assert again.code == 0, again
        found = differences(road.state("whole"), road.state(f"cut{step}"))
        assert not found, f"killed in step {step}: {found[:6]}"
        for name in ("metrics.csv", "metrics.jsonl"):
            files = [(road.home / folder / name).read_bytes() for folder in ("whole", f"cut{step}")]
            assert files[0] == files[1], f"{name}, killed in step {step}"


@pytest.mark.parametrize("sampler", [sampler for sampler in SAMPLERS if sampler != "sequential"])
def test_l4_killed_on_two_processes_with_every_sampler(road, sampler):
    sets = (chosen(sampler),)
    whole = road.train("whole", *sets, processes=2)
    assert whole.code == 0, whole
    cut = road.train("cut", *sets, processes=2, before=lambda: arm("on_train_batch_end", die, step=7))
    assert cut.code == 70, cut
    again = road.train("cut", *sets, processes=2, resume=True)
    assert again.code == 0, again
    assert not differences(road.state("whole"), road.state("cut"))
    assert "rounding" not in again.err
