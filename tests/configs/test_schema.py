"""The schema of what is installed and the engine give one verdict on the shipped run files and on mutants of them."""

from __future__ import annotations

import copy
import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from visioncore_engine import discover, resolve
from visioncore_engine.cli import main
from visioncore_engine.component import KINDS
from visioncore_engine.config.classes import options_class
from visioncore_engine.config.document import read
from visioncore_engine.config.node import plain
from visioncore_engine.config.schema import HASH, schema
from visioncore_engine.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"
NUM_MUTANTS = 300

# What the engine knows and a schema of one file cannot say; all else must get one verdict. The file may be laid over
# another one, so that what is missing may stand there; a schema sees one place at a time, and no other file.
BEYOND_A_SCHEMA = {
    "a key that must be there": r"is missing|does not say which|needs an end|a run needs",
    "a whole number that is written as 1.0": r"an integer.*write -?\d+$",
    "a monitor that nothing logs": r"nothing logs a value of this name",
    "a validation that never runs": r"no validation would ever run",
    "two blocks with one id, or an id that is none": r"have the id|an id is made of|the id says",
    "a null that removes nothing": r"there is nothing to remove",
    "a plugin or lock that is not there": r"no such plugin to|the lock cannot be read",
}
IN_A_BLOCK_WITHOUT_A_NAME = "what stands in a block without `name`, which may change one of another file"
BY_CODE = "a rule that an options class checks in code: options that contradict each other, an even kernel"


def at(content, key):
    """Value at a dotted key; None where there is none."""
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def excuse(problem, original, content):
    """Class of what only the engine can know; empty where the schema should have known it too."""
    text = f"{problem.what} {problem.todo}"
    for name, words in BEYOND_A_SCHEMA.items():
        if re.search(words, text):
            return name
    parts = problem.key.split(".")
    for length in range(2, len(parts) + 1):
        above, block = ".".join(parts[: length - 1]), at(content, ".".join(parts[:length]))
        slot = at(original, above)
        in_a_slot = isinstance(slot, dict) and all(isinstance(item, dict) and "name" in item for item in slot.values())
        if in_a_slot and isinstance(block, dict) and not isinstance(block.get("name"), str):
            return IN_A_BLOCK_WITHOUT_A_NAME
    # Types, bounds, names and keys are told in words of the engine's own, which begin like these.
    return "" if re.match(r"unknown key|expected|no \w+ named|import paths", problem.what) else BY_CODE


@pytest.fixture(scope="module")
def registry():
    return discover()


@pytest.fixture(scope="module")
def accepts(registry):
    made, problems = schema(registry)
    assert problems == ()
    return Draft202012Validator(made).is_valid


def run_files(registry):
    """Shipped run files whose components are installed."""
    for path in sorted(CONFIGS.glob("*.yaml")):
        try:
            yield path, resolve(path, registry=registry)
        except UserError:
            assert path.stem.startswith("example_lab")  # installed by its own test


def test_every_shipped_file_is_accepted_as_it_stands_and_filled(registry, accepts):
    names = {entry.name for entry in registry.entries}
    for path in sorted(CONFIGS.glob("**/*.yaml")):
        if not path.stem.startswith("example_lab") or "bootstrap" in names:
            assert accepts(plain(read(path, str(path)))), path
    for path, resolved in run_files(registry):
        assert accepts(resolved.dump()), path


ODD = [-1, 0, 3, 0.5, 1e-9, True, "words", "", [], [1], ["words"], {}, {"words": 1}, {"name": "words"}]


def mutant(content, draw):
    """One place changed: a value, a misspelt key, a key too many, or the value of another place."""
    content = copy.deepcopy(content)
    places = []

    def walk(value):
        for key, child in value.items():
            places.append((value, key))
            if isinstance(child, dict):
                walk(child)

    walk(content)
    inside, key = draw.choice(places)
    how = draw.random()
    if how < 0.2 and key != "name":
        inside[f"{key}x"] = inside.pop(key)
    elif how < 0.3 and isinstance(inside[key], dict):
        inside[key]["surplus"] = draw.choice(ODD)
    elif how < 0.5:
        other, word = draw.choice(places)
        inside[key] = copy.deepcopy(other[word])
    elif how < 0.6 and isinstance(inside[key], (int, float)) and not isinstance(inside[key], bool):
        inside[key] = -1000.0 * inside[key] - 1
    else:
        inside[key] = draw.choice(ODD)
    return content


