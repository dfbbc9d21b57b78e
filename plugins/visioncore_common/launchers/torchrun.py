"""Processes that torchrun has started, on one host or several."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from visioncore_common.launchers.environment import check_devices, number
from visioncore_common.options.launcher import TorchrunOptions
from visioncore_engine.errors import ConfigError, Problem, RunError
from visioncore_engine.launch import Job, LauncherFacts, Place

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]  # torch does not say that it exports it

__all__ = ["Torchrun"]

_KEY = "run_dir"  # torchrun has a new store for each restart
_REFUSED = "refused"
_CHOSEN = "chosen "


class Torchrun:
    """Finds itself in a process of torchrun; the first of them chooses the run folder and tells the others.

    They are told through the store of torchrun's rendezvous, which stands before any process does, so nothing is
    written before all know where. The folder must be the same on every host (a shared file system) to be resumed.

    Parameters
    ----------
    options, facts
        What the run says, and the environment.
    """

    def __init__(self, options: TorchrunOptions, facts: LauncherFacts) -> None:
        self._options, self._facts = options, facts

    def place(self) -> Place:
        """Place of this process, as torchrun says.

        Raises
        ------
        ConfigError
            Where torchrun did not start it, started another number of processes than the run has, or may start them
            again without a `run.dir`.
        """
        environment = self._facts.environment
        rank, size, local_rank, local_size, node, port = (
            number(environment, name, "torchrun")
            for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_PORT")
        )
        check_devices(self._facts, local_size, "torchrun")
        if number(environment, "TORCHELASTIC_MAX_RESTARTS", "torchrun", "0") and not self._facts.run_dir:
            raise ConfigError(
                Problem(
                    what="a restart by torchrun must know where to go on",
                    key="run.dir",
                    todo="set it, or start torchrun with --max-restarts=0",
                )
            )
        restarted = number(environment, "TORCHELASTIC_RESTART_COUNT", "torchrun", "0") > 0
        address = environment.get("MASTER_ADDR", "127.0.0.1")
        return Place(rank, size, local_rank, local_size, node, address, port, restarted=restarted)

    def agree(self, place: Place, choose: Callable[[], Path]) -> Path:
        """Folder that the first process chose.

        Raises
        ------
        ConfigError
            Where the first process refused, or there is no store to tell through.
        RunError
            Where the first process said nothing in time.
        """
        if place.world_size == 1:
            return choose()
        store = self._store(place)
        if place.rank == 0:
            return _tell(store, choose)
        try:
            told = store.get(_KEY).decode()
        except RuntimeError as error:  # torch's for a time that ran out, or a store that is gone
            raise RunError(f"run failed: the first process did not choose a run folder: {error}") from error
        if told == _REFUSED:
            raise ConfigError("the first process refused to train; its message stands on its own standard error")
        return Path(told.removeprefix(_CHOSEN))

    def start(self, job: Job) -> None:
        """Never called: there always is a place.

        Raises
        ------
        AssertionError
            Where it is.
        """
        raise AssertionError("torchrun has started the processes already")

    def stopped(self, number: int | None) -> None:
        """Do nothing: whoever sent the signal starts again with ``--resume``."""

    def _store(self, place: Place) -> Store:
        if self._facts.environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
            raise ConfigError(
                Problem(
                    what="torchrun's rendezvous offers no store in which processes could agree on a run folder",
                    key="launch",
                    given="torchrun",
                    todo="start torchrun with --rdzv-backend=c10d, or with --standalone on one host",
                )
            )
        from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # as Store

        timeout = timedelta(seconds=self._options.timeout)
        return PrefixStore("visioncore", TCPStore(place.address, place.port, is_master=False, timeout=timeout))


def _tell(store: Store, choose: Callable[[], Path]) -> Path:
    told = _REFUSED
    try:
        path = choose().resolve()
        told = f"{_CHOSEN}{path}"
    finally:
        store.set(_KEY, told)
    return path
