"""Whatever the order in which plugins are found, listings, explanations and schemas are the same bytes."""

from __future__ import annotations

import importlib
import random
import sys
import textwrap

import pytest

from visioncore_engine.cli import main

LAB = """
    from pydantic import Field

    from visioncore_engine import Component, hookimpl
    from visioncore_engine.options import LossOptions, Options

    class OwnOptions(LossOptions):
        value_{number}: float = Field({number}.5, ge=0, description="a number")

    @hookimpl
    def visioncore_losses():
        yield Component(name="shared", summary="of {number}", build=":Part", options=":OwnOptions")
        yield Component(
            name="own_{number}", summary="alone", build=":Part", options=":OwnOptions", former_names=("former",)
        )

    @hookimpl
    def visioncore_samplers():
        yield Component(name="draw_{number}", summary="draws", build=":Part")

    @hookimpl
    def visioncore_checks(config):
        return ()

    @hookimpl
    def visioncore_report_sections():
        yield ":Part"
"""
COMMANDS = [
    ["plugins"],
    ["plugins", "--json"],
    ["show", "loss", "own_3"],
    ["show", "loss", "own_1", "--json"],
    ["schema"],
]


@pytest.fixture
def folders(tmp_path, site):
    """Six folders with a distribution each, one of them broken."""
    found = []
    for number in range(6):
        folder = tmp_path / f"site{number}"
        info = folder / f"order_lab_{number}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: order-lab-{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[visioncore_engine]\norder{number} = order_module_{number}\n")
        text = "raise OSError('broken')" if number == 5 else LAB.format(number=number)
        (folder / f"order_module_{number}.py").write_text(textwrap.dedent(text))
        found.append(str(folder))
    yield found
    for number in range(6):
        sys.modules.pop(f"order_module_{number}", None)


def test_20_shuffles_of_the_path_give_the_same_bytes(folders, capsys, monkeypatch):
    path, outputs = list(sys.path), set()
    for seed in range(20):
        draw = random.Random(seed)
        shuffled = list(folders)
        draw.shuffle(shuffled)
        cut = draw.randrange(len(path) + 1)  # before, behind or among all the others
        monkeypatch.setattr(sys, "path", [*shuffled[:3], *path[:cut], *shuffled[3:], *path[cut:]])
        importlib.invalidate_caches()
        for number in range(6):
            sys.modules.pop(f"order_module_{number}", None)
        assert [main(command) for command in COMMANDS] == [0] * len(COMMANDS)
        outputs.add(capsys.readouterr().out)
    assert len(outputs) == 1
    (text,) = outputs
    flat = " ".join(text.split())
    assert " checks order0, order1, order2, order3, order4 " in flat
    assert "order5 order-lab-5 1.0 BROKEN: OSError: broken" in flat


def test_the_order_of_hooks_is_that_of_the_calls(folders, monkeypatch):
    from visioncore_engine import discover

    monkeypatch.setattr(sys, "path", [*reversed(folders), *sys.path])
    importlib.invalidate_caches()
    registry = discover(allow=[f"order{number}" for number in range(6)])
    asked = [check.plugin.name for check in registry.declared_checks]
    assert registry.hooks() == {
        "visioncore_checks": tuple(asked),
        "visioncore_data_checks": (),
        "visioncore_report_sections": tuple(section.plugin.name for section in registry.report_sections()),
    }
    assert asked == sorted(asked)
