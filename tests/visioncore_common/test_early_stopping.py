from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.trainer.states import TrainerFn

from visioncore_common.callbacks.early_stopping import EarlyStopping
from visioncore_common.options.callback import EarlyStoppingOptions
from visioncore_engine.contracts import CallbackFacts
from visioncore_engine.errors import ConfigError

FACTS = CallbackFacts(Path(), "val/accuracy", "max", 100, 10)


def trainer_at(**scores):
    return SimpleNamespace(
        callback_metrics={name.replace("__", "/"): torch.tensor(value) for name, value in scores.items()},
        sanity_checking=False,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
        should_stop=False,
        global_step=7,
    )


def follow(callback, scores):
    """Number of validations after which training was stopped; None where it was not."""
    for number, score in enumerate(scores, start=1):
        trainer = trainer_at(val__accuracy=score)
        callback.on_validation_end(trainer, None)
        if trainer.should_stop:
            return number
    return None


@pytest.mark.parametrize(
    ("scores", "patience", "stops"),
    [
        ([0.1, 0.2, 0.3, 0.3, 0.3, 0.3], 2, 6),
        ([0.1, 0.2, 0.3, 0.3, 0.3, 0.4, 0.1], 2, None),
        ([0.5, 0.4], 0, 2),
        ([float("nan")] * 3, 2, 3),
    ],
)
def test_it_stops_after_the_patience_is_used_up(scores, patience, stops, caplog):
    assert follow(EarlyStopping(EarlyStoppingOptions(patience=patience), FACTS), scores) == stops
    assert ("stopped early at step 7: val/accuracy" in caplog.text) == (stops is not None)


def test_the_monitor_and_the_mode_are_the_runs_unless_written():
    lower = EarlyStopping(EarlyStoppingOptions(monitor="val/accuracy", mode="min", patience=1), FACTS)
    assert follow(lower, [0.5, 0.4, 0.3]) is None
    assert follow(EarlyStopping(EarlyStoppingOptions(patience=1), FACTS), [0.5, 0.4, 0.3]) == 3


def test_a_change_below_min_delta_is_no_improvement():
    assert follow(EarlyStopping(EarlyStoppingOptions(patience=1, min_delta=0.05), FACTS), [0.5, 0.52, 0.54]) == 3


def test_state_round_trips_as_plain_values():
    scores = [0.1, 0.3, 0.2, 0.2, 0.2]
    first = EarlyStopping(EarlyStoppingOptions(patience=2), FACTS)
    assert follow(first, scores[:3]) is None
    second = EarlyStopping(EarlyStoppingOptions(patience=2), FACTS)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert follow(second, scores[3:]) == 2


def test_t10_two_in_one_run_have_their_own_state():
    one = EarlyStopping(EarlyStoppingOptions(), FACTS)
    two = EarlyStopping(EarlyStoppingOptions(monitor="val/loss", mode="min"), FACTS)
    assert one.state_key != two.state_key


def test_sanity_checks_and_plain_validation_do_not_count():
    callback = EarlyStopping(EarlyStoppingOptions(patience=0), FACTS)
    for change in ({"sanity_checking": True}, {"state": SimpleNamespace(fn=TrainerFn.VALIDATING)}):
        trainer = trainer_at(val__accuracy=0.1)
        vars(trainer).update(change)
        for _ in range(3):
            callback.on_validation_end(trainer, None)
        assert not trainer.should_stop
    assert callback.state_dict() == {"best": None, "waited": 0}


def test_a_monitor_that_nothing_logs_is_named():
    callback = EarlyStopping(EarlyStoppingOptions(monitor="val/acuracy", mode="max"), FACTS)
    with pytest.raises(ConfigError, match=r"early_stopping\.monitor.*did you mean 'val/accuracy'"):
        callback.on_validation_end(trainer_at(val__accuracy=0.5), None)


@pytest.mark.parametrize("options", [{"monitor": "val/loss"}, {"mode": "max"}])
def test_a_monitor_comes_with_its_mode(options):
    with pytest.raises(ValueError, match="set together"):
        EarlyStoppingOptions(**options)


def test_t11_lightning_would_overwrite_an_attribute_named_log():
    assert not {"log", "log_dict"} & set(vars(EarlyStopping(EarlyStoppingOptions(), FACTS)))
