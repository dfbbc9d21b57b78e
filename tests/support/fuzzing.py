"""Mutations of trees of plain values and of bytes, and how many of them a run of the tests tries.

The profile ``ci`` is bounded and draws the same examples each time; ``VISIONCORE_FUZZ=all`` draws new ones, ten times
as many.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from visioncore_engine.errors import UserError

__all__ = ["bytes_of", "damaged", "examples", "leaves", "mutate", "mutations", "refusals"]

settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), print_blob=True
)
settings.register_profile("all", settings.get_profile("ci"), derandomize=False)
PROFILE = os.environ.get("VISIONCORE_FUZZ", "ci")


def examples(number: int) -> Callable[[Any], Any]:
    """Settings of a fuzz test that tries `number` examples in CI, and ten times as many otherwise."""
    return settings(settings.get_profile(PROFILE), max_examples=number * (1 if PROFILE == "ci" else 10))


@contextmanager
def refusals() -> Iterator[list[UserError]]:
    """Let a mistake of the user pass, and keep it; anything else is a defect."""
    kept: list[UserError] = []
    try:
        yield kept
    except UserError as error:
        kept.append(error)
    for error in kept:
        assert error.problems
        assert all(problem.what not in ("", "expected null") for problem in error.problems)
        assert "Traceback" not in str(error)


# -- trees

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**63, 2**400, 0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"),
    "", " ", "no", "1", "1e-3", "name", "a.b", "${seed}", "${data.name}", "${nowhere}", "${", "$${x}", "*", "**", "[",
    "../..", "/", "/nowhere/*", "\0", "\x85", "\ud7ff", "é", "x" * 300, "visioncore_common:sgd", "os:system", "encoder",
    "sgd", [], {}, [None], [[]], [{}], [1, "a"], {"name": None}, {"name": 3}, {"name": "sgd"}, {"": 1}, {"id": "x"},
    {"schedule": "ramp", "steps": 3}, {"schedule": "decay", "steps": 1}, {"$choice": 0}, {"_target_": "os.system"},
)  # fmt: skip
WORDS = ("name", "id", "extends", "lr", "match", "monitor", "strength", "<<", "0", "", "a.b", "$choice", "x" * 200)

_SEEDS = st.integers(0, 2**16)
mutations = st.lists(
    st.tuples(st.sampled_from(["delete", "rename", "replace", "swap", "copy", "wrap", "cut"]), _SEEDS, _SEEDS, _SEEDS),
    min_size=1,
    max_size=5,
)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key or position) of every value below the root."""
    found: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        value = stack.pop()
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in items:
            found.append((value, key))
            stack.append(child)
    return found


def mutate(tree: Any, steps: list[tuple[str, int, int, int]]) -> Any:
    """Changed copy of a tree; the numbers choose where and what."""
    tree = copy.deepcopy(tree)
    for what, first, second, third in steps:
        places = _places(tree)
        if not places:
            break
        holder, key = places[first % len(places)]
        other, other_key = places[second % len(places)]
        if what == "delete":
            del holder[key]
        elif what == "rename" and isinstance(holder, dict):
            word = WORDS[second % len(WORDS)] if third % 2 else f"{key}"[:-1] + "x"
            holder[word] = holder.pop(key)
        elif what == "replace":
            holder[key] = copy.deepcopy(ODD[second % len(ODD)])
        elif what == "swap":
            holder[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(holder[key])
        elif what == "copy":
            holder[key] = copy.deepcopy(other[other_key])
        elif what == "wrap":
            holder[key] = [holder[key]] if third % 2 else {WORDS[third % len(WORDS)]: holder[key]}
        elif what == "cut" and isinstance(holder[key], str):
            holder[key] = holder[key][: second % (len(holder[key]) + 1)]
    return tree


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Every value that is neither a mapping nor a list, with its path."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None:
        return [(path, tree)]
    return [leaf for key, child in items for leaf in leaves(child, (*path, key))]


# -- bytes

bytes_of = st.lists(
    st.tuples(st.sampled_from(["cut", "flip", "insert", "repeat", "zero"]), st.floats(0, 1), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, steps: list[tuple[str, float, int]]) -> bytes:
    """Changed copy of a file's content; `where` is a share of its length."""
    data = bytearray(content)
    for what, where, value in steps:
        at = int(where * len(data))
        if what == "cut":
            del data[at:]
        elif what == "flip" and data:
            data[min(at, len(data) - 1)] ^= value or 1
        elif what == "insert":
            data[at:at] = bytes([value]) * (1 + value % 7)
        elif what == "repeat":
            data[at:at] = data[at : at + value]
        elif what == "zero":
            data[at : at + value] = bytes(len(data[at : at + value]))
    return bytes(data)
