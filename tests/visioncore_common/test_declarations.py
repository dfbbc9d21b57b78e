from __future__ import annotations

import subprocess
import sys

import pytest

import visioncore_common
from visioncore_engine.component import KINDS, resolve_address

COMPONENTS = [
    pytest.param(kind, component, id=f"{kind.name}-{component.name}")
    for kind in KINDS.values()
    if hasattr(visioncore_common, kind.hook)
    for component in getattr(visioncore_common, kind.hook)()
]


def test_every_hook_is_one_of_the_engine():
    hooks = {kind.hook for kind in KINDS.values()} | {"visioncore_data_checks"}
    assert set(visioncore_common.__all__) <= hooks


@pytest.mark.parametrize(("kind", "component"), COMPONENTS)
def test_addresses_resolve_to_options_of_the_kind_and_a_builder(kind, component):
    options = resolve_address(component.options or kind.options)
    assert issubclass(options, resolve_address(kind.options))
    assert callable(resolve_address(component.build))
    assert component.version == kind.version
    assert component.summary


@pytest.mark.parametrize(("kind", "component"), COMPONENTS)
def test_every_option_says_what_it_is(kind, component):
    options = resolve_address(component.options or kind.options)
    assert all(field.description for field in options.model_fields.values())
    assert options.model_json_schema()


def test_declaring_and_checking_need_no_torch():
    program = """
import sys
for heavy in ("torch", "pytorch_lightning", "wandb", "numpy", "pandas"):
    sys.modules[heavy] = None
import visioncore_common
assert "pydantic" not in sys.modules
from visioncore_engine.component import KINDS, resolve_address
for kind in KINDS.values():
    for component in getattr(visioncore_common, kind.hook, list)():
        resolve_address(component.options or kind.options).model_json_schema()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
