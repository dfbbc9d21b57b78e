"""Finds the largest micro-batch that fits, beforehand: forward, backward and a step, in a process that may be killed.

The child builds the run and tries one size after another, a third to a half larger each time; it tells each that it
has done. How it ends does not matter: by an error, or by the system, which ends whoever takes the last memory.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visioncore_engine.build import Parts, build
from visioncore_engine.config import Resolved, resolve
from visioncore_engine.contracts import Batch, Position
from visioncore_engine.data.index import gather
from visioncore_engine.devices import count_gpus, device_name, may_fuse
from visioncore_engine.errors import EngineError, RunError, UserError
from visioncore_engine.memory import ran_out_of_memory
from visioncore_engine.objective import predict

__all__ = ["MARGIN", "Found", "Probe", "find_batch", "main", "sizes"]

MARGIN = 1.25  # what fits is this many times what is recommended


@dataclass(frozen=True)
class Found:
    """What a probe found; sizes are predicted frames (or examples).

    Attributes
    ----------
    share
        Part of a global batch that one process takes.
    fits
        Largest micro-batch that was done; 0 where not even one window fits.
    ended
        Why no larger one was tried; empty where there was no need to.
    accumulate
        Smallest `optimizer.accumulate` whose micro-batches fit with a margin; None where not even one window fits.
    """

    share: int
    fits: int
    ended: str
    accumulate: int | None


def find_batch(arguments: dict[str, Any], *, told: Callable[[int, int], object], limit: int | None = None) -> Found:
    """Probe a run in a child process.

    Parameters
    ----------
    arguments
        Keyword arguments of `resolve`, plain values.
    told
        Called with the size and the bytes in use (0 where unknown) of each micro-batch that was done.
    limit
        Bytes that the child may take on a CPU; by default what is free.

    Raises
    ------
    UserError
        Where the child refused the run.
    RunError
        Where the child failed for another reason than memory.
    """
    command = [sys.executable, "-c", "from visioncore_engine.probe import main; main()"]
    job = json.dumps({"arguments": arguments, "limit": limit})
    share = fits = frames = 0
    ended = ""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - our own command line
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(job)
        child.stdin.close()
        for line in child.stdout:
            message = json.loads(line)
            share, frames = message.get("share", share), message.get("frames", frames)
            ended = message.get("ended", ended)
            if "size" in message:
                fits = message["size"]
                told(fits, message["bytes"])
    if child.returncode == -signal.SIGKILL:
        ended = "the system ended the process, as it does where memory runs out"
    elif child.returncode == UserError.exit_code:
        raise UserError("the run was refused; the message stands above")
    elif child.returncode or not share:
        raise RunError(f"run failed: the probe ended with exit code {child.returncode}; its message stands above")
    return Found(share, fits, ended, _accumulate(share, fits, frames))


def _accumulate(share: int, fits: int, frames: int) -> int | None:
    """Smallest number of micro-batches with a margin; a window, of so many frames, cannot be cut."""
    if not fits:
        return None
    windows = max(1, int(fits / MARGIN) // frames)
    return -(-(share // frames) // windows)


def sizes(last: int) -> Iterator[int]:
    """Numbers of windows to try: 1, 2, 3, 4, 6, 8, 12, … and `last`."""
    size, number = 1, 0
    while size < last:
        yield size
        size = (2, 3)[number % 2] * 2 ** (number // 2)
        number += 1
    yield last


def main() -> None:
    """Be the child: read a job from standard input, write what was done to standard output."""
    job = json.load(sys.stdin)
    try:
        resolved = resolve(**job["arguments"])
        device = device_name(resolved)
        parts = build(resolved, fused=may_fuse(resolved, device))
        if device == "cpu":
            _limit_memory(job["limit"])
        Probe(resolved, parts, "cpu" if device == "cpu" else "cuda").run()
    except EngineError as error:
        print(error, file=sys.stderr)  # noqa: T201 - it is a command
        raise SystemExit(error.exit_code) from error


def _limit_memory(limit: int | None) -> None:
    """Let this process fail where memory runs out, before the system chooses another to end."""
    with suppress(ImportError, OSError, ValueError, StopIteration):  # not on every system: then it ends us
        import resource

        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        group = [Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory.current")]
        if all(path.exists() for path in group) and group[0].read_text().strip() != "max":
            free = min(free, int(group[0].read_text()) - int(group[1].read_text()))
        resource.setrlimit(resource.RLIMIT_AS, (taken + (limit or free),) * 2)


class Probe:
    """Tries micro-batches of a run."""

    def __init__(self, resolved: Resolved, parts: Parts, device: str) -> None:
        run = resolved.run
        dtype = {"64-true": torch.float64, "bf16-true": torch.bfloat16}.get(run.trainer.precision)
        self._parts, self._device = parts, torch.device(device)
        self._mixed = run.trainer.precision == "bf16-mixed"
        self._dtype = dtype or torch.float32
        self._frames = parts.index.frames_per_item
        devices = run.trainer.devices
        self._world_size = devices if devices != "auto" else max(1, count_gpus(resolved))
        parts.model.to(self._device, self._dtype).train()

    def run(self) -> None:
        """Try sizes until one does not fit, or the share of a global batch does with a margin."""
        items = self._items(Position(0, 0, 0))
        share = -(-len(items) // self._world_size)
        _say(share=share * self._frames, frames=self._frames)
        for size in sizes(int(np.ceil(share * MARGIN))):
            try:
                self.step(self.windows(size))
            except Exception as error:
                if not ran_out_of_memory(error):
                    raise
                _say(ended=str(error).partition("\n")[0] or type(error).__name__)
                return
            _say(size=size * self._frames, bytes=self._bytes())

    def _items(self, position: Position) -> np.ndarray:
        return np.asarray(self._parts.sampler.batch(position), dtype=np.int64)

    def windows(self, size: int) -> Batch:
        """Windows as the plan draws them, so that groups of different size are mixed as in training."""
        found: list[np.ndarray] = []
        step = 0
        while sum(map(len, found)) < size:
            found.append(self._items(Position(*divmod(step, self._parts.steps_per_epoch), step)))
            step += 1
        return gather(self._parts.index, np.concatenate(found)[:size]).to(self._device, self._dtype)

    def step(self, batch: Batch) -> None:
        """Do all that a training step computes."""
        parts = self._parts
        parts.optimizer.zero_grad(set_to_none=True)
        for transform in parts.transforms:
            batch = transform(batch, 0)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
            sums = parts.objective.sums(predict(parts.model, batch), batch)
            loss = parts.objective.total(sums, parts.objective.weights([batch]))
        if loss is not None:
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        parts.optimizer.step()

    def _bytes(self) -> int:
        return torch.cuda.max_memory_reserved() if self._device.type == "cuda" else 0


def _say(**message: Any) -> None:
    print(json.dumps(message), flush=True)  # noqa: T201 - it is a command
