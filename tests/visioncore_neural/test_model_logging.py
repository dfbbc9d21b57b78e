"""Pictures while training goes on: what is copied, when, and what a failure does."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
from neural_models import choice, encoder, recording
from pytorch_lightning.trainer.states import TrainerFn
from torch import nn

from visioncore_engine.contracts import CallbackFacts
from visioncore_neural.callbacks import model_logging
from visioncore_neural.callbacks.model_logging import ModelLogging
from visioncore_neural.options.callback import ModelLoggingOptions


@pytest.fixture
def model():
    core = (choice("stage", "learnable_temporal", num_channels=2, kernel_size=3),)
    return Module(encoder([recording("m1_a"), recording("m1_b")], core=core))


class Module(nn.Module):
    """The module that trains: keeps what is shown."""

    total_steps = 100

    def __init__(self, model):
        super().__init__()
        self.model, self.shown = model, []

    def log_pictures(self, pictures, step):
        self.shown.append((step, {name: path.name for name, path in pictures.items()}))

    def nothing(self, *arguments):
        raise AssertionError("it only shows pictures")

    plan_end = recent_loss = roll_back = skip_step = track = nothing


def callback_in(folder, **options):
    return ModelLogging(ModelLoggingOptions(**options), CallbackFacts(folder, "val/loss", "min", 100, 10))


def validate(callback, model, step, **more):
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    trainer = SimpleNamespace(global_step=step, is_global_zero=True, sanity_checking=False, state=state, **more)
    callback.on_validation_end(trainer, model)


def test_every_second_validation_has_a_picture_of_kernels_and_one_of_masks(tmp_path, model):
    callback = callback_in(tmp_path, every=2)
    for step in (10, 20, 30, 40):
        validate(callback, model, step)
    callback.on_fit_end(None, model)
    found = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert found == [f"{name}-000000{step}.png" for name in ("kernels", "masks") for step in (20, 40)]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "pictures").iterdir())
    assert callback.state_dict() == {"num_validations": 4}
    for step in (20, 40):
        for name in ("kernels", "masks"):
            assert (step, {f"pictures/{name}": f"{name}-000000{step}.png"}) in model.shown


def test_a_picture_is_shown_as_soon_as_it_is_drawn(tmp_path, model):
    callback = callback_in(tmp_path, every=1)
    callback.on_train_batch_end(None, model, None, None, 0)
    validate(callback, model, 3)
    for _, _, drawn in callback._drawn:
        drawn.result(60)
    callback.on_train_batch_end(None, model, None, None, 0)
    files = {"kernels": "kernels-00000003.png", "masks": "masks-00000003.png"}
    assert sorted(model.shown, key=str) == [(3, {f"pictures/{name}": file}) for name, file in files.items()]
    callback.on_fit_end(None, model)
    assert len(model.shown) == 2


def test_b9_what_is_drawn_is_a_copy_and_training_does_not_wait_for_it(tmp_path, model, monkeypatch):
    """The thread is held until the weights have changed: it still has those of the moment."""
    from threading import Event

    go, seen = Event(), {}

    def draw(path, rows, *, signed):
        assert go.wait(30)
        seen[path.name] = {name: images.copy() for name, images in rows}

    monkeypatch.setattr(model_logging, "_draw", draw)
    callback = callback_in(tmp_path, every=1, num_units=2)
    expected = model_logging._snapshot(model, 2)
    validate(callback, model, 7)  # returns although nothing is drawn
    with torch.no_grad():
        for value in model.parameters():
            value.add_(1.0)
    go.set()
    callback.on_fit_end(None, model)
    for name in ("kernels", "masks"):
        for part, images in expected[name]:
            assert (seen[f"{name}-00000007.png"][part] == images).all()
    assert [name for name, _ in expected["masks"]] == ["m1_a", "m1_b"]
    assert all(len(images) == 2 for _, images in expected["masks"])


def test_b9_a_failure_is_said_and_counted_and_ends_nothing(tmp_path, model, caplog):
    caplog.set_level(logging.WARNING)
    (tmp_path / "pictures").write_text("a file where the folder should be")
    callback = callback_in(tmp_path, every=1)
    validate(callback, model, 1)
    validate(callback, model, 2)
    callback.on_fit_end(None, model)
    assert callback.num_failed == 4
    assert "a picture was not drawn (4 so far): FileExistsError" in caplog.text


def test_only_the_first_process_draws_and_only_in_training(tmp_path, model):
    callback = callback_in(tmp_path, every=1)
    state = SimpleNamespace(fn=TrainerFn.VALIDATING)
    for change in ({"is_global_zero": False}, {"sanity_checking": True}, {"state": state}):
        trainer = SimpleNamespace(
            global_step=1, is_global_zero=True, sanity_checking=False, state=SimpleNamespace(fn=TrainerFn.FITTING)
        )
        vars(trainer).update(change)
        callback.on_validation_end(trainer, model)
    callback.on_fit_end(None, model)
    assert not (tmp_path / "pictures").exists()
