"""What would go wrong later is refused before the first step: nothing to choose by, states that cannot be saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from visioncore_engine.config import Resolved
from visioncore_engine.config.checks import logged_names, monitors
from visioncore_engine.contracts import GroupSpec
from visioncore_engine.errors import ConfigError, PluginError, Problem, nearest
from visioncore_engine.options import Choice
from visioncore_engine.plain import unsafe_parts

__all__ = ["check_monitors", "check_validation", "vet_callbacks", "vet_state"]

_NEVER_CALLED = ("on_before_zero_grad", "on_before_backward", "on_after_backward")
_OVERWRITTEN = ("log", "log_dict")


def check_validation(resolved: Resolved, steps_per_epoch: int, total_steps: int) -> None:
    """Refuse a run that ends before its first validation: no checkpoint could be chosen as the best.

    Raises
    ------
    ConfigError
        With the numbers.
    """
    every = resolved.run.trainer.check_val_every_n_epoch
    if math.ceil(total_steps / steps_per_epoch) < every:
        key = "trainer.check_val_every_n_epoch"
        what = (
            f"no validation would ever run, so that no checkpoint could be chosen: the run has {total_steps} steps, "
            f"and the first validation is due in epoch {every} of {steps_per_epoch} steps each"
        )
        todo = "validate more often, or train longer"
        raise ConfigError(Problem(what=what, where=resolved.where(key), key=key, given=str(every), todo=todo))


def check_monitors(resolved: Resolved, groups: Sequence[GroupSpec]) -> None:
    """Refuse a monitor of a group that the data do not have: its value would never be logged.

    Raises
    ------
    ConfigError
        With the nearest name.
    """
    suffixes = dict.fromkeys(group.name for group in groups)
    suffixes |= {f"{grouping}/{label}": None for group in groups for grouping, label in group.labels.items()}
    logged = logged_names(resolved.run)
    problems = []
    for key, monitor in monitors(resolved.run):
        head = max((name for name in logged if monitor.startswith(f"{name}/")), key=len, default="")
        suffix = monitor.removeprefix(f"{head}/")
        if not head or monitor in logged or suffix in suffixes:
            continue
        close = nearest(suffix, suffixes)
        todo = f"did you mean '{head}/{close}'?" if close else f"groups: {', '.join(group.name for group in groups)}"
        what = f"the data have no group {suffix!r}, so that nothing of this name is ever logged"
        problems.append(Problem(what=what, where=resolved.where(key), key=key, given=repr(monitor), todo=todo))
    if problems:
        raise ConfigError(*problems)


def vet_callbacks(resolved: Resolved, callbacks: Sequence[pl.Callback]) -> None:
    """Refuse callbacks that could not be saved, or whose hooks are never called.

    Parameters
    ----------
    resolved
        The run.
    callbacks
        One per block of the run's `callbacks`, in its order.

    Raises
    ------
    PluginError
        With every problem of every callback: the plugin, the key and the type.
    """
    problems: list[Problem] = []
    keys: dict[str, str] = {}
    for choice, callback in zip(resolved.run.callbacks, callbacks, strict=True):
        key = f"callbacks.{choice.id}"
        found = [*_member_problems(callback), *_state_problems(callback.state_dict)]
        other = keys.setdefault(callback.state_key, choice.id)
        if other != choice.id and type(callback).state_dict is not pl.Callback.state_dict:
            found.append(
                f"its state has the same key as that of {other!r}: {callback.state_key!r}; give it a `state_key`"
            )
        problems += [_problem(resolved, key, choice, what) for what in found]
    if problems:
        raise PluginError(*problems)


def vet_state(resolved: Resolved, key: str, choice: Choice, state: Callable[[], Mapping[str, Any]]) -> None:
    """Refuse a component whose state could be saved but not loaded again.

    Raises
    ------
    PluginError
        With the plugin, the key and the type.
    """
    problems = [_problem(resolved, key, choice, what) for what in _state_problems(state)]
    if problems:
        raise PluginError(*problems)


def _problem(resolved: Resolved, key: str, choice: Choice, what: str) -> Problem:
    return Problem(what=f"{choice.title}: {what}", where=resolved.where(key), key=key)


def _member_problems(callback: pl.Callback) -> Iterator[str]:
    for name in _OVERWRITTEN:
        if hasattr(callback, name):
            yield f"Lightning overwrites the attribute `{name}` of every callback; name it otherwise"
    for name in _NEVER_CALLED:
        if getattr(type(callback), name) is not getattr(pl.Callback, name):
            todo = "gradients are whole in `on_before_optimizer_step`"
            yield f"`{name}` is never called here, because a step has several backward passes; {todo}"


def _state_problems(state: Callable[[], Any]) -> Iterator[str]:
    try:
        saved = state()
    except Exception as error:  # noqa: BLE001 - whatever it raises now it would raise at the first checkpoint
        yield f"its state cannot be asked for: {type(error).__name__}: {error}"
        return
    if not isinstance(saved, Mapping):
        yield f"its state is a {type(saved).__name__}, not a mapping"
        return
    for place, kind in unsafe_parts(dict(saved)):
        yield f"its state cannot be saved safely: {place or 'it'} is {kind}, not a plain value or a tensor"
