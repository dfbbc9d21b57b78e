"""The declarations are complete, cheap to read, and say what they build."""

from __future__ import annotations

import subprocess
import sys

import pytest

import example_lab
from visioncore_engine.component import KINDS, Component, resolve_address

DECLARED = [
    ("sampler", example_lab.visioncore_samplers),
    ("regularizer", example_lab.visioncore_regularizers),
    ("modulator", example_lab.visioncore_modulators),
    ("scheduler", example_lab.visioncore_schedulers),
    ("callback", example_lab.visioncore_callbacks),
]
COMPONENTS = [pytest.param(kind, component, id=component.name) for kind, hook in DECLARED for component in hook()]


@pytest.mark.parametrize(("kind", "component"), COMPONENTS)
def test_addresses_lead_somewhere(kind: str, component: Component) -> None:
    options = resolve_address(component.options)
    assert issubclass(options, resolve_address(KINDS[kind].options))
    assert all(field.description for field in options.model_fields.values())
    assert callable(resolve_address(component.build))


def test_listing_and_checking_need_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import example_lab, example_lab.options"
    subprocess.run([sys.executable, "-c", code], check=True)
