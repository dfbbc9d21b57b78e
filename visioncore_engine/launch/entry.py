"""The start of a training: which process this is, which folder it works in, and whether it is the one to train."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from visioncore_engine.config import Resolved
from visioncore_engine.errors import ConfigError, UserError
from visioncore_engine.folder import RunFolder, write_text
from visioncore_engine.launch.contract import RUN_DIR_VARIABLE, Job, Launcher, LauncherFacts, Place
from visioncore_engine.launch.local import LocalLauncher
from visioncore_engine.registry import Registry
from visioncore_engine.secrets import SECRETS_VARIABLE

__all__ = ["Entry", "begin", "command_beside", "enter", "train_command"]

_MAIN = "from visioncore_engine.cli import main; raise SystemExit(main())"


@dataclass(frozen=True)
class Entry:
    """How this process takes part in a run.

    Attributes
    ----------
    launcher
        What the run chose, else `LocalLauncher`.
    folder
        The run folder, the same in all processes.
    place
        Place of this process; None where others have trained, or will.
    resume
        Whether the run goes on with what the folder holds.
    begun
        Whether the folder holds the resolved run already.
    handed_to
        Who trains it later; empty where nobody does.
    """

    launcher: Launcher
    folder: RunFolder
    place: Place | None
    resume: bool
    begun: bool
    handed_to: str = ""


def enter(
    resolved: Resolved, *, resume: bool, quiet: bool, count_gpus: Callable[[], int], flags: Sequence[str] = ()
) -> Entry:
    """Find the place of this process, or start the processes of the run and wait for them.

    Parameters
    ----------
    resolved
        The run.
    resume, quiet
        As for `train`.
    count_gpus
        Counts the GPUs that the run may use here; called only where the run leaves their number open.
    flags
        What ``visioncore train`` was called with, for the processes that are started.

    Raises
    ------
    UserError
        For mistakes about folder, launcher and processes.
    RunError, StorageError, Stopped
        As the first process that failed, where others were started.
    """
    launcher = _launcher(resolved, count_gpus)
    with _placed(resolved):
        place = launcher.place()
        if place is None:
            return _start(resolved, launcher, resume=resume, flags=[*flags, *["--quiet"] * quiet])
        given = os.environ.get(RUN_DIR_VARIABLE)
        choose = partial(_choose, resolved, resume=resume, restarted=place.restarted)
        folder = RunFolder(Path(given) if given else launcher.agree(place, choose))
    return Entry(launcher, folder, place, resume or place.restarted, begun=bool(given))


def begin(folder: RunFolder, resolved: Resolved, *, keep: bool) -> None:
    """Make the run folder, with the resolved run in it; `keep` leaves a run that it holds as it is."""
    folder.create()
    if not (keep and folder.run_file.exists()):
        write_text(folder.run_file, resolved.to_yaml())


def _start(resolved: Resolved, launcher: Launcher, *, resume: bool, flags: Sequence[str]) -> Entry:
    folder = RunFolder(_choose(resolved, resume=resume, restarted=False))
    begin(folder, resolved, keep=resume)
    run_file = folder.run_file
    if resume:  # the run may go on otherwise than it began: longer, or with what it allows to differ
        run_file = folder.path / "resumed.yaml"
        write_text(run_file, resolved.to_yaml())
    job = Job(folder.path.resolve(), train_command(run_file, resolved.registry, flags), resume)
    return Entry(launcher, folder, None, resume, begun=True, handed_to=launcher.start(job) or "")


@contextmanager
def _placed(resolved: Resolved) -> Iterator[None]:
    """Tell where the run file says what a launcher refuses."""
    try:
        yield
    except UserError as error:
        told = [replace(one, where=one.where or resolved.where(one.key)) if one.key else one for one in error.problems]
        raise type(error)(*told) from error


def _launcher(resolved: Resolved, count_gpus: Callable[[], int]) -> Launcher:
    run = resolved.run
    secrets = resolved.secrets()
    handed_on = {SECRETS_VARIABLE: json.dumps(secrets)} if secrets else {}  # the run file that others read hides them
    facts = LauncherFacts({**os.environ, **handed_on}, run.trainer.devices, count_gpus, resolved.name, run.run.dir)
    if run.launch is None:
        return LocalLauncher(facts)
    launcher: Launcher = run.launch.build(facts)
    return launcher


def _choose(resolved: Resolved, *, resume: bool, restarted: bool) -> Path:
    try:
        return RunFolder.open(resolved.name, resolved.run.run.dir, resume=resume or restarted).path
    except ConfigError:
        if resume or not restarted:
            raise
        return RunFolder.open(resolved.name, resolved.run.run.dir, resume=False).path  # it ended before it had begun


def train_command(run_file: Path, registry: Registry, flags: Sequence[str]) -> tuple[str, ...]:
    """Command that trains a resolved run in a process of its own, with the same plugins."""
    return (sys.executable, "-c", _MAIN, "train", str(run_file.resolve()), *_plugins(registry), *flags)


def command_beside(registry: Registry, *words: str) -> tuple[str, ...]:
    """Command of ``visioncore`` for a process beside this one: same plugins, low priority, gone when this one is."""
    first = f"import os; from visioncore_engine.launch import end_with; end_with({os.getpid()}, {int(signal.SIGKILL)})"
    return (sys.executable, "-c", f"{first}; os.nice(10); {_MAIN}", *words, *_plugins(registry))


def _plugins(registry: Registry) -> list[str]:
    """Flags that choose the same plugins."""
    flags = []
    for plugin in registry.plugins:
        if plugin.status == "blocked":
            flags += ["--block", plugin.name]
        elif not plugin.distribution and plugin.source:
            flags += ["--plugin", plugin.source]
    return flags
