"""Work in a forked child: torch is imported once, a crash is a real one, and every wait has an end.

A child ends by itself, or is ended after a limit and counts as hung; whatever it leaves
running is named and ended too. `fork_workers` makes the engine's launcher fork its workers instead of starting
interpreters: they inherit what a test armed, and the code on the road stays the engine's.
"""

from __future__ import annotations

import ctypes
import faulthandler
import inspect
import os
import select
import signal
import subprocess
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "fork", "fork_workers", "forked"]

LIMIT = 60.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_STACKS = signal.SIGUSR2  # a child that gets it writes the stacks of all its threads


@dataclass(frozen=True)
class Ended:
    """How a child ended: `code` is negative after a signal, and None where it hung."""

    code: int | None
    out: str
    err: str
    seconds: float
    orphans: tuple[str, ...]

    def __str__(self):
        how = "hung" if self.code is None else f"ended with {self.code}"
        return f"{how} after {self.seconds:.1f} s\n--- out\n{self.out}\n--- err\n{self.err}"


def forked(work, folder, *, limit=LIMIT, meanwhile=None, grace=0.0) -> Ended:
    """Run `work` in a child; what it returns is the exit code.

    Parameters
    ----------
    work
        What the child does.
    folder
        Where its output is collected.
    limit
        Seconds after which it counts as hung.
    meanwhile
        Called in the parent with the child's process id.
    grace
        Seconds that what it leaves behind has to end by itself.
    """
    files = [Path(folder) / f"child.{name}" for name in ("out", "err")]
    for file in files:
        file.write_text("")

    def lead():
        os.setsid()
        for descriptor, file in zip((1, 2), files, strict=True):
            os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), descriptor)
        return work()

    _adopt_orphans()
    before = set(_descendants(os.getpid()))
    started = time.monotonic()
    child = fork(lead)
    watch = os.pidfd_open(child)
    try:
        if meanwhile is not None:
            meanwhile(child)
        hung = not _ended(watch, limit)
        seconds = time.monotonic() - started
        if hung:
            _end([child, *_descendants(child)], _STACKS)
            _end([child, *_descendants(child)], signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    finally:
        os.close(watch)
    _await([pid for pid in _descendants(os.getpid()) if pid not in before], grace)
    left = [pid for pid in _descendants(os.getpid()) if pid not in before]
    orphans = tuple(map(_command, left))
    _end(left, signal.SIGKILL)
    out, err = (file.read_text(errors="replace") for file in files)
    return Ended(None if hung else os.waitstatus_to_exitcode(status), out, err, seconds, orphans)


def fork(work) -> int:
    """Fork a process that does `work` and ends with what it returns; its process id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of every fork beside a thread
        child = os.fork()
    if child:
        return child
    code = 1  # as an interpreter that ends with a traceback
    try:
        _forget_the_runner()
        code = work() or 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 1
    except BaseException:  # noqa: BLE001 - there is nothing above this frame
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _forget_the_runner():
    """Drop the streams, handlers and filters of warnings of the process that forked this one."""
    sys.stdout, sys.stderr = (
        open(descriptor, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
        for descriptor in (1, 2)
    )
    warnings.resetwarnings()
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.register(_STACKS, file=2, all_threads=True, chain=False)


def _ended(watch, limit):
    return bool(select.select([watch], [], [], max(0.0, limit))[0])


def _adopt_orphans():
    """Become the parent of what a dead child leaves behind, so that it can be found."""
    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError("this system does not let a process adopt its orphans")


def _descendants(root):
    """Living processes below `root`."""
    children = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:  # ended while we looked
            continue
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(entry.name))
    found = list(children.get(root, []))
    for pid in found:
        found += children.get(pid, [])
    return found


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return str(pid)


def _await(pids, seconds):
    """Wait until processes have ended, `seconds` in all."""
    until = time.monotonic() + seconds
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except OSError:  # ended meanwhile
            continue
        _ended(watch, until - time.monotonic())
        os.close(watch)


def _end(pids, number):
    """Send a signal to processes, and give each a moment to act on it."""
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except OSError:  # ended meanwhile
            continue
        try:
            signal.pidfd_send_signal(watch, number)
            _ended(watch, 0.5 if number == _STACKS else 10.0)
        except ProcessLookupError:
            pass
        finally:
            os.close(watch)


def fork_workers():
    """Let `subprocess` fork every training of ours from this process; all else of `subprocess` stays as it is."""
    original = subprocess.Popen._execute_child
    names = list(inspect.signature(original).parameters)

    def execute(self, *arguments):
        given = dict(zip(names, (self, *arguments), strict=True))
        command = given["args"]
        if isinstance(command, (str, bytes)) or command[0] != sys.executable or "train" not in command:
            return original(self, *arguments)
        self.pid = fork(lambda: _work(list(command), given))
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in pipes))
        return None

    subprocess.Popen._execute_child = execute


def _work(command, given):
    """Be what the command would have started."""
    from visioncore_engine.cli import main

    if given["start_new_session"]:
        os.setsid()
    if given.get("process_group", -1) != -1:
        os.setpgid(0, given["process_group"])
    for name, descriptor in (("p2cread", 0), ("c2pwrite", 1), ("errwrite", 2)):
        if given[name] != -1:
            os.dup2(given[name], descriptor)
    kept = {0, 1, 2, *given["pass_fds"]}
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - descriptors are no paths
        if int(entry) not in kept:
            try:
                os.close(int(entry))
            except OSError:  # the descriptor of this very listing
                continue
    if given["env"] is not None:
        os.environ.clear()
        os.environ.update(given["env"])
    return main(command[command.index("train") :])
