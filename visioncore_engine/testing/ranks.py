"""A function in several processes that talk to each other, as the processes of a run do."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from visioncore_engine.testing.folder import fresh_folder

__all__ = ["RankError", "run_ranks"]

_GRACE = 5.0  # seconds to end, before SIGKILL


class RankError(AssertionError):
    """What one of the processes raised, with its number and its traceback; or that they did not end in time."""


def run_ranks(function: Callable[..., Any], world_size: int, *arguments: Any, timeout: float = 120.0) -> list[Any]:
    """Call ``function(rank, *arguments)`` in several processes with a process group of torch (gloo).

    Parameters
    ----------
    function
        A function at the top of a module, which the processes import anew.
    world_size
        How many processes.
    *arguments
        Handed to all of them; pickled.
    timeout
        Seconds until those that are left are ended.

    Returns
    -------
    What each process returned, in the order of ranks.

    Raises
    ------
    RankError
        Where one of them raised or died (the first, with its traceback), or time ran out. None is left behind.
    ValueError
        For a function that cannot be found by name.
    """
    place = _place_of(function)
    context = multiprocessing.get_context("spawn")
    rendezvous = fresh_folder() / "rendezvous"
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        for rank in range(world_size):
            ours, theirs = context.Pipe(duplex=False)
            group = (rank, world_size, str(rendezvous))
            process = context.Process(target=_work, args=(theirs, place, group, arguments), daemon=True)
            process.start()
            theirs.close()
            started.append((process, ours))
        return _results(started, time.monotonic() + timeout, timeout)
    finally:
        _end([process for process, _ in started])


def _place_of(function: Callable[..., Any]) -> tuple[str, str, str]:
    """Module, name and file of a function at the top of a module."""
    module = sys.modules.get(function.__module__)
    name = function.__qualname__
    if module is None or getattr(module, name, None) is not function:
        raise ValueError(f"{name!r} is not a function at the top of a module: other processes cannot find it")
    return function.__module__, name, str(getattr(module, "__file__", "") or "")


def _work(told: Connection, place: tuple[str, str, str], group: tuple[int, int, str], arguments: Sequence[Any]) -> None:
    """Run in one of the processes."""
    os.environ["OMP_NUM_THREADS"] = "1"
    rank, world_size, rendezvous = group
    try:
        import torch
        import torch.distributed as dist

        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
        told.send((True, _find(*place)(rank, *arguments), time.monotonic()))
        dist.destroy_process_group()
    except BaseException:  # noqa: BLE001 - whatever it is, the test that waits must hear of it
        with contextlib.suppress(OSError):
            told.send((False, traceback.format_exc(), time.monotonic()))
        os._exit(1)  # without waiting for a group whose other members may be gone


def _find(module: str, name: str, file: str) -> Callable[..., Any]:
    """Find the function, by its file where its module cannot be imported by name, as that of a test."""
    try:
        found = importlib.import_module(module)
    except ImportError:
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise
        sys.path.insert(0, str(Path(file).parent))
        found = sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    function: Callable[..., Any] = getattr(found, name)
    return function


def _results(started: Sequence[tuple[BaseProcess, Connection]], deadline: float, timeout: float) -> list[Any]:
    results: dict[int, Any] = {}
    waiting = {pipe: rank for rank, (_, pipe) in enumerate(started)}
    while waiting:
        ready = wait(list(waiting), timeout=max(0.0, deadline - time.monotonic()))
        if not ready:
            ranks = ", ".join(str(rank) for rank in sorted(waiting.values()))
            raise RankError(f"after {timeout:g} seconds these of {len(started)} processes had not ended: {ranks}")
        told = {waiting.pop(pipe): _hear(pipe) for pipe in ready if isinstance(pipe, Connection)}
        failed = [(when, rank, what) for rank, (done, what, when) in told.items() if not done]
        if failed:
            _, rank, what = min(failed)  # the first: the others miss it
            raise RankError(f"process {rank} of {len(started)}: {what}")
        results |= {rank: what for rank, (_, what, _) in told.items()}
    return [results[rank] for rank in range(len(started))]


def _hear(pipe: Connection) -> tuple[bool, Any, float]:
    try:
        done, what, when = pipe.recv()
    except EOFError:
        return False, "it died without a word", time.monotonic()
    return done, what, when


def _end(processes: Sequence[BaseProcess]) -> None:
    deadline = time.monotonic() + _GRACE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()) if process.exitcode is None else 0.0)
        if process.is_alive():
            process.kill()
            process.join()
