"""Mutated run files: what is wrong is told as the user's mistake, what is accepted was understood to the last key."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

import pytest
import yaml
from fuzzing import bytes_of, damaged, examples, leaves, mutate, mutations, refusals
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine import discover, resolve

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(path for path in CONFIGS.glob("*.yaml") if path.stem != "example_lab")  # whose plugin is not installed
TREES = [yaml.safe_load(path.read_text()) for path in FILES]
TINY = sorted((CONFIGS / "overlays").glob("*.yaml"))


@cache
def registry():  # no fixture: hypothesis writes out the arguments of an example that fails
    return discover()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working folder for all examples: the files in it are overwritten."""
    folder, before = tmp_path_factory.mktemp("fuzz"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def understood(files, sets=()):
    """The resolved run, or None where it was refused as the user's mistake with something to read."""
    with refusals():
        resolved = resolve(files, sets=sets, registry=registry())
        again = resolve(resolved.dump(), registry=registry())
        assert again.dump() == resolved.dump()
        return resolved
    return None


def blocks(value):
    """A list of blocks, or the mapping from id to block that it is short for."""
    if not isinstance(value, list):
        return value
    return {item.get("id", item.get("name")) if isinstance(item, dict) else item: item for item in value}


def assert_is_in(written, resolved, path=()):
    """Every written value stands in the resolved run: nothing was ignored, and nothing turned into something else."""
    if written is None:
        return  # as if it were not written
    if isinstance(resolved, dict):
        if isinstance(written, str):
            assert resolved["name"] == written, path
            return
        for key, value in blocks(written).items():
            name = str(key).rpartition(":")[2] if isinstance(written, list) else key
            if key not in ("id", "extends") and value is not None:
                assert name in resolved, (*path, key)
                assert_is_in(value, resolved[name], (*path, key))
    elif isinstance(resolved, list):
        items = written if isinstance(written, list) else [written]
        assert len(items) == len(resolved), path
        for number, (item, found) in enumerate(zip(items, resolved, strict=True)):
            assert_is_in(item, found, (*path, number))
    elif isinstance(written, float) and math.isfinite(written):
        assert float(resolved) == written, path
    elif "${" not in str(written):
        assert resolved == written, path
        assert isinstance(resolved, bool) == isinstance(written, bool), path


def kept(resolved, tree):
    dump = resolved.dump()
    # Secrets are never dumped; a name may be that of the file, and is checked on its own.
    assert_is_in({key: value for key, value in tree.items() if key != "extends"}, dump)


@examples(700)
@given(number=st.integers(0, len(TREES) - 1), steps=mutations)
def test_mutated_trees(home, number, steps):
    tree = mutate(TREES[number], steps)
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    (home / "run.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    resolved = understood(["run.yaml"])
    if resolved is not None:
        kept(resolved, yaml.safe_load(text))


@examples(150)
@given(number=st.integers(0, len(TREES) - 1), other=st.integers(0, len(TREES) - 1), steps=mutations)
def test_mutated_overlays(home, number, other, steps):
    """A file of another kind of data, mutated, laid over a good one, with an overlay for tests between them."""
    (home / "over.yaml").write_text(yaml.safe_dump(mutate(TREES[other], steps)), encoding="utf-8")
    understood([FILES[number], TINY[number % len(TINY)], "over.yaml"])


@examples(300)
@given(number=st.integers(0, len(FILES) - 1), steps=bytes_of)
def test_mutated_bytes(home, number, steps):
    (home / "run.yaml").write_bytes(damaged(FILES[number].read_bytes(), steps))
    understood(["run.yaml"])


ODD_LINES = (
    "- item", "? complex\n: key", "seed: 1\nseed: 2", "&a seed: *a", "x: &x [*x]",
    "!!python/object/apply:os.system [ls]", "--- \n---", "...", "%YAML 1.1", "<<: {a: 1}", "\tseed: 1", "seed: 0o17",
    "seed: 0x1f", "seed: 010", "seed: 1_000", "k: |\n  text", "k: >-\n  folded", "'", '"', "{", "[", "}", "]",
    "seed: !!str 3", "a: {b: {c: {d: {}}}}", "? {a: b}\n: c", "null: 1", "1: 2", "true: 3", "1.5: 4",
    "extends: run.yaml", "extends: [nowhere.yaml, 3]", "extends: {a: 1}", "# comment", "seed:3", "seed : 3",
    "model.core: []", "model: {name: encoder, core: {0: conv3d}}", "trainer: {max_epochs: 1, gradient_clip_val: 1}",
    "data: &d {name: rendered_shapes}\nmodel: *d", "loggers: {csv: null, csv: null}",
    "callbacks: [heartbeat, heartbeat]",
)  # fmt: skip


@examples(300)
@given(
    number=st.integers(0, len(FILES) - 1),
    lines=st.lists(st.tuples(st.sampled_from(ODD_LINES), st.floats(0, 1), st.integers(0, 4)), min_size=1, max_size=3),
)
def test_oddities_of_yaml(home, number, lines):
    text = FILES[number].read_text().splitlines()
    for line, where, indent in lines:
        text.insert(int(where * len(text)), "\n".join(" " * indent + part for part in line.split("\n")))
    (home / "run.yaml").write_text("\n".join(text))
    understood(["run.yaml"])


SETS = [".".join(map(str, path)) for tree in TREES for path, _ in leaves(tree)]


@examples(300)
@given(
    number=st.integers(0, len(FILES) - 1),
    key=st.sampled_from(SETS) | st.text(max_size=12),
    value=st.text(max_size=12)
    | st.sampled_from(["null", "[]", "{}", "{name: sgd}", "[1, [2]]", "&a [*a]", "1e999", "${seed}"]),
)
def test_values_on_the_command_line(number, key, value):
    understood([FILES[number]], sets=[f"{key}={value}"])
