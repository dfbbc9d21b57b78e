"""Compiling what has the same shapes in every step, so that it is compiled once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from visioncore_engine.errors import ConfigError, Problem

__all__ = ["Replays", "compile_parts"]


class Replays:
    """What CUDA graphs ask of those who replay them: each replay writes its outputs where the one before wrote its own.

    Parameters
    ----------
    graphs
        Whether there are any; otherwise nothing is done.
    """

    def __init__(self, *, graphs: bool) -> None:
        self._graphs = graphs

    def begin(self) -> None:
        """Say that nothing of the passes so far is used any more; a pass without a backward pass leaves that open."""
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def keep(self, parameters: Iterable[nn.Parameter]) -> None:
        """Copy gradients out of the way of the next replay, which is to be added to them."""
        if self._graphs:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad = parameter.grad.clone()


def compile_parts(
    model: nn.Module, device: str, backend: str | Callable[..., Any] = "inductor", *, graphs: bool = False
) -> tuple[str, ...]:
    """Compile the modules that a model names as ``compilable``, in place: names of parameters stay what they are.

    A training has four shapes at most (whole and last batches of training and of validation). Where a module meets more
    than torch keeps, it would silently run uncompiled: that is an error here.

    Parameters
    ----------
    model
        A model (`visioncore_engine.contracts.Model`).
    device
        What it runs on; on a CPU a C++ compiler is needed.
    backend
        What `torch.compile` hands the graphs to.
    graphs
        Whether what was compiled is recorded as CUDA graphs too (`Replays`).

    Returns
    -------
    Names of the modules.

    Raises
    ------
    ConfigError
        Where the model names no such module, or there is no compiler; and for CUDA graphs without a GPU.
    """
    names: tuple[str, ...] = tuple(getattr(model, "compilable", ()))
    key = "trainer.compile"
    if not names:
        what = f"{type(model).__name__} names no part that can be compiled"
        raise ConfigError(Problem(what=what, key=key, todo="leave `compile` out"))
    if graphs and device == "cpu":
        todo = "write `compile: true`, or train on a GPU"
        raise ConfigError(Problem(what="CUDA graphs need a GPU", key=key, given="graphs", todo=todo))
    compilers = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    if backend == "inductor" and device == "cpu" and not any(shutil.which(name) for name in compilers if name):
        raise ConfigError(
            Problem(what="compiling for a CPU needs a C++ compiler", key=key, todo="install g++, or leave it out")
        )
    torch._dynamo.config.fail_on_recompile_limit_hit = True  # noqa: SLF001 - torch has no other name for it
    mode = "reduce-overhead" if graphs else None
    for name in names:
        model.get_submodule(name).compile(backend=backend, mode=mode, dynamic=False, fullgraph=True)
    return names
