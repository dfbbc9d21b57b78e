"""Many runs at once: which folders hold one, how far each has come, and in what they differ."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visioncore_engine.errors import Problem, UsageError
from visioncore_engine.report.context import ReportContext

__all__ = ["RunOverview", "differing", "flattened", "run_folders", "run_overview"]

_MISSING = "-"


def run_folders(paths: Iterable[Path]) -> list[Path]:
    """Run folders: each path itself where it is one, else all below it, sorted; each once.

    Raises
    ------
    UsageError
        For a path that is no folder, or holds no run.
    """
    found: dict[Path, None] = {}
    problems = []
    for path in paths:
        own = list(_below(path))
        if not own:
            what = "there is no run in this folder" if path.is_dir() else "there is no such folder"
            problems.append(Problem(where=str(path), what=what, todo="give a run folder, or a folder that holds some"))
        found |= dict.fromkeys(own)
    if problems:
        raise UsageError(*problems)
    return list(found)


def _below(path: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(path):
        below.sort()
        if "run.yaml" in files and ("record.json" in files or "checkpoints" in below):
            below.clear()  # a run holds no runs
            yield Path(folder)


@dataclass(frozen=True)
class RunOverview:
    """One run, told in a line.

    Attributes
    ----------
    path, name
        Its folder, and `run.name` or the name of its run file.
    state
        ``finished``; ``unfinished`` where it has begun and not ended well, or still runs; ``waiting`` where its folder
        holds nothing but the run.
    step
        Last optimizer step that was logged; 0 where there is none.
    monitor
        The score that decides which checkpoint is best, without ``val/``.
    scores
        Scores of the best checkpoint on each split.
    config
        Every value of the run by its dotted key, except where it lies.
    """

    path: Path
    name: str
    state: str
    step: int
    monitor: str
    scores: Mapping[str, Mapping[str, float]]
    config: Mapping[str, Any]


def run_overview(path: Path) -> RunOverview:
    """Read what a run folder says of its run; nothing is looked up, and torch is not needed."""
    context = ReportContext(path)
    run, record = context.run, context.record
    state = "finished" if record.get("finished") else "unfinished" if record else "waiting"
    steps = [curve.steps[-1] for curve in context.logged.curves.values()]
    monitor = str((run.get("checkpoint") or {}).get("monitor", "val/loss"))
    name = record.get("name") or (run.get("run") or {}).get("name") or path.name
    config = {key: value for key, value in flattened(run).items() if key.partition(".")[0] != "run"}
    return RunOverview(path, str(name), state, max(steps, default=0), monitor[4:], context.scores, config)


def flattened(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values of a nested mapping by their dotted keys, in order; lists and empty mappings are values."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{above}.{key}" if above else str(key)
        flat |= flattened(value, name) if isinstance(value, dict) and value else {name: value}
    return flat


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Keys whose values are not the same in all, with the value in each as text, ``-`` where one lacks the key.

    Where blocks of different components stand, their names tell the difference: options that only some of them have are
    left out.
    """
    keys = dict.fromkeys(key for config in configs for key in config)
    found: dict[str, list[str]] = {}
    other_blocks: list[str] = []
    for key in sorted(keys, key=lambda key: (not key.endswith(".name"), list(keys).index(key))):
        values = [json.dumps(config[key]) if key in config else _MISSING for config in configs]
        if len(set(values)) == 1 or any(key.startswith(block) for block in other_blocks):
            continue
        if key.endswith(".name"):
            other_blocks.append(key.removesuffix("name"))
        found[key] = [value.strip('"') for value in values]
    return {key: found[key] for key in keys if key in found}
