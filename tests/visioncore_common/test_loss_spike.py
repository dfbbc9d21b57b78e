from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import toy_plugin
import unruly_plugin
from engine_road import EngineRoad, differences
from hypothesis import given
from hypothesis import strategies as st
from unruly_parts import rank

from visioncore_common.callbacks.loss_spike import LossSpike
from visioncore_common.options.callback import LossSpikeOptions
from visioncore_engine.contracts import CallbackFacts
from visioncore_engine.errors import RunError


class Module:
    """What a callback may ask of the module that trains."""

    def __init__(self, *, has_checkpoint=False):
        self.loss, self.asked, self.has_checkpoint = None, [], has_checkpoint

    def recent_loss(self):
        return self.loss

    def track(self, name, value):
        raise AssertionError("nothing is tracked")

    def skip_step(self):
        self.asked.append("skip")

    def roll_back(self):
        if self.has_checkpoint:
            self.asked.append("roll back")
        return self.has_checkpoint

    total_steps = 100

    def log_pictures(self, pictures, step):
        raise AssertionError("there are none")

    def plan_end(self, total_steps):
        raise AssertionError("the end stays where it is")


def callback_of(folder=Path("nowhere"), **options):
    return LossSpike(LossSpikeOptions(**options), CallbackFacts(folder, "val/loss", "min", 100, 10))


def feed(callback, losses, module=None):
    """Numbers of the losses at which the callback asked for something."""
    module, asked = module or Module(), []
    for step, loss in enumerate(losses):
        module.loss, before = loss, len(module.asked)
        trainer = SimpleNamespace(global_step=step, is_global_zero=True)
        callback.on_before_optimizer_step(trainer, module, None)
        if len(module.asked) > before:
            asked.append(step)
    return asked


@given(st.lists(st.floats(0.1, 10), min_size=20, max_size=60), st.floats(0.5, 5))
def test_a_spike_is_what_numpy_says_it_is(losses, threshold):
    window, kept, expected = 8, [], []
    for step, loss in enumerate(losses):
        before = np.array(kept[-window:])
        spread = max(before.std(), 1e-3 * before.mean()) if len(before) else 1.0
        # at the edge two ways of rounding may differ
        if len(before) == window and abs(loss - before.mean() - threshold * spread) < 1e-9:
            return
        if len(before) == window and loss > before.mean() + threshold * spread:
            expected.append(step)
        else:
            kept.append(loss)
    callback = callback_of(window=window, threshold=threshold, action="skip", limit=1000)
    assert feed(callback, losses) == expected


def test_nothing_is_a_spike_before_the_window_is_full_or_where_losses_hardly_differ():
    assert feed(callback_of(window=8, action="skip"), [1.0] * 7 + [1e9]) == []
    assert feed(callback_of(window=8, action="skip"), [1.0] * 20 + [1.005, 1.0]) == []
    assert feed(callback_of(window=8, action="skip"), [0.0] * 20) == []


def test_a_warning_asks_for_nothing_and_a_new_level_is_learned(caplog):
    losses = [1.0, 1.1] * 5 + [5.0, 5.1] * 10
    assert feed(callback_of(window=8, action="warn", limit=0), losses) == []
    assert 1 <= len(caplog.records) < 8
    assert "step 10: the loss 5 is" in caplog.text


def test_more_than_the_limit_ends_the_run():
    callback, module = callback_of(window=8, action="skip", limit=3), Module()
    losses = [1.0, 1.1] * 5 + [9.0] * 4
    with pytest.raises(RunError, match=r"step 13: .*3 spikes were left out before") as ended:
        feed(callback, losses, module)
    assert ended.value.exit_code == 70
    assert module.asked == ["skip"] * 3


def test_without_a_checkpoint_rolling_back_is_leaving_out():
    module = Module()
    feed(callback_of(window=8, action="rollback"), [1.0, 1.1] * 5 + [9.0], module)
    assert module.asked == ["skip"]
    module = Module(has_checkpoint=True)
    callback = callback_of(window=8, action="rollback")
    feed(callback, [1.0, 1.1] * 5 + [9.0], module)
    assert module.asked == ["roll back"]
    assert callback.state_dict() == {"losses": [], "num_spikes": 1}  # older weights have other losses


def test_l4_a_state_goes_on_where_it_was():
    losses = [1.0, 1.1] * 6 + [9.0, 1.0, 9.0] + [1.0] * 5
    whole, first, second = (callback_of(window=8, action="skip", limit=9) for _ in range(3))
    feed(whole, losses)
    feed(first, losses[:9])
    second.load_state_dict(first.state_dict())
    feed(second, losses[9:])
    assert second.state_dict() == whole.state_dict()


RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 6}
model: toy_linear
loss: unruly
optimizer: {name: toy_adamw, lr: 0.01}
callbacks: [unruly, {name: loss_spike, window: 8, threshold: 20, action: rollback}]
loggers: []
trainer: {max_epochs: 6, precision: 64-true, accelerator: cpu}
"""


def spiking_at(*steps, on_rank=None):
    def loss(sums, group, step):
        if step in steps and on_rank in (None, rank()):
            return {name: total * 1e6 for name, total in sums.items()}
        return None

    return loss


def test_an_injected_spike_on_one_process_takes_both_back_to_the_same_step(tmp_path, handlers):
    road = EngineRoad(tmp_path, RUN, (toy_plugin.__file__, unruly_plugin.__file__))
    handlers["loss"] = spiking_at(15)

    def end(trainer, module):
        if trainer.global_step == 16:
            saved = road.newest("alone")
            assert saved["global_step"] == 12
            assert not differences(dict(module.state_dict()), dict(saved["state_dict"]))

    handlers["on_train_batch_end"] = end
    ended = road.train("alone")
    assert ended.code == 0, ended
    assert road.newest("alone")["callbacks"]["LossSpike"]["num_spikes"] == 1
    del handlers["on_train_batch_end"]
    handlers["loss"] = spiking_at(15, on_rank=1)
    ended = road.train("shared", processes=2)
    assert ended.code == 0, ended
    assert road.step("shared") == road.step("alone") == 36
    for name, value in road.weights("alone").items():
        np.testing.assert_allclose(road.weights("shared")[name].numpy(), value.numpy(), rtol=1e-9, atol=1e-12)


def test_the_fourth_spike_ends_the_run(tmp_path, handlers):
    road = EngineRoad(
        tmp_path, RUN.replace("action: rollback", "action: skip"), (toy_plugin.__file__, unruly_plugin.__file__)
    )
    handlers["loss"] = spiking_at(10, 15, 20, 25, on_rank=1)
    ended = road.train("run", processes=2)
    assert ended.code == 70, ended
    assert "step 25: the loss" in ended.err
    assert "3 spikes were left out before" in ended.err
