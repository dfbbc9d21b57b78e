"""Laws of adapters."""

from __future__ import annotations

from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks import frames, modules
from visioncore_engine.testing.checks.modules import fitting_scenes, scene_of

__all__ = ["all_groups_get_one_shape", "frames", "modules"]


@check("adapter")
def all_groups_get_one_shape(case: Case) -> None:
    """Groups with frames of different size all get the same `out_shape`."""
    shapes = {}
    for scene, built in fitting_scenes(case, scene_of(case)):
        assert len(built.out_shape) == 3, f"out_shape must be (C, H, W), not {built.out_shape}"
        shapes[tuple(scene.facts.in_shape)] = tuple(built.out_shape)
    assert len(set(shapes.values())) == 1, f"a shared core needs one shape, but groups get {shapes}"
