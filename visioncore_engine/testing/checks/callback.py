"""Laws of callbacks: a state that comes back, training and modes left alone, one writer, no trace of a resume."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytorch_lightning as pl
import torch

from visioncore_engine.stopping import AgreeingTrainer
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.observed import difference
from visioncore_engine.testing.saved import expect_plain, saved_and_loaded
from visioncore_engine.testing.scenes.callback import CallbackScene, own_files
from visioncore_engine.testing.tiny import TinyRun
from visioncore_engine.testing.worlds import generators

__all__ = [
    "attributes_are_its_own",
    "callback_state_comes_back",
    "modes_are_left_alone",
    "only_the_first_process_writes",
    "resume_leaves_no_trace",
    "training_is_left_alone",
]

_NEVER_CALLED = ("on_before_zero_grad", "on_before_backward", "on_after_backward")
_OVERWRITTEN = ("log", "log_dict")


@check("callback")
def attributes_are_its_own(case: Case) -> None:
    """It has no attribute that Lightning overwrites, and no hook that is never called."""
    built = case.build()
    for name in _OVERWRITTEN:
        assert not hasattr(built, name), f"Lightning overwrites the attribute `{name}` of every callback: rename it"
    for name in _NEVER_CALLED:
        own = getattr(type(built), name) is not getattr(pl.Callback, name)
        assert not own, f"`{name}` is never called: gradients are whole in `on_before_optimizer_step`"


@check("callback")
def callback_state_comes_back(case: Case) -> None:
    """Its state after a run is plain, and restored into a fresh one it is the same."""
    scene = _scene(case)
    built: pl.Callback = case.build(scene)
    expect_plain(built.state_dict())
    scene.train(built)
    expect_plain(built.state_dict())
    other: pl.Callback = case.build(scene)
    other.load_state_dict(saved_and_loaded(built.state_dict()))
    found = difference(built.state_dict(), other.state_dict())
    assert found is None, f"the state that was restored is not the one that was saved: {found}"
    assert built.state_key == other.state_key, "its `state_key` changes from one process to the next"


@check("callback")
def training_is_left_alone(case: Case) -> None:
    """The weights after a run with it are those of a run without it."""
    scene, alone = _scene(case), TinyRun(fresh_folder())
    alone.train()
    found = difference(alone.weights(), scene.train(case.build(scene)).weights())
    assert found is None, f"with the callback other weights are learned: {found}"


@check("callback")
def modes_are_left_alone(case: Case) -> None:
    """No hook of it leaves another mode, a parameter frozen or thawed, gradients switched, or a generator moved."""
    scene = _scene(case)
    built: pl.Callback = case.build(scene)
    changed: list[str] = []

    def around(name: str, hook: Callable[..., Any], trainer: Any, module: Any, *rest: Any) -> Any:
        before = _modes(module)
        result = hook(trainer, module, *rest)
        changed.extend(f"{name} changes {what}" for what in _changes(before, _modes(module)))
        return result

    with _around_hooks(built, around):
        scene.train(built)
    assert not changed, f"{changed[0]}: put back what you change"


@check("callback")
def only_the_first_process_writes(case: Case) -> None:
    """In any other process it writes no file, and decides and remembers the same as the first."""
    first, other = _scene(case), _scene(case)
    one: pl.Callback = case.build(first)
    weights = first.train(one).weights()
    two: pl.Callback = case.build(other)
    with _around_hooks(two, _in_another_process):
        found = difference(weights, other.train(two).weights())
    files = own_files(other.folder / "run")
    assert not files, f"a process that is not the first writes {', '.join(files)}: ask trainer.is_global_zero"
    assert found is None, f"another process learns other weights than the first: {found}"
    found = difference(one.state_dict(), two.state_dict())
    assert found is None, f"another process remembers other things than the first: {found}"


@check("callback")
def resume_leaves_no_trace(case: Case) -> None:
    """Cut off and resumed, the run ends with the same weights, the same state of the callback and the same files."""
    block = {"name": case.name, **case.options}
    run = TinyRun(fresh_folder(), {"callbacks": [block]}, registry=case.plugins)
    run.train("whole")
    whole, kept = run.checkpoint("whole"), own_files(run.folder / "whole")
    for at in (4, 7):
        name = f"cut at {at}"
        run.train_with_a_break(name, at=at)
        broken = run.checkpoint(name)
        for what in ("state_dict", "callbacks"):
            found = difference(_without_cut(whole[what]), _without_cut(broken[what]))
            assert found is None, f"cut off before step {at} and resumed, {what} is another one: {found}"
        found = difference(kept, own_files(run.folder / name))
        assert found is None, f"cut off before step {at} and resumed, its files are others: {found}"


def _scene(case: Case) -> CallbackScene:
    scene = case.scene_of()
    assert isinstance(scene, CallbackScene), "the scene of a callback is a CallbackScene"
    return scene


def _without_cut(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if "TinyCut" not in name}


def _modes(module: torch.nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {"whether gradients are recorded": torch.is_grad_enabled(), **generators()}
    found |= {f"the mode of {name or 'the module'}": part.training for name, part in module.named_modules()}
    return found | {f"requires_grad of {name}": value.requires_grad for name, value in module.named_parameters()}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    return (what for what in before if difference(before[what], after.get(what)) is not None)


def _in_another_process(name: str, hook: Callable[..., Any], *arguments: Any) -> Any:
    """Call a hook as in the second of two processes."""
    with (
        mock.patch.object(AgreeingTrainer, "is_global_zero", new=False),
        mock.patch.object(AgreeingTrainer, "global_rank", new=1),
        mock.patch.object(pl.utilities.rank_zero_only, "rank", 1),
    ):
        return hook(*arguments)


@contextmanager
def _around_hooks(callback: pl.Callback, around: Callable[..., Any]) -> Iterator[None]:
    """Call `around` (name, hook, arguments) in place of every hook that a callback has."""
    names = [name for name in dir(pl.Callback) if name.startswith("on_")]
    own = [name for name in names if getattr(type(callback), name) is not getattr(pl.Callback, name)]
    for name in own:
        vars(callback)[name] = functools.partial(around, name, getattr(callback, name))
    try:
        yield
    finally:
        for name in own:
            vars(callback).pop(name, None)
