"""A signal sets a flag; the run stops at the next step boundary, on all processes alike."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytorch_lightning as pl

from visioncore_engine.module import TrainingModule

__all__ = ["SIGNALS", "flagged_signals", "own_signals"]

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_SAME_SECONDS = 2.0


def own_signals(trainer: pl.Trainer) -> None:
    """Switch off what Lightning does on signals: a broadcast in every step, and one inside its handler.

    Raises
    ------
    AssertionError
        Where Lightning has renamed them; a test of ours fails first.
    """
    loop, connector = trainer.fit_loop.epoch_loop, vars(trainer)["_signal_connector"]
    assert hasattr(loop, "_broadcast_sigterm_tensor"), "Lightning renamed its broadcast of SIGTERM"
    assert hasattr(connector, "register_signal_handlers"), "Lightning renamed its signal handlers"
    loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]  # noqa: SLF001 - see the docstring
    connector.register_signal_handlers = _nothing


def _nothing() -> None:
    """Do nothing."""


@contextmanager
def flagged_signals(module: TrainingModule) -> Iterator[None]:
    """Handle SIGTERM, SIGINT and SIGUSR1 by a flag; a second one of the same kind acts at once, as without us.

    One that comes again within `_SAME_SECONDS` is the same: sent to all processes of a group, it also reaches those
    that their launcher hands it on to.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers; a run elsewhere is its owner's business
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    seen: dict[int, float] = {}

    def flag(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number not in seen:
            seen[number], module.stop_requested = now, number
            name = signal.Signals(number).name
            # No stream of Python's: the signal may have interrupted one that is writing.
            os.write(2, f"{name}: saving at the next step, then stopping; once more ends at once\n".encode())
        # Whoever watches over the processes (srun) ends those that are left by SIGTERM when the first of them has
        # saved and ended: that must not reach the one that still has to tell its launcher.
        elif now - seen[number] > _SAME_SECONDS and not (number == signal.SIGTERM and module.stop_agreed):
            signal.signal(number, before[signal.Signals(number)])
            os.kill(os.getpid(), number)

    for number in SIGNALS:
        signal.signal(number, flag)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
