"""Cases of built-in samplers, schedulers and what else learns, where the defaults do not say enough."""

from __future__ import annotations

import numpy as np

from visioncore_engine.testing import Case, Given
from visioncore_engine.testing.scenes.sampler import SamplerScene


def by_contrast(options, index):
    """At the start of the ramp: by score and valid frames."""
    return np.concatenate([source.score("contrast") * source.weights() for source in index.sources])


CASES = (
    Case(
        "sampler",
        "contrast_weighted",
        options={"warmup": 0.0},
        scene=lambda _case: SamplerScene(frequencies=by_contrast),
    ),
    Case("scheduler", "exponential", options={"gamma": 0.9}),
    Case("scheduler", "step", options={"every": 2}),
    Case("scheduler", "warmup_cosine", options={"warmup_steps": 5}),
    Case("scheduler", "warmup_cosine_restarts", options={"warmup_steps": 5}),
    Case("scheduler", "plateau", options={"patience": 1}),
    Case("optimizer", "sgd", variants={"nesterov": Given(True, momentum=0.5)}),
)
