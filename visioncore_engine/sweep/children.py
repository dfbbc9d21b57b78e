"""Runs in processes of their own, some at a time; one that fails does not end the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from visioncore_engine.errors import Stopped
from visioncore_engine.folder import write_text
from visioncore_engine.launch.entry import begin, train_command
from visioncore_engine.secrets import SECRETS_VARIABLE
from visioncore_engine.sweep.outcome import Outcome
from visioncore_engine.sweep.plan import Point

__all__ = ["Slots", "prepare", "run_all"]

_POLL_SECONDS = 0.05
_TOLD = 8  # lines of a failed run that are shown
_RESUMES = 3  # times that a run which something else stopped goes on within one call
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Slots:
    """Places in which runs are carried out: environment variables of each."""

    environments: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, num: int, gpus: Sequence[str] = ()) -> Slots:
        """`num` places on this machine; GPUs take turns, cores are shared evenly."""
        threads = {} if gpus else {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // num))}
        own = [{"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]} if gpus else {} for place in range(num)]
        return cls([{**threads, **os.environ, **one} for one in own])


@dataclass
class _Child:
    point: Point
    slot: int
    process: subprocess.Popen[bytes]
    log: Path
    resumes: int


@dataclass
class _Stop:
    """Signals that asked for an end."""

    count: int = 0
    children: list[_Child] = field(default_factory=list)


def prepare(point: Point) -> list[str]:
    """Write a run into its folder; the command that trains it, or goes on with it."""
    begin(point.folder, point.resolved, keep=point.begun)
    run_file = point.folder.run_file
    if point.begun:
        run_file = point.folder.path / "resumed.yaml"
        write_text(run_file, point.resolved.to_yaml())
    return [*train_command(run_file, point.resolved.registry, ["--quiet"]), *["--resume"] * point.begun]


def run_all(
    points: Iterable[Point],
    slots: Slots,
    logs: Path,
    *,
    say: Callable[[str], None],
    done: Callable[[Outcome], None] | None = None,
) -> tuple[list[Outcome], bool]:
    """Carry out runs, as many at a time as there are slots.

    Parameters
    ----------
    points
        The runs, a sequence where all are known. The next one is asked for when a slot is free, after `done` was told
        of those that have ended.
    slots, logs
        Where they run, and the folder of what they say.
    say
        Told what begins and ends.
    done
        Told how each has ended.

    Returns
    -------
    outcomes, stopped
        In the order in which the runs were given; and whether a signal ended the sweep: runs then save and stop, and
        those that had not begun do not.
    """
    queue, found, stop = iter(points), dict[str, Outcome](), _Stop()
    order: list[str] = []

    def ended(outcome: Outcome) -> None:
        found[outcome.point.name] = outcome
        say(f"{outcome.point.name}: {outcome.state}" + (f" ({outcome.code})" if outcome.code else ""))
        if done is not None:
            done(outcome)

    with _watched(stop):
        free = list(range(len(slots.environments)))
        more = True
        while more or stop.children:
            while more and free and not stop.count:
                point = next(queue, None)
                if point is None:
                    more = False
                    break
                order.append(point.name)
                if point.finished:
                    ended(Outcome(point, "was finished", 0))
                    continue
                slot = free.pop(0)
                stop.children.append(_start(point, slot, slots, logs))
                say(f"{point.name}: {'goes on' if point.begun else 'begins'}")
            if stop.count:
                for point in queue if isinstance(points, Sequence) else ():  # a search would go on proposing
                    order.append(point.name)
                    ended(Outcome(point, "was finished", 0) if point.finished else Outcome(point, "not started"))
                more = False
            for child in [child for child in stop.children if child.process.poll() is not None]:
                stop.children.remove(child)
                again = _again(child, stop, slots, logs)
                if again is not None:
                    say(f"{child.point.name}: was stopped from outside, goes on")
                    stop.children.append(again)
                    continue
                free.append(child.slot)
                ended(_outcome(child))
            if stop.children:
                time.sleep(_POLL_SECONDS)
    return [found[name] for name in order], stop.count > 0


def _start(point: Point, slot: int, slots: Slots, logs: Path, resumes: int = 0) -> _Child:
    command = prepare(point)
    secrets = point.resolved.secrets()
    handed_on = {SECRETS_VARIABLE: json.dumps(secrets)} if secrets else {}
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{point.name}.txt"
    with log.open("ab" if resumes else "wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            env={**slots.environments[slot], **handed_on},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches it through us alone, once
        )
    return _Child(point, slot, process, log, resumes)


def _again(child: _Child, stop: _Stop, slots: Slots, logs: Path) -> _Child | None:
    """Go on with a run that saved and stopped though nobody stopped the sweep: its host or queue wanted it away."""
    if child.process.returncode != Stopped.exit_code or stop.count or child.resumes >= _RESUMES:
        return None
    return _start(child.point, child.slot, slots, logs, child.resumes + 1)


def _outcome(child: _Child) -> Outcome:
    code = child.process.returncode
    state = {0: "finished", Stopped.exit_code: "stopped"}.get(code, "failed")
    return Outcome(child.point, state, code, _last_lines(child.log) if state == "failed" else ())


def _last_lines(path: Path) -> tuple[str, ...]:
    text = path.read_bytes()[-20_000:].decode(errors="replace")
    return tuple([line.rstrip() for line in text.splitlines() if line.strip()][-_TOLD:])


@contextmanager
def _watched(stop: _Stop) -> Iterator[None]:
    """Hand the first signal on, so that runs save and stop; end them at once on another of the same."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def hand_on(number: int, frame: object) -> None:
        stop.count += 1
        for child in stop.children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM if stop.count == 1 else signal.SIGKILL)
        told = "runs save and stop; once more ends them at once" if stop.count == 1 else "runs are ended"
        os.write(2, f"{signal.Signals(number).name}: {told}\n".encode())

    for number in _SIGNALS:
        signal.signal(number, hand_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
