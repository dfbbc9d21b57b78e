"""`plugins` and `show`: what is installed, what is wrong with it, and how it is used."""

from __future__ import annotations

import json
from argparse import Namespace

import pytest

from visioncore_engine import discover
from visioncore_engine.cli import layout, main, plugins
from visioncore_engine.cli.contract import attributes_of
from visioncore_engine.component import KINDS


@pytest.fixture
def listed(fakes, capsys, monkeypatch):
    """Print the listing of some plugins in process."""

    def listed(*points):
        monkeypatch.setattr(plugins, "registry_of", lambda _arguments: discover(entry_points=points, block=["blocked"]))
        assert plugins.run(Namespace(json=False, write_lock=None, used_by=None)) == 0
        text = capsys.readouterr().out
        assert plugins.run(Namespace(json=True, write_lock=None, used_by=None)) == 0
        return text, json.loads(capsys.readouterr().out)

    return listed


def test_the_listing_shows_everything_in_80_columns(fakes, listed):
    long = fakes.component("a_component_with_a_name_that_is_really_long_and_goes_on_and_on")
    good = fakes.plugin({"sampler": [fakes.component("same"), fakes.component("only")], "loss": [long]})
    other = fakes.plugin({"sampler": [fakes.component("same"), fakes.component("newer", version=2)]})
    text, content = listed(
        fakes.entry_point("good", good, dist=fakes.distribution("good-lab", "1.0")),
        fakes.entry_point("other", other, dist=fakes.distribution("a-distribution-with-a-long-name", "2026.12.31")),
        fakes.entry_point("bad", ImportError(f"no module {'x' * 30} {'y' * 60}"), dist=fakes.distribution("bad-lab")),
        fakes.entry_point("blocked", good, dist=fakes.distribution("blocked-lab")),
    )
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    for part in (
        "only the only (good)",
        "same AMBIGUOUS, write good:same: the same",
        "same AMBIGUOUS, write other:same: the same",
        "newer REFUSED: other (a-distribution-with-a-long-name==2026.12.31): it is written for version 2",
        "bad bad-lab 1.0 BROKEN: ImportError: no module",
        "blocked blocked-lab 1.0 blocked: by name",
        "samplers (contract 1) -",
    ):
        assert part in flat
    states = {(item["kind"], item["reference"]): item["status"] for item in content["components"]}
    assert states["sampler", "good:only"] == "usable"
    assert states["sampler", "good:same"] == states["sampler", "other:same"] == "ambiguous"
    assert states["sampler", "other:newer"] == "refused"
    assert {item["name"]: item["status"] for item in content["plugins"]} == {
        "bad": "broken",
        "blocked": "blocked",
        "good": "loaded",
        "other": "loaded",
    }


def test_nothing_installed_says_what_to_do(fakes, listed):
    text, _ = listed(fakes.entry_point("blocked", fakes.plugin({})))
    assert "blocked" in text


def test_installed_plugins_are_listed(lab, capsys):
    assert main(["plugins"]) == 0
    told = capsys.readouterr().out
    assert "cli_sampler" in told
    assert "cli-lab 1.5" in told
    assert main(["plugins", "--block", "cli-lab", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [item["status"] for item in content["plugins"] if item["name"] == "cli_lab"] == ["blocked"]
    assert not [item for item in content["components"] if item["plugin"] == "cli_lab"]


def test_a_plugin_file_is_listed(lab, tmp_path, capsys):
    text = "from visioncore_engine import Component, hookimpl\n@hookimpl\ndef visioncore_losses():\n"
    (tmp_path / "single_lab.py").write_text(f"{text}    yield Component(name='single', summary='s', build=':B')\n")
    assert main(["plugins", "--plugin", "single_lab.py"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "single s (single_lab)" in told
    assert "single_lab single file loaded" in told


def test_show_explains_a_component(lab, capsys):
    assert main(["show", "model", "cli_model"]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    flat = " ".join(told.split())
    for part in (
        "model cli_model",
        "plugin cli_lab (cli-lab==1.5)",
        "cli_lab_module.py",
        "core a list of stages, or a mapping from id to stage; default []",
        "width an integer >= 1; default 8 channels of every layer",
        "build(options, facts: ModelFacts) -> Model",
        "groups tuple[GroupSpec, ...]",
        "model: name: cli_model",
    ):
        assert part in flat


def test_show_gives_an_example_where_the_kind_belongs(lab, capsys):
    assert main(["show", "stage", "cli_lab:cli_stage"]) == 0
    told = capsys.readouterr().out
    assert "    core:\n      - name: cli_stage\n        steps: 1\n" in told
    assert "steps  an integer >= 1; required" in told
    assert main(["show", "metric", "cli_metric"]) == 0
    told = capsys.readouterr().out
    assert "cli_metric, cli_metric/median" in told
    assert "  metrics:\n    - name: cli_metric\n" in told


@pytest.mark.parametrize("kind", KINDS)
def test_show_explains_every_kind(lab, capsys, kind):
    assert main(["show", kind]) == 0
    told = capsys.readouterr().out
    assert f"facts: {KINDS[kind].facts.partition(':')[2]}" in " ".join(told.split())
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["samplers"], "no kind named 'samplers'; did you mean 'sampler'?"),
        (["sampler", "cli_smpler"], "did you mean 'cli_sampler'?"),
        (["sampler", "cli_lab:none"], "no sampler named 'none' in plugin 'cli_lab'"),
    ],
)
def test_show_helps_with_names(lab, capsys, arguments, text):
    assert main(["show", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_the_contract_is_read_without_importing_it():
    for kind in KINDS.values():
        assert attributes_of(kind.facts.partition(":")[2])
    assert attributes_of("Optimizer") == []


def test_columns_are_wrapped_and_never_wider_than_the_terminal():
    rows = [("a", "b", "word " * 40), ("long" * 20, "b", "text"), ("", "", "")]
    lines = layout.columns(rows)
    assert max(map(len, lines[:3])) <= layout.WIDTH
    assert " ".join(" ".join(lines).split()).startswith("a b word word")
    assert any(line.strip() == "text" for line in lines)
    assert layout.columns([]) == []
