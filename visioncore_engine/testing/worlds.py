"""The state of a process that components must leave as they found it."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["generators", "preserved", "process_state", "restored", "seeded"]


def generators() -> Mapping[str, Any]:
    """State of every global random generator."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - it is looked at, not drawn from
    return {
        "Python's `random`": random.getstate(),
        "NumPy's global generator": (name, np.asarray(keys), *rest),
        "torch's global generator": torch.get_rng_state(),
    }


@contextmanager
def seeded(seed: int = 7) -> Iterator[None]:
    """Seed the global generators for a while, and put them back as they were."""
    with preserved():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - as the engine does
        torch.manual_seed(seed)
        yield


@contextmanager
def preserved() -> Iterator[None]:
    """Put the global generators back afterwards as they were."""
    python, numpy, own = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - put back below
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - as it was
        torch.set_rng_state(own)


def process_state() -> Mapping[str, Any]:
    """Everything else that a component could change for others in the process."""
    return {
        "torch's default dtype": str(torch.get_default_dtype()),
        "torch's number of threads": torch.get_num_threads(),
        "whether gradients are recorded": torch.is_grad_enabled(),
        "whether torch is deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch's float32 precision": torch.get_float32_matmul_precision(),
        "NumPy's error handling": np.geterr(),
        "sys.path": list(sys.path),
        "the environment": dict(os.environ),
        "the working folder": str(Path.cwd()),
        "the handler of SIGTERM": signal.getsignal(signal.SIGTERM),
        "the handler of SIGINT": signal.getsignal(signal.SIGINT),
    }


@contextmanager
def restored() -> Iterator[None]:
    """Put back afterwards what a component has changed for others: one check must not hide it from the next."""
    dtype, threads, grad = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    deterministic, precision = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()
    errors, path, environment, folder = np.geterr(), list(sys.path), dict(os.environ), Path.cwd()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with preserved():
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            torch.set_grad_enabled(grad)
            torch.use_deterministic_algorithms(deterministic)
            torch.set_float32_matmul_precision(precision)
            np.seterr(**errors)
            sys.path[:] = path
            for name in set(os.environ) - set(environment):
                del os.environ[name]
            os.environ.update(environment)
            os.chdir(folder)
            for number, handler in handlers.items():
                signal.signal(number, handler)