def compared(registry, accepts, seed):
    """How many mutants got which verdict, why only the engine refused, and where the two differ without excuse."""
    whole = [resolved.dump() for _, resolved in run_files(registry)]
    draw = random.Random(seed)
    verdicts, excused, differences = Counter(), Counter(), []
    for _ in range(NUM_MUTANTS):
        original = draw.choice(whole)
        content = mutant(original, draw)
        try:
            resolve(content, registry=registry)
        except UserError as error:
            if not accepts(content):
                verdicts["refused"] += 1
                continue
            reasons = [excuse(problem, original, content) for problem in error.problems]
            excused.update(set(reasons))
            differences += [str(problem) for problem, reason in zip(error.problems, reasons, strict=True) if not reason]
        else:
            verdicts["accepted"] += 1
            differences += [] if accepts(content) else [content]
    return verdicts, excused, differences


def test_300_mutants_of_shipped_files_get_one_verdict(registry, accepts):
    verdicts, excused, differences = compared(registry, accepts, seed=20)
    assert differences == []
    assert verdicts["refused"] > 200  # most mutants are mistakes, and nearly all of those an editor underlines
    assert verdicts["accepted"] > 15
    assert sum(excused.values()) < 30, excused


def test_another_plugin_changes_the_schema_that_the_command_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = "from visioncore_engine import Component, hookimpl\n@hookimpl\ndef visioncore_losses():\n"
    Path("schema_lab.py").write_text(f"{text}    yield Component(name='brand_new', summary='', build=':Loss')\n")
    assert main(["schema"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert main(["schema", "--plugin", "schema_lab.py"]) == 0
    del sys.modules["schema_lab"]
    after = json.loads(capsys.readouterr().out)
    assert before[HASH] != after[HASH]
    assert not Draft202012Validator(before).is_valid({"loss": "brand_new"})
    assert Draft202012Validator(after).is_valid({"loss": "brand_new"})


# ---------------------------------------------------------------------------------------------------------------
# The example that `visioncore show` prints

# A run file that has the place where the kind belongs; `reader` is an option of recordings that lie in files.
WHOLE = {"reader": "neural/rat_rgc_bars.yaml"}
COMPONENTS = [(entry.kind, entry.reference) for entry in discover().entries]


@pytest.mark.parametrize(("kind", "reference"), COMPONENTS, ids=[f"{kind}-{name}" for kind, name in COMPONENTS])
def test_the_example_of_a_component_is_a_run_file(kind, reference, tmp_path, capsys, accepts):
    """Laid over a whole run, the block is accepted by the engine and by the schema."""
    assert main(["show", kind, reference]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    example = told.partition("\nexample\n")[2]
    (tmp_path / "example.yaml").write_text(example)
    assert accepts(plain(read(tmp_path / "example.yaml", "example.yaml")))
    whole = CONFIGS / WHOLE.get(kind, "demo.yaml")
    resolved = resolve([whole, tmp_path / "example.yaml"], ["checkpoint.monitor=val/loss"])
    name = reference.partition(":")[2]
    assert [choice for _, choice in resolved.choices() if (choice.kind, choice.name) == (kind, name)]


def test_show_json_has_everything(registry, capsys):
    for entry in registry.entries:
        assert main(["show", entry.kind, entry.reference, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [option["name"] for option in found["options"]] == list(options_class(entry).model_fields)
        assert all(option["allowed"] and option["description"] for option in found["options"])
        assert all(("default" in option) != option["required"] for option in found["options"])
        assert Path(found["built_in"]).is_file()
        assert Path(found["declared_in"]).is_file()
        assert found["contract_version"] == KINDS[entry.kind].version
        assert found["facts"]["attributes"]
