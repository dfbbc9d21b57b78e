"""Cases of built-in preparations."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np

from visioncore_engine.testing import Case
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.scenes.preparation import PreparationScene
from visioncore_neural.recording import Recording
from visioncore_neural.testing import preparation_scene

__all__ = ["CASES"]


def small_scene(case: Case) -> PreparationScene:
    """All values are so small that another one is the largest in every trial."""
    scene = preparation_scene(case)
    arrays = {key: np.clip(0.01 * scene.recording.array(key), -2, 2) for key in ("stim", "behavior", "eyepos")}
    return dataclasses.replace(scene, recording=dataclasses.replace(scene.recording, **arrays))


def every_array_scene(case: Case) -> PreparationScene:
    """Responses, and whether they count, are looked at too."""
    scene = preparation_scene(case)

    def view(recording: Recording) -> dict[str, np.ndarray]:
        everything = slice(None)
        shown = {"robs": recording.counts(everything), "valid": recording.validity(everything)}
        return {**shown, **scene.view(recording)}

    return dataclasses.replace(scene, view=view)


def downsample_scene(case: Case) -> PreparationScene:
    """A frame that was made of several stands in the place of each of them."""
    scene = every_array_scene(case)
    num = scene.recording.num_frames

    def view(recording: Recording) -> dict[str, np.ndarray]:
        return {key: rows.repeat(num // len(rows), axis=0) for key, rows in scene.view(recording).items()}

    return dataclasses.replace(scene, view=view)


@cache
def table(seed: int) -> str:
    """CSV file with a row for each unit and each half of the frames."""
    path = fresh_folder() / "units.csv"
    draws = np.random.default_rng(seed)
    rows = [
        f"m1_a,u{unit},{start},{start + 3000},{missing:.1f},{10 * unit + seed}"
        for unit in range(3)
        for start, missing in zip((0, 3000), draws.permutation([20, 60]), strict=True)
    ]
    path.write_text("\n".join(["session,unit,start,stop,missing_pct,quality", *rows, ""]), encoding="utf-8")
    return str(path)


CHOSEN = {"of": "eyepos", "channels": "p*"}
BASIS = {
    "kernel_size": 8,
    "num_cosines": 2,
    "peaks_ms": [10.0, 80.0],
}
BASIS_VARIANTS = {"of": "eyepos", "channels": "p*", "offset_ms": 50.0, "peaks_ms": [15.0, 70.0], "num_deltas": 1}
SELECTION = {"table": table(1), "at_least": {"quality": 11.0}}
SELECTION_VARIANTS = {
    "ids": {"m1_a": ["u2"]},
    "table": table(12),
    "at_least": {"quality": 15.0},
    "at_most": {"quality": 15.0},
}


CASES: tuple[Case, ...] = (
    Case("preparation", "pixel_norm", scene=preparation_scene),
    Case("preparation", "standardize", options={"of": ["stim", "behavior"]}, scene=preparation_scene),
    Case("preparation", "velocity", scene=preparation_scene),
    Case("preparation", "max_norm", variants=CHOSEN, scene=small_scene),
    Case("preparation", "symlog", variants=CHOSEN, scene=preparation_scene),
    Case("preparation", "split_relu", variants={"channels": "p*"}, scene=preparation_scene),
    Case("preparation", "difference", variants=CHOSEN, scene=preparation_scene),
    Case(
        "preparation",
        "smooth",
        options={"sigma_ms": 30.0, "causal": True},
        variants={**CHOSEN, "reach": 2.0},
        scene=preparation_scene,
    ),
    Case("preparation", "temporal_basis", options=BASIS, variants=BASIS_VARIANTS, scene=preparation_scene),
    Case("preparation", "whitening", scene=preparation_scene),
    Case("preparation", "downsample", options={"factor": 2}, variants={"factor": 3}, scene=downsample_scene),
    Case("preparation", "select_units", options=SELECTION, variants=SELECTION_VARIANTS, scene=every_array_scene),
    Case(
        "preparation",
        "missing_pct",
        options={"table": table(1)},
        variants={"table": table(2), "threshold": 15.0},
        scene=every_array_scene,
    ),
)
