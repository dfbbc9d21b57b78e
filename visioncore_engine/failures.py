"""What is told where a run fails: whose code it was, what to try where memory ran out, and who failed first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from visioncore_engine.attribution import culprit_of, missed
from visioncore_engine.config import Resolved
from visioncore_engine.errors import EngineError, RunError, StorageError
from visioncore_engine.folder import STORAGE_ERRORS
from visioncore_engine.launch import Place
from visioncore_engine.memory import advice, ran_out_of_memory

__all__ = ["failures_named"]


@contextmanager
def failures_named(resolved: Resolved, place: Place, *, training: bool = True) -> Iterator[None]:
    """Turn whatever ends a run into an error that says whose it is.

    Parameters
    ----------
    resolved, place
        The run, and this process among all.
    training
        Whether a failure in nobody's code is the run's (numbers, devices, memory); before training it is a defect of
        ours, and stays what it is.

    Raises
    ------
    RunError, StorageError
        With the plugin, its version, what was called and the rank, where a plugin's code is in the traceback.
    """
    try:
        yield
    except RunError as error:  # a builder's: it names its plugin already
        if training or place.world_size == 1:
            raise
        raise RunError(f"{error} (on rank {place.rank})") from error
    except EngineError:
        raise
    except (Exception, SystemExit) as error:  # a plugin that calls `sys.exit` has not finished the run
        culprit = culprit_of(error, resolved, place.rank)
        if told := missed(error):
            raise RunError(f"run failed: {culprit}another process has ended, and says why itself ({told})") from error
        if ran_out_of_memory(error):
            rank = f" on rank {place.rank}" if place.world_size > 1 else ""
            todo = advice(resolved.run, error, place.world_size)
            what = str(error).partition("\n")[0] or type(error).__name__
            raise RunError(f"run failed: {culprit}out of memory{rank}: {what}; {todo}") from error
        if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
            raise StorageError(f"storage failed: {culprit}{error}") from error
        if not training and not culprit:
            raise
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        raise RunError(f"run failed: {culprit}{type(error).__name__}: {error}{notes}") from error
