"""Whether what was built can go on from a checkpoint: its data, groups, weights, optimizer, scheduler and callbacks.

`resume` compares what was asked for, before anything is built; this compares what came of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import pytorch_lightning as pl

from visioncore_engine.build import Parts
from visioncore_engine.config import Resolved
from visioncore_engine.describe import compare_content, compare_groups, groups_of
from visioncore_engine.errors import CheckpointError, Problem
from visioncore_engine.pace import Pace
from visioncore_engine.restore import refuse_misfits

__all__ = ["check_callbacks", "check_parts", "steps_left"]


def check_parts(resolved: Resolved, parts: Parts, saved: Mapping[str, Any], path: str) -> None:
    """Compare what was built with a checkpoint, before Lightning takes it back.

    Raises
    ------
    DataError
        Where the content of the data changed, unless ``policies.data_changes`` is ``warn``; names each group.
    CheckpointError
        Where groups, weights, or the states of the optimizer or scheduler are not those of this run.
    """
    own = saved["visioncore"]
    policy = resolved.run.policies.data_changes
    compare_content(parts.dataset.fingerprints(), own["fingerprints"], path, policy=policy)
    compare_groups(parts.dataset.groups, groups_of(saved, path), path)
    refuse_misfits(parts.model, saved, path)
    problems = [*_optimizer_problems(parts, saved), *_scheduler_problems(parts, own["scheduler"])]
    if problems:
        raise CheckpointError(*(Problem(where=path, what=what) for what in problems))


def _optimizer_problems(parts: Parts, saved: Mapping[str, Any]) -> list[str]:
    states = saved.get("optimizer_states", [])
    if not isinstance(states, list) or len(states) != 1:
        number = len(states) if isinstance(states, list) else 0
        return [f"the checkpoint has {number} optimizer states, the run has 1"]
    try:
        then = {str(group.get("name", "")): len(group["params"]) for group in states[0]["param_groups"]}
    except (TypeError, KeyError, AttributeError):
        return ["its optimizer state cannot be understood"]
    now = {str(group.get("name", "")): len(group["params"]) for group in parts.optimizer.param_groups}
    return [] if now == then else [f"the checkpoint has optimizer groups {_counts(then)}, the run has {_counts(now)}"]


def _counts(groups: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r} of {number} tensors" for name, number in groups.items()) or "none"


def _scheduler_problems(parts: Parts, then: Mapping[str, Any]) -> list[str]:
    now = parts.scheduler.state() if parts.scheduler else {}
    if set(now) == set(then):
        return []
    return [f"the checkpoint's scheduler keeps {_names(then)}, the run's keeps {_names(now)}"]


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no state"


def check_callbacks(trainer: pl.Trainer, saved: Mapping[str, Any]) -> None:
    """Say which callbacks of a checkpoint have no counterpart in the run, so that their state is given up.

    A run file that names other callbacks is refused before (`resume.check_resume`); where that was allowed, this is
    the rest of it.
    """
    running: list[pl.Callback] = vars(trainer)["callbacks"]  # set by a connector, so type checkers do not see it
    known = {callback.state_key for callback in running}
    for key in saved.get("callbacks", {}):
        if key not in known and not key.startswith(_OURS):
            text = f"warning: the state of callback {key!r} in the checkpoint is given up: the run has no such callback"
            print(text, file=sys.stderr)  # noqa: T201 - must be seen


_OURS = ("ProgressDisplay",)  # shown or not as the command line says


def steps_left(parts: Parts, saved: Mapping[str, Any], path: str) -> int:
    """Optimizer steps that remain; 0 where the run is finished.

    Raises
    ------
    CheckpointError
        Where the checkpoint lies beyond the end that the run file gives.
    """
    done = int(saved["global_step"])
    if done > parts.total_steps:
        raise CheckpointError(
            Problem(
                where=path,
                what=f"nothing to do: the checkpoint is at step {done}, and the run ends at step {parts.total_steps}",
                todo="raise trainer.max_epochs or trainer.max_steps, or evaluate the checkpoint",
            )
        )
    return max(Pace.restored(saved["visioncore"].get("pace"), parts.total_steps).end - done, 0)
