"""Where logged values go, at arm's length: no logger makes training wait, and none ends it.

Each logger has a bounded queue and a thread of its own, so that one that is slow keeps back neither training nor the
others. What does not fit is dropped and counted. A logger that is the record of the run itself (`writes_at_once`: local
files, well under a millisecond a row) is called in the training thread instead: its rows are never dropped, and no
checkpoint has to wait for them.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pytorch_lightning.loggers import Logger

from visioncore_engine.attribution import culprit_of
from visioncore_engine.config import Resolved
from visioncore_engine.contracts import LoggerFacts
from visioncore_engine.errors import StorageError, UserError
from visioncore_engine.options import Choice

__all__ = ["AbsentSink", "DirectSink", "QueuedSink", "Sink", "Sinks", "open_sinks"]

CAPACITY = 1000  # rows that wait for a logger
SETTLE_SECONDS = 1.0  # that a checkpoint waits for rows on their way; once, for a logger that does not keep up
PATIENCE_SECONDS = 2.0  # that the end of a run waits; a logger may say otherwise (`patience`)


class Sink(Protocol):
    """One logger, as the run sees it; `id` is that of its block."""

    id: str

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take a row."""
        ...

    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Take pictures, where the logger takes any."""
        ...

    def settle(self, deadline: float) -> None:
        """Wait for rows on their way, until `deadline` of `time.monotonic` at the latest."""
        ...

    def end(self, status: str) -> None:
        """Say that nothing more comes."""
        ...

    def close(self) -> None:
        """Wait for the end, with an end to the wait."""
        ...

    def resume_id(self) -> str | None:
        """What the logger needs to go on after a resume."""
        ...


class _Guarded:
    """Calls a logger; the first failure switches it off.

    Parameters
    ----------
    block_id
        Id of the logger's block.
    logger
        The logger.
    describe
        Says whose code raised, for an exception of the logger.
    """

    def __init__(self, block_id: str, logger: Logger, describe: Callable[[BaseException], str]) -> None:
        self.id = block_id
        self._logger, self._describe = logger, describe
        self._is_off = False
        self._show: Callable[[dict[str, Path], int], None] | None = getattr(logger, "log_pictures", None)

    def resume_id(self) -> str | None:
        found: str | None = getattr(self._logger, "resume_id", None)
        return found

    def _write(self, values: Mapping[str, float], step: int) -> None:
        self._logger.log_metrics(dict(values), step)
        self._logger.save()

    def _write_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        assert self._show is not None
        self._show(dict(pictures), step)
        self._logger.save()

    def _call(self, work: Callable[..., None], *arguments: Any) -> None:
        if self._is_off:
            return
        try:
            work(*arguments)
        except StorageError:
            self._is_off = True
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a logger may fail in any way: training goes on
            self._is_off = True
            _warn(
                f"logger {self.id!r} is switched off, training goes on: "
                f"{self._describe(error)}{type(error).__name__}: {error}"
            )


class DirectSink(_Guarded):
    """A logger that is called in the training thread.

    Raises
    ------
    StorageError
        From every method, where the disk is full.
    """

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write a row."""
        self._call(self._write, values, step)

    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Hand pictures over, where the logger takes any."""
        if self._show is not None:
            self._call(self._write_pictures, pictures, step)

    def settle(self, deadline: float) -> None:
        """Nothing is ever on its way."""

    def end(self, status: str) -> None:
        """Let the logger close its files."""
        self._call(self._logger.finalize, status)

    def close(self) -> None:
        """Nothing is ever on its way."""


class QueuedSink(_Guarded):
    """A logger with a queue and a thread.

    Parameters
    ----------
    block_id, logger, describe
        As for `DirectSink`.
    capacity
        Rows that may wait.
    """

    def __init__(
        self,
        block_id: str,
        logger: Logger,
        describe: Callable[[BaseException], str],
        capacity: int = CAPACITY,
    ) -> None:
        super().__init__(block_id, logger, describe)
        self._waiting: queue.Queue[tuple[Callable[..., None], Mapping[str, Any], int] | str] = queue.Queue(capacity)
        self._idle = threading.Condition()
        self._num_rows = self._num_handled = self._num_dropped = 0
        self._is_late = self._is_left = False
        self._failure: StorageError | None = None
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._work, name=f"visioncore-logger-{block_id}", daemon=True)
        self._thread.start()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Queue a row, or drop it where the queue is full; returns at once."""
        self._queue(self._write, values, step)

    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Queue pictures as a row, where the logger takes any."""
        if self._show is not None:
            self._queue(self._write_pictures, pictures, step)

    def _queue(self, work: Callable[..., None], values: Mapping[str, Any], step: int) -> None:
        self._raise_failure()
        if self._is_off:
            return
        self._num_rows += 1
        try:
            self._waiting.put_nowait((work, dict(values), step))
        except queue.Full:
            self._num_dropped += 1
            if self._num_dropped == 1:
                _warn(f"logger {self.id!r} is {self._waiting.maxsize} rows behind; what does not fit is dropped")

    def settle(self, deadline: float) -> None:
        """Wait until every row that was queued is written; a logger that was late is not waited for again."""
        with self._idle:
            if not self._is_late:
                self._is_late = not self._idle.wait_for(self._has_caught_up, deadline - time.monotonic())
        self._raise_failure()

    def end(self, status: str) -> None:
        """Queue the end."""
        self._deadline = time.monotonic() + float(getattr(self._logger, "patience", PATIENCE_SECONDS))
        try:
            self._waiting.put_nowait(status)
        except queue.Full:  # far behind: `close` will not see it end, and says so
            return

    def close(self) -> None:
        """Wait for the last row and the logger's own end; says what was lost."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        self._is_left = True  # the thread ends after the call that it is in
        lost = self._num_rows - self._num_handled
        if not self._is_off and lost:
            _warn(f"logger {self.id!r} has not taken {lost} of {self._num_rows} rows")
        elif not self._is_off and self._thread.is_alive():
            _warn(f"logger {self.id!r} has taken all rows, but has not ended yet")
        self._raise_failure()

    def _work(self) -> None:
        while not self._is_left:
            item = self._waiting.get()
            try:
                if isinstance(item, str):
                    self._call(self._logger.finalize, item)
                    return
                self._call(*item)
            except StorageError as error:
                self._failure = error
            with self._idle:
                self._num_handled += 1
                if self._has_caught_up():
                    self._is_late = False
                self._idle.notify_all()

    def _has_caught_up(self) -> bool:
        return self._num_handled >= self._num_rows - self._num_dropped

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


