"""Cases of built-in samplers, schedulers and what else learns, where the defaults do not say enough."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np

from visioncore_engine.contracts import RegularizerFacts
from visioncore_engine.testing import Case, Given
from visioncore_engine.testing.scenes.callback import CallbackScene
from visioncore_engine.testing.scenes.regularizer import RegularizerScene, weights
from visioncore_engine.testing.scenes.sampler import SamplerScene
from visioncore_engine.testing.toys import TinyModel


def by_contrast(options, index):
    """Half by score, half alike, each times the valid frames."""
    return np.concatenate([(0.5 * source.score("contrast") + 0.5) * source.weights() for source in index.sources])


class _Curriculum:
    """A sampler that says where its curriculum stands."""

    def curriculum(self, position):
        return {"uniform": position.step / 4}


class WithCurriculum(CallbackScene):
    """A run whose sampler has a curriculum."""

    @property
    def facts(self):
        return replace(super().facts, sampler=_Curriculum())


class WithMasks(CallbackScene):
    """A run whose model has something to draw."""

    def train(self, callback):
        with mock.patch.object(TinyModel, "mask", lambda model: model.core.weight[:, None], create=True):
            return super().train(callback)


class WithoutSeconds(CallbackScene):
    """What a run leaves, without how long it took: no two runs take the same."""

    def probe(self, built):
        return {**super().probe(built), "state": {}}


def in_three_dimensions():
    """Weights of which any two axes have a second difference."""
    parameters = {name: weights(name)["core.1.weight"] for name in weights()}
    return RegularizerScene(RegularizerFacts(parameters))


MEANS = "every mean training response is 1 in the scene"
RESPONSES = {"rate_floor": Given(2.0, unit_weights="inverse_rate")}


CASES = (
    *(
        Case("loss", name, variants=RESPONSES, inert={"unit_weights": MEANS})
        for name in ("poisson", "bernoulli", "negative_binomial")
    ),
    Case(
        "loss",
        "gaussian",
        variants={"rate_floor": Given(2.0, variance="mean")},
        inert={"unit_weights": MEANS, "variance": MEANS},
    ),
    Case(
        "sampler",
        "contrast_weighted",
        options={"warmup": 0.5},
        scene=lambda _case: SamplerScene(frequencies=by_contrast),
    ),
    Case("regularizer", "group_lasso", options={"groups": "filter"}),
    Case("regularizer", "laplacian", options={"axes": [-2, -1]}, scene=lambda _case: in_three_dimensions()),
    Case("regularizer", "clamp", options={"min": -0.5, "max": 0.5}),
    Case("regularizer", "proximal_l1", inert={"rates": "no optimizer has moved the weights of the scene"}),
    Case("scheduler", "exponential", options={"gamma": 0.9}),
    Case("scheduler", "step", options={"every": 2}),
    Case("scheduler", "warmup_cosine", options={"warmup_steps": 5}),
    Case("scheduler", "warmup_cosine_restarts", options={"warmup_steps": 5}),
    Case("scheduler", "plateau", options={"patience": 1}),
    Case(
        "callback",
        "early_stopping",
        options={"monitor": "val/tiny", "mode": "max", "patience": 0},  # it gets smaller: stopped at the second
        variants={"mode": "min", "patience": 1, "min_delta": Given(10.0, mode="min"), "monitor": "val/loss"},
        expected={"training_is_left_alone": "it is there to end training early, and ends this run"},
    ),
    Case(
        "callback",
        "model_logging",
        options={"every": 3, "num_units": 2},
        scene=lambda _case: WithMasks(),
        inert={"wait_minutes": "nothing is evaluated unless `evaluate_every` says so"},
    ),
    Case(
        "callback",
        "curriculum_log",
        scene=lambda _case: WithCurriculum(),
        inert={"every": "values that are tracked go to loggers, and the scene has none"},
    ),
    Case("callback", "epoch_summary", variants={"scores": ["val/tiny"]}),
    Case(
        "callback",
        "gradient_norms",
        inert={
            "depth": "values that are tracked go to loggers, and the scene has none",
            "every": "values that are tracked go to loggers, and the scene has none",
        },
    ),
    Case(
        "callback",
        "time_budget",
        options={"minutes": 600.0},
        variants={"minutes": 1e-6},
        apart={"minutes": "that ends this run"},
        inert={"shorten": "the whole run fits into the budget"},
        scene=lambda _case: WithoutSeconds(),
        expected={
            "only_the_first_process_writes": "the seconds that a run took are its state, and no two runs take the same",
            "resume_leaves_no_trace": "the seconds that a run took are its state, and no two runs take the same",
        },
    ),
    Case("callback", "heartbeat", variants={"epochs": Given(False, every=4)}),
    Case(
        "callback",
        "loss_spike",
        options={"window": 8, "threshold": 0.01},
        variants={"window": 9, "threshold": 50.0, "action": "skip", "limit": Given(0, action="skip")},
        apart={
            "action": "that leaves steps out, which is another training",
            "limit": "that ends this run",
        },
    ),
    Case(
        "logger",
        "wandb",
        options={"mode": "disabled"},
        variants={"mode": "offline"},
        apart={"mode": "wandb holds the id of an offline run until the process ends: no second one"},
        inert={
            "project": "stands in the binary file of a run that is not disabled",
            "entity": "stands in the same binary file",
            "group": "stands in the same binary file",
            "tags": "stands in the same binary file",
            "timeout": "how long a server may take, and there is none",
        },
    ),
    Case("launcher", "local", inert={"grace": "how long the other processes get where one fails, and none does"}),
    Case(
        "launcher",
        "slurm",
        variants={"time": "1-12:00:00", "memory": "8G", "extra": ["--exclusive"]},
        apart={"submit": "there is no queue that takes the job"},
    ),
    Case("launcher", "torchrun", inert={"timeout": "how long to wait for torchrun's store, and there is none"}),
    Case("optimizer", "sgd", variants={"nesterov": Given(True, momentum=0.5)}),
)
