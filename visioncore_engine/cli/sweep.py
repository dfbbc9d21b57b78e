"""Carry out the runs of a sweep file: every combination of its overlays, grid and seeds, or a search.

A run that is finished is not repeated, one that was stopped goes on, and one that fails does not end the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visioncore_engine.cli.parser import add_plugins, add_sets, example, sets_of
from visioncore_engine.errors import EngineError, Hung, RunError, Stopped, StorageError, UserError

if TYPE_CHECKING:
    from visioncore_engine.sweep import Plan, Point
    from visioncore_engine.sweep.children import Slots
    from visioncore_engine.sweep.outcome import Outcome

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("sweep_file", metavar="SWEEP.yaml", type=Path, help="the sweep file")
    parser.add_argument("--dry-run", action="store_true", help="say which runs there are, and start none")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON, for machines")
    add_sets(parser)
    add_plugins(parser)
    example(
        parser,
        "visioncore sweep study.yaml --dry-run",
        "visioncore sweep study.yaml --set trainer.max_epochs=2",
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry the sweep out."""
    from visioncore_engine.sweep import Plan

    plan = Plan.read(
        arguments.sweep_file, sets=sets_of(arguments), plugin_files=arguments.plugin, block=arguments.block
    )
    if plan.options.mode == "optuna" and not arguments.dry_run:
        return _search(plan, arguments)
    points = [] if plan.options.mode == "optuna" else plan.points()
    if arguments.dry_run:
        return _tell(plan, [_planned(point) for point in points], arguments)
    if plan.options.mode == "slurm":
        return _submit(plan, points, arguments)
    from visioncore_engine.sweep.children import run_all

    _look_at_data(points)
    outcomes, stopped = run_all(points, _slots(plan), plan.folder / "logs", say=_say)
    return _tell(plan, outcomes, arguments, stopped=stopped)


def _planned(point: Point) -> Outcome:
    from visioncore_engine.sweep.outcome import Outcome

    return Outcome(point, "was finished" if point.finished else "begun" if point.begun else "not started")


def _look_at_data(points: Sequence[Point]) -> None:
    """Refuse before anything starts what the first run would be refused for."""
    waiting = [point for point in points if not point.finished]
    if waiting:
        waiting[0].resolved.check_data()


def _slots(plan: Plan) -> Slots:
    """Places to run in, as the sweep says."""
    import os

    from visioncore_engine.sweep.children import Slots

    options = plan.options
    side_by_side = options.mode == "parallel" or (options.mode == "optuna" and options.jobs is not None)
    if not side_by_side and options.gpus is None:
        return Slots([os.environ])
    gpus = options.gpus if options.gpus is not None else _visible_gpus()
    num = (options.jobs or len(gpus) or os.cpu_count() or 1) if side_by_side else 1
    return Slots.of(num, gpus)


def _visible_gpus() -> tuple[str, ...]:
    import os

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip())
    import torch

    return tuple(str(number) for number in range(torch.cuda.device_count()))


def _search(plan: Plan, arguments: argparse.Namespace) -> int:
    from visioncore_engine.sweep.children import run_all
    from visioncore_engine.sweep.study import Search

    slots = _slots(plan)
    search = Search(plan, len(slots.environments))
    outcomes, stopped = run_all(search.points(), slots, plan.folder / "logs", say=_say, done=search.tell)
    return _tell(plan, outcomes, arguments, stopped=stopped, best=search.best())


def _submit(plan: Plan, points: Sequence[Point], arguments: argparse.Namespace) -> int:
    from visioncore_engine.sweep.array import refuse_running, submit
    from visioncore_engine.sweep.outcome import Outcome

    refuse_running(plan.folder)
    _look_at_data(points)
    waiting = [point for point in points if not point.finished]
    if waiting:
        _say(submit(plan.options.array, plan.folder, plan.name, waiting))
    state = "submitted" if plan.options.array.submit else "not started"
    return _tell(plan, [Outcome(one, "was finished" if one.finished else state) for one in points], arguments)


def _tell(
    plan: Plan,
    outcomes: Sequence[Outcome],
    arguments: argparse.Namespace,
    *,
    stopped: bool = False,
    best: dict[str, Any] | None = None,
) -> int:
    """Print the summary, write it beside the runs, and return the exit code."""
    from visioncore_engine.folder import write_text
    from visioncore_engine.listing import format_table

    found = {"runs": [outcome.plain() for outcome in outcomes], **({"best": best} if best else {})}
    if not arguments.dry_run:
        write_text(plan.folder / "sweep.json", json.dumps(found, indent=2) + "\n")
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        monitors = dict.fromkeys(outcome.point.resolved.run.checkpoint.monitor for outcome in outcomes)
        head = ("run", "state", "code", next(iter(monitors)) if len(monitors) == 1 else "score")
        rows = [[one.point.name, one.state, one.code, one.score] for one in outcomes]
        print(format_table(head, rows))
        for outcome in outcomes:
            if outcome.last_lines:
                print(f"\n{outcome.point.name} ended with exit code {outcome.code}; the last it said:")
                print("\n".join(f"  {line}" for line in outcome.last_lines))
        if best:
            values = ", ".join(f"{key}={json.dumps(value)}" for key, value in best["values"].items())
            print(f"\nbest is trial {best['trial']} with {best['score']:.6g}: {values}")
    return _code(outcomes, stopped=stopped)


def _code(outcomes: Sequence[Outcome], *, stopped: bool) -> int:
    """0 where all is well; that of the first run that failed, where it is one of ours; 143 where a signal came."""
    if stopped or any(outcome.state == "stopped" for outcome in outcomes):
        return Stopped.exit_code
    failed = [outcome.code or 0 for outcome in outcomes if outcome.state == "failed"]
    if not failed:
        return 0
    kinds = (EngineError, UserError, RunError, StorageError, Hung)
    return failed[0] if failed[0] in [kind.exit_code for kind in kinds] else RunError.exit_code


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
