"""Cases of built-in losses, metrics and evaluators."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import torch
from conformance_datasets import SYNTHETIC, sessions

from visioncore_engine.contracts import EvaluatorFacts, MetricFacts, ModelFacts
from visioncore_engine.testing import Case
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.scenes.dataset import DatasetScene
from visioncore_engine.testing.scenes.evaluator import EvaluatorScene
from visioncore_engine.testing.scenes.flow import FAMILIES, TASK
from visioncore_engine.testing.scenes.metric import MetricScene
from visioncore_engine.testing.scenes.model import ModelScene

__all__ = ["CASES"]


def two_tasks(case: Case) -> MetricScene:
    """Groups with two tasks of classes, so that one has to be chosen."""
    groups = FAMILIES["classes"]()
    both = [{TASK: spec.targets[TASK], "other": spec.targets[TASK]} for spec in groups]
    specs = (dataclasses.replace(spec, targets=targets) for spec, targets in zip(groups, both, strict=True))
    return MetricScene(MetricFacts(tuple(specs)))


def behaving_scene(case: Case) -> EvaluatorScene:
    """Recordings with two side inputs, and a small encoder that needs both."""
    options = {"root": str(sessions(1)), "side": ["behavior", "eyepos"], "window": {"length": 5}}
    dataset = Case("dataset", "sessions", options=options).build(DatasetScene())
    core = [{"name": "conv3d", "channels": [2], "kernel_size": [3, 3, 3]}]
    model = {"core": core, "modulator": {"name": "concat", "inputs": ["behavior", "eyepos"]}}
    encoder = Case("model", "encoder", options=model).build(ModelScene(ModelFacts(dataset.groups, 0)))
    return EvaluatorScene(EvaluatorFacts(dataset.groups), encoder.eval(), lambda hidden: dataset, maskable=False)


def known_units() -> dict[str, str]:
    """A table of the units of the kit's sessions."""
    path = fresh_folder() / "units.csv"
    rows = [f"{session},u{unit},{unit}" for session, size in (("a_1", 3), ("b_1", 2)) for unit in range(size)]
    path.write_text("\n".join(["session,unit,contamination", *rows, ""]), encoding="utf-8")
    return {"table": str(path)}


@cache
def simulation() -> Any:
    """A simulation that is opened once: nothing of it changes."""
    return Case("dataset", "synthetic_v1", options={**SYNTHETIC, "num_units": 2}).build(DatasetScene())


def simulated_scene(case: Case) -> EvaluatorScene:
    """A simulation, and a small encoder of it, in which one unit sees nothing: its centre cannot be found."""
    dataset = simulation()
    core = {"name": "learnable_temporal", "kernel_size": 3, "num_channels": 2}
    encoder = Case("model", "encoder", options={"core": [core]}).build(ModelScene(ModelFacts(dataset.groups, 0)))
    with torch.no_grad():
        encoder.readout("m1_a").features[0] = 0.0
    return EvaluatorScene(EvaluatorFacts(dataset.groups), encoder.eval(), lambda hidden: dataset, maskable=False)


CASES: tuple[Case, ...] = (
    Case(
        "metric",
        "bits_per_spike",
        expected={
            "rounding_is_that_of_float64": "terms have the precision of the rates and only their sums are float64: a "
            "score is wrong by less than 1e-7 bits, and a validation takes a third of the time"
        },
    ),
    Case("loss", "cross_entropy", variants={"label_smoothing": 0.1}),
    Case("metric", "cc_norm", variants={"min_cc_max": 0.99}),
    Case("metric", "feve", variants={"min_fev": 0.95}),
    Case("metric", "accuracy", options={"task": TASK}, variants={"task": "other"}, scene=two_tasks),
    Case(
        "evaluator",
        "units",
        options={"rescale": True, "num_draws": 20, "block": 0.05},
        variants={"block": 0.2, "quality": known_units()},
    ),
    Case(
        "evaluator",
        "spike_triggered_average",
        options={"num_lags": 3},
        variants={"of": "energy", "whiten": 0.1},
        scene=simulated_scene,
    ),
    Case(
        "evaluator",
        "saccade_triggered",
        options={"speed": 5.0, "shortest_ms": 0.0, "longest_ms": 5000.0},
        variants={"channel": "channel_0", "speed": 2.0, "shortest_ms": 1000.0},
        scene=simulated_scene,
    ),
    Case(
        "evaluator",
        "grating_tuning",
        options={"num_orientations": 4, "periods": [4.0]},
        variants={"cycles": 3},
        scene=behaving_scene,
    ),
    Case("evaluator", "ground_truth", options={"num_predictions": 20}, scene=simulated_scene),
)
