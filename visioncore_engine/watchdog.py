"""Notices that a process hangs, says where, and ends it: a job that waits for ever costs more than one that fails.

Torch-free. Work that goes on gives a sign of life (`beat`): each step, each validation batch, each checkpoint. A thread
of each process counts the seconds since the last one, but only those in which it ran itself: a process that was stopped
and woken again does not hang. When the limit is passed, every process writes the stacks of all its threads and ends.
"""

from __future__ import annotations

import faulthandler
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from visioncore_engine.errors import Hung

__all__ = ["SETUP_ALLOWANCE", "Watchdog"]

SETUP_ALLOWANCE = 6.0  # times the limit, until the first step is done: reading, fitting and compiling give no sign
_POLL_SECONDS = 1.0
_OTHERS_SECONDS = 15.0  # that the first to notice waits for the stacks of the others, on a host that may be busy


class Watchdog:
    """Watches the thread that trains.

    Parameters
    ----------
    limit
        Seconds without a sign of life; infinite where nothing is watched.
    folder
        Where stacks go: ``rank-<rank>.txt``, the same folder for all processes. A file that appears or changes there
        tells the others to write theirs.
    rank, world_size
        This process among all.
    locate
        Says in whose code a frame stands.
    clock
        Seconds; for tests.
    end
        Ends the process; for tests.
    """

    def __init__(
        self,
        limit: float,
        folder: Path,
        *,
        rank: int,
        world_size: int,
        locate: Callable[[FrameType], str],
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._limit, self._folder = limit, folder
        self._rank, self._world_size = rank, world_size
        self._locate, self._clock, self._end = locate, clock, end
        self._interval = min(_POLL_SECONDS, limit / 4)
        self._watched = threading.get_ident()
        self._stopped = threading.Event()
        self._found_there = self._stacks()
        self._last_poll = clock()
        self._phase, self._step, self._allowance, self._age = "set-up", None, SETUP_ALLOWANCE, 0.0

    _phase: str
    _step: int | None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch in a thread while the context lasts, or until `stop`."""
        if math.isinf(self._limit):
            yield
            return
        thread = threading.Thread(target=self._watch, name="visioncore-watchdog", daemon=True)
        self._last_poll = self._clock()
        thread.start()
        try:
            yield
        finally:
            self.stop()
            thread.join()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def beat(self, phase: str | None = None, step: int | None = None, allowance: float = 1.0) -> None:
        """Give a sign of life.

        Parameters
        ----------
        phase
            What begins now; None where what was begun goes on.
        step
            Optimizer step, counted from 0.
        allowance
            How many times the limit this may take.
        """
        if phase is not None:
            self._phase, self._step, self._allowance = phase, step, allowance
        self._age = 0.0

    def _watch(self) -> None:
        while not self._stopped.wait(self._interval):
            self.poll()

    def poll(self) -> None:
        """Look once whether this process hangs, or another one says that it does."""
        now = self._clock()
        # A process that was stopped, or starved, finds much time gone in one poll: that is no sign of a hang.
        self._age += min(now - self._last_poll, 2 * self._interval)
        self._last_poll = now
        if self._age > self._limit * self._allowance:
            self._give_up(f"no sign of life for {self._age:.0f} s")
        elif self._world_size > 1 and self._stacks() != self._found_there:
            self._give_up("another process hangs")

    def _give_up(self, why: str) -> None:
        """Say where this process stands, leave its stacks, wait for those of the others, and end."""
        self._stopped.set()
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - the documented way to see another thread
        where = self._locate(frame) if frame is not None else "its thread has ended"
        step = "" if self._step is None else f" of step {self._step}"
        message = f"hang: rank {self._rank}: {why} in {self._phase}{step} ({where}); stacks are in {self._folder}\n"
        os.write(2, message.encode())  # no stream of Python's: the thread that hangs may hold its lock
        faulthandler.dump_traceback(2, all_threads=True)
        self._write_stacks(message)
        for _ in range(int(_OTHERS_SECONDS / 0.1)):
            if all(self._is_new(rank) for rank in range(self._world_size)):
                break
            time.sleep(0.1)
        flush = threading.Thread(target=_flush, daemon=True)
        flush.start()
        flush.join(1.0)  # the same lock
        self._end(Hung.exit_code)

    def _write_stacks(self, message: str) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"rank-{self._rank}.txt"
            part = path.with_suffix(".part")
            with part.open("w", encoding="utf-8") as file:
                file.write(message)
                file.flush()
                faulthandler.dump_traceback(file, all_threads=True)
            part.replace(path)  # whoever sees the file may end, and this process with it: it must be whole
        except OSError as error:  # a disk that does not answer may be why it hangs; the stacks are on standard error
            os.write(2, f"hang: cannot write {self._folder}: {error.strerror}\n".encode())

    def _stacks(self) -> Mapping[str, tuple[int, int]]:
        """Files of stacks that are there, with time and size."""
        try:
            found = {entry.name: entry.stat() for entry in os.scandir(self._folder) if entry.name.endswith(".txt")}
        except OSError:  # not there, as it should be; or just being replaced
            return {}
        return {name: (state.st_mtime_ns, state.st_size) for name, state in found.items()}

    def _is_new(self, rank: int) -> bool:
        name = f"rank-{rank}.txt"
        return self._stacks().get(name) != self._found_there.get(name)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