class AbsentSink:
    """A logger that could not be built; keeps what a checkpoint says of it for a later resume."""

    def __init__(self, block_id: str, resume_id: str | None) -> None:
        self.id, self._resume_id = block_id, resume_id

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Drop a row."""

    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Drop pictures."""

    def settle(self, deadline: float) -> None:
        """Nothing is on its way."""

    def end(self, status: str) -> None:
        """There is nothing to end."""

    def close(self) -> None:
        """There is nothing to close."""

    def resume_id(self) -> str | None:
        """What the checkpoint said."""
        return self._resume_id


class Sinks(Logger):
    """What Lightning sees of a run's loggers: one that returns at once. Empty on all processes but the first.

    Parameters
    ----------
    folder
        The run folder.
    sinks
        The loggers.
    """

    def __init__(self, folder: Path, sinks: Sequence[Sink] = ()) -> None:
        super().__init__()
        self._folder, self._sinks = folder, tuple(sinks)
        self._is_closed = False

    @property
    def name(self) -> str:
        """Nothing: each logger has a name of its own."""
        return ""

    @property
    def version(self) -> str:
        """Nothing: the run folder is the version."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run folder."""
        return str(self._folder)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hand a row to every logger.

        Raises
        ------
        StorageError
            Where a file of the run cannot be written.
        """
        values = {name: float(value) for name, value in metrics.items()}
        for sink in self._sinks:
            sink.log(values, 0 if step is None else step)

    def log_pictures(self, pictures: Mapping[str, Path], step: int) -> None:
        """Hand pictures to every logger that takes any.

        Raises
        ------
        StorageError
            Where a file of the run cannot be written.
        """
        for sink in self._sinks:
            sink.log_pictures(pictures, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Ignore them: every logger was built with the resolved run."""

    def state(self) -> dict[str, str | None]:
        """What each logger needs to go on after a resume, by id; waits a moment for rows on their way."""
        deadline = time.monotonic() + SETTLE_SECONDS
        for sink in self._sinks:
            sink.settle(deadline)
        return {sink.id: sink.resume_id() for sink in self._sinks}

    def finalize(self, status: str) -> None:
        """End every logger, and wait for each as long as its patience lasts.

        Raises
        ------
        StorageError
            Where a file of the run cannot be written, unless the run has failed already.
        """
        if self._is_closed:
            return
        self._is_closed = True
        for sink in self._sinks:
            self._call(status, sink.end, status)
        for sink in self._sinks:  # they end side by side, so that the waits do not add up
            self._call(status, sink.close)

    @staticmethod
    def _call(status: str, work: Callable[..., None], *arguments: str) -> None:
        try:
            work(*arguments)
        except StorageError as error:
            if status == "success":
                raise
            _warn(str(error))


def open_sinks(resolved: Resolved, folder: Path, resume_ids: Mapping[str, str | None]) -> Sinks:
    """Build the loggers of a run.

    Parameters
    ----------
    resolved
        The run.
    folder
        The run folder.
    resume_ids
        What each logger left in the checkpoint that the run resumes from, by id.

    Raises
    ------
    UserError
        Where a logger refuses its options. One that fails otherwise is left out, and said.
    """

    def facts(choice: Choice) -> LoggerFacts:
        return LoggerFacts(folder, resolved.run.run.name, resolved.dump(), resume_ids.get(choice.id))

    def open_one(choice: Choice) -> Sink:
        def describe(error: BaseException) -> str:
            return culprit_of(error, resolved) or f"plugin {choice.plugin!r}: "

        try:
            logger = choice.build(facts(choice))
        except (UserError, StorageError):
            raise
        except Exception as error:  # noqa: BLE001 - a tracker that is down may fail in any way: training goes on
            _warn(f"logger {choice.id!r} is left out: {describe(error)}{type(error).__name__}: {error}")
            return AbsentSink(choice.id, resume_ids.get(choice.id))
        kind = DirectSink if getattr(logger, "writes_at_once", False) else QueuedSink
        return kind(choice.id, logger, describe)

    return Sinks(folder, [open_one(choice) for choice in resolved.run.loggers])


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)  # noqa: T201 - must be seen
