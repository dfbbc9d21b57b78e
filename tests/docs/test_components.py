"""The pages about components say what is declared, and their examples are run files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from visioncore_engine import discover
from visioncore_engine.cli import main
from visioncore_engine.component import KINDS
from visioncore_engine.config.blocks import Blocks
from visioncore_engine.config.classes import options_class
from visioncore_engine.config.node import to_node
from visioncore_engine.options import Slot

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "components"
PLUGINS = ("visioncore_common", "visioncore_neural")
ONLY = [word for name in PLUGINS for word in ("--only", name)]
REGISTRY = discover()
ENTRIES = [entry for entry in REGISTRY.entries if entry.plugin.name in PLUGINS]
# What an example leaves open, by option.
WRITTEN = {
    "files": "*.npz",
    "strength": 0.1,
    "match": "*",
    "channels": [4],
    "grid_size": 8,
    "gamma": 0.9,
    "warmup_steps": 10,
}


def section(kind: str, name: str) -> str:
    text = (FOLDER / f"{kind}.md").read_text(encoding="utf-8")
    return re.split(r"^## ", text.partition(f"\n## {name}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_no_page_is_stale(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code = main(["reference", "docs/components", *ONLY, "--check"])
    assert code == 0, f"run `make reference`\n{capsys.readouterr().err}"
    assert {path.stem for path in FOLDER.iterdir()} == {"README", *KINDS}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_a_component_is_told_with_every_option_and_an_example_that_works(entry):
    told = section(entry.kind, entry.name)
    page = (FOLDER / f"{entry.kind}.md").read_text(encoding="utf-8")
    for name, field in options_class(entry).model_fields.items():
        assert f"| `{name}` |" in page or f"| `{name}." in page, name
        assert field.description
    (block,) = re.findall(r"```yaml\n(.*?)```", told, re.DOTALL)
    content = yaml.safe_load(block)
    while "name" not in content:  # down to the key at which the kind stands
        (content,) = content.values() if isinstance(content, dict) else [content]
        content = content[0] if isinstance(content, list) else content
    assert content["name"] == entry.name
    filled = {key: WRITTEN[key] if value == "…" else value for key, value in content.items()}
    blocks = Blocks(REGISTRY)
    assert blocks.choice(Slot(entry.kind), to_node(filled, "page"), entry.kind) is not None
    assert blocks.ledger.problems == []


def test_what_is_stale_or_unknown_is_named(tmp_path, capsys):
    assert main(["reference", str(tmp_path / "new"), *ONLY]) == 0
    page = tmp_path / "new" / "sampler.md"
    page.write_text(page.read_text() + "by hand\n")
    assert main(["reference", str(tmp_path / "new"), *ONLY, "--check"]) == 2
    assert (
        "sampler.md no longer say what is declared; write them again: visioncore reference" in capsys.readouterr().err
    )
    assert main(["reference", str(tmp_path), "--only", "visioncore_comon"]) == 2
    assert "did you mean 'visioncore_common'" in capsys.readouterr().err
    assert main(["reference", str(page)]) == 74
