"""What a preparation meets: a recording, and which of its frames are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.testing.case import Case

__all__ = ["PreparationScene", "scene"]


@dataclass
class PreparationScene:
    """A recording of T frames. What recordings are is agreed within a family, so the family says how to look at one.

    Attributes
    ----------
    facts
        What a preparation is built with.
    recording
        The recording; a fresh one in each scene.
    train
        bool (T,), frames that are trained on.
    segments
        int (T,), one number for the frames of one trial and split: frames of different segments are never mixed.
    view
        Values of each array of a recording, by name, each with T rows.
    changed
        ``changed(recording, frames, value)``: a copy in which every value of the frames where `frames`, bool (T,), is
        True is another one: `value`, or something that stands for it.
    """

    facts: PreparationFacts
    recording: Any
    train: np.ndarray
    segments: np.ndarray
    view: Callable[[Any], Mapping[str, np.ndarray]]
    changed: Callable[[Any, np.ndarray, float], Any]

    def probe(self, built: Any) -> dict[str, Any]:
        """What was fitted, and the prepared recording."""
        state = built.fit(self.recording, self.train)
        return {"state": state, "prepared": self.view(built.apply(self.recording, state))}


def scene(case: Case) -> PreparationScene:
    """Raise an AssertionError: no recording is known that every preparation takes."""
    raise AssertionError(
        f"a preparation needs a recording of its family: give {case} a scene, Case(…, scene=lambda case: "
        "PreparationScene(…)); the plugin that the recordings are for may make one, such as "
        "visioncore_neural.testing.preparation_scene"
    )
