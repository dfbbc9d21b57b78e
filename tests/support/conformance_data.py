"""What the built-in components of data, models and scores need to be tested: options without a default, and data."""

from __future__ import annotations

from dataclasses import replace

from visioncore_engine.contracts import MetricFacts
from visioncore_engine.testing import Case
from visioncore_engine.testing.scenes.flow import FAMILIES, TASK
from visioncore_engine.testing.scenes.metric import MetricScene

__all__ = ["CASES"]

CONVOLUTION = {"channels": [4, 3], "kernel_size": [2, 3, 3]}
ENCODER = {
    "adapter": {"name": "affine", "grid_size": 5},
    "core": [{"name": "conv3d", "channels": [4], "kernel_size": [3, 3, 3]}],
    "modulator": {"name": "concat", "num_channels": 2, "hidden": [3]},
    "recurrent": [{"name": "conv_gru", "hidden_channels": 3, "burn_in": 2}],
}


def two_tasks(case: Case) -> MetricScene:
    """Groups with two tasks of classes, so that one has to be chosen."""
    groups = FAMILIES["classes"]()
    return MetricScene(
        MetricFacts(
            tuple(replace(spec, targets={TASK: spec.targets[TASK], "other": spec.targets[TASK]}) for spec in groups)
        )
    )


CASES: tuple[Case, ...] = (
    Case("adapter", "affine", options={"grid_size": 4}),
    Case("stage", "conv3d", options=CONVOLUTION),
    Case("stage", "resnet3d", options=CONVOLUTION),
    Case("model", "encoder", options=ENCODER, variants={"adapter": {"name": "affine", "grid_size": 3}}),
    Case("modulator", "concat", variants={"inputs": ["eyepos"]}),
    Case("modulator", "film", variants={"inputs": ["eyepos"]}),
    Case("metric", "accuracy", options={"task": TASK}, variants={"task": "other"}, scene=two_tasks),
)
