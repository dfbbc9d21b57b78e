"""Compiling what has the same shapes in every step, so that it is compiled once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from visioncore_engine.errors import ConfigError, Problem

__all__ = ["compile_parts"]


def compile_parts(model: nn.Module, device: str, backend: str | Callable[..., Any] = "inductor") -> tuple[str, ...]:
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

    Returns
    -------
    Names of the modules.

    Raises
    ------
    ConfigError
        Where the model names no such module, or there is no compiler.
    """
    names: tuple[str, ...] = tuple(getattr(model, "compilable", ()))
    key = "trainer.compile"
    if not names:
        what = f"{type(model).__name__} names no part that can be compiled"
        raise ConfigError(Problem(what=what, key=key, todo="leave `compile` out"))
    compilers = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    if backend == "inductor" and device == "cpu" and not any(shutil.which(name) for name in compilers if name):
        raise ConfigError(
            Problem(what="compiling for a CPU needs a C++ compiler", key=key, todo="install g++, or leave it out")
        )
    torch._dynamo.config.fail_on_recompile_limit_hit = True  # noqa: SLF001 - torch has no other name for it
    for name in names:
        model.get_submodule(name).compile(backend=backend, dynamic=False, fullgraph=True)
    return names
