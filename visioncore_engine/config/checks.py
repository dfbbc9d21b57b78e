"""What the engine itself knows to be wrong with a resolved run: monitors and validations that never are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import BaseModel

from visioncore_engine.config.run import RunConfig
from visioncore_engine.errors import Problem, nearest
from visioncore_engine.options import Choice, slots

__all__ = ["check", "each_choice", "logged_names", "monitors"]


def each_choice(options: BaseModel, key: str = "") -> Iterator[tuple[str, Choice]]:
    """Every block of a run with its dotted key, from the outside in."""
    many = {name for name, slot in slots(type(options)).items() if slot.many}
    for name in type(options).model_fields:
        value = getattr(options, name)
        below = f"{key}.{name}" if key else name
        if isinstance(value, Choice):
            yield below, value
            yield from each_choice(value.options, below)
        elif name in many:
            for choice in value:
                yield f"{below}.{choice.id}", choice
                yield from each_choice(choice.options, f"{below}.{choice.id}")
        elif isinstance(value, BaseModel):
            yield from each_choice(value, below)


def logged_names(run: RunConfig) -> tuple[str, ...]:
    """Names of the values that a run's validation logs, without those of single groups."""
    names = [name for metric in run.metrics for name in (metric.component.logs or (metric.name,))]
    return tuple(f"val/{name}" for name in dict.fromkeys(["loss", *names]))


def check(run: RunConfig, where: Callable[[str], str]) -> tuple[Problem, ...]:
    """Find monitors that name no logged value, and validations that never run.

    Parameters
    ----------
    run
        The resolved run.
    where
        Place of a dotted key.
    """
    logged = logged_names(run)
    problems = []
    every, end = run.trainer.check_val_every_n_epoch, run.trainer.max_epochs
    if end is not None and every > end:
        key = "trainer.check_val_every_n_epoch"
        what = f"no validation would ever run in {end} epochs, so that no checkpoint could be chosen"
        problems.append(Problem(what=what, where=where(key), key=key, given=str(every), todo=f"write {end} at most"))
    for key, monitor in monitors(run):
        if not any(monitor == name or monitor.startswith(f"{name}/") for name in logged) or monitor[:9] == "val/loss/":
            close = nearest(monitor, logged)
            head = f"did you mean {close!r}? " if close else ""
            todo = f"{head}logged: {', '.join(logged)}, each but the loss also with /<group>"
            what = "nothing logs a value of this name"
            problems.append(Problem(what=what, where=where(key), key=key, given=repr(monitor), todo=todo))
    return tuple(problems)


def monitors(run: RunConfig) -> Iterator[tuple[str, str]]:
    """Every value that something in a run watches, with its dotted key."""
    yield "checkpoint.monitor", run.checkpoint.monitor
    for key, choice in each_choice(run):
        monitor = getattr(choice.options, "monitor", None)
        if isinstance(monitor, str) and monitor:
            yield f"{key}.monitor", monitor
