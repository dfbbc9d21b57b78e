"""`docs/plugins.md`, followed word by word by somebody who has nothing but the engine."""

from __future__ import annotations

import ast
import shutil

import pytest
from clean import CHECKOUT, Budget, Clean, build_wheel
from pages import SHELLS, read

from visioncore_engine.component import KINDS

BLOCKS = read(CHECKOUT / "docs" / "plugins.md")
WRITTEN = [block for block in BLOCKS if block.marker == "write"]
COMMANDS = [words for block in BLOCKS if block.language in SHELLS for words in block.commands]
MACHINE_SECONDS = 120


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_page_is_true_word_by_word(tmp_path):
    clean = Clean.make(tmp_path, build_wheel(CHECKOUT))
    shutil.copytree(CHECKOUT / "configs", clean.home / "configs")
    budget, said = Budget(MACHINE_SECONDS), {}
    for block in BLOCKS:
        if block.marker == "write":
            path = clean.home / block.path
            assert path.exists(), f"{block.path} is not among the files that were generated"
            path.write_text(block.text, encoding="utf-8")
        for words in block.commands if block.language in SHELLS else []:
            said[words[1]] = clean.run(words, seconds=budget.left).stdout
    assert "1 components" in said["-m"].replace("1 component,", "1 components,")
    assert "bootstrap" in said["plugins"]
    assert "Scores of the best checkpoint" in said["train"]
    assert "halving" in said["check"]


def test_it_asks_for_little():
    assert len(COMMANDS) <= 8
    assert sum(bool(line.strip()) for block in WRITTEN for line in block.text.splitlines()) <= 40


def test_what_is_typed_is_the_example_package():
    """The same class, whatever it is called and says of itself."""
    (typed,) = [block.text for block in WRITTEN if block.path.endswith("sampler.py")]
    source = CHECKOUT / "plugins" / "example-lab" / "src" / "example_lab" / "sampler.py"
    assert body(typed) == body(source.read_text(encoding="utf-8"))


def body(source: str) -> list[str]:
    (definition,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    functions = [node for node in definition.body if isinstance(node, ast.FunctionDef)]
    return [ast.unparse(statement) for function in functions for statement in function.body]


def test_every_kind_has_its_section_with_its_page_and_its_example():
    text = (CHECKOUT / "docs" / "plugins.md").read_text(encoding="utf-8")
    for kind in KINDS:
        section = text.partition(f"\n### {kind}\n")[2].partition("\n### ")[0]
        assert f"(components/{kind}.md)" in section, kind
        assert f"(../plugins/example-lab/src/example_lab/{kind}.py)" in section, kind
