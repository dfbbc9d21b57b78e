"""Laws of modulators."""

from __future__ import annotations

import torch

from visioncore_engine.contracts import ModulatorFacts
from visioncore_engine.errors import RunError, UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.checks import frames, modules
from visioncore_engine.testing.checks.modules import scene_of
from visioncore_engine.testing.scenes.modulator import ModulatorScene
from visioncore_engine.testing.scenes.module import doubled

__all__ = [
    "frames",
    "identity_at_start_is_true",
    "modules",
    "side_inputs_that_lack_are_refused",
    "side_inputs_that_lack_in_a_batch_are_refused",
]


@check("modulator")
def identity_at_start_is_true(case: Case) -> None:
    """A modulator that says `identity_at_start` changes nothing before it has learned, whatever the side inputs say."""
    scene = scene_of(case)
    module = doubled(case.build(scene)).eval()
    if not getattr(module, "identity_at_start", False):
        return
    inputs = scene.draw(3, scene.frames(module))
    with torch.no_grad():
        (output,) = scene.run(module, inputs).values()
    features = inputs["features"]
    assert output.shape == features.shape, f"the identity has the shape of its input, {tuple(features.shape)}"
    error = float((output - features).abs().max())
    assert error == 0.0, f"it says that it starts as the identity, but changes features by {error:g}"


@check("modulator")
def side_inputs_that_lack_are_refused(case: Case) -> None:
    """Where the data have no side input, building it is an error that says so."""
    scene = scene_of(case)
    assert isinstance(scene, ModulatorScene)
    try:
        case.build(ModulatorScene(ModulatorFacts(scene.facts.in_shape, {})))
    except UserError:
        return
    except RunError as error:
        raise AssertionError(
            f"it lacks a side input, which is the user's mistake: raise a ConfigError ({error})"
        ) from error
    raise AssertionError("it is built without any side input: it would modulate nothing, and say nothing")


@check("modulator")
def side_inputs_that_lack_in_a_batch_are_refused(case: Case) -> None:
    """A batch that comes without its side inputs is an error, not a modulator that is left out."""
    scene = scene_of(case)
    module = doubled(case.build(scene)).eval()
    inputs = scene.draw(2, scene.frames(module))
    try:
        with torch.no_grad():
            module(inputs["features"], {})
    except Exception:  # noqa: BLE001 - however it refuses: by its own error, or by a KeyError
        return
    raise AssertionError("called without any side input it returns something: refuse, or the run trains without them")
