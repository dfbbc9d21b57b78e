"""What Lightning iterates over: one plan step per training batch, one chunk of a group per validation batch."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from visioncore_engine.contracts import Batch, Index, Position, Sampler, Source
from visioncore_engine.data.index import Dtype, gather, owners, read, share

__all__ = ["AHEAD", "HAND_OVER", "EvaluationLoader", "PlanLoader", "PlanStep", "Prefetch"]

Prefetch = int | Literal["auto"]
"""Steps read ahead, or ``auto``: as many as reading is worth."""

AHEAD = 2
"""Steps that ``auto`` reads ahead where reading takes longer than `HAND_OVER`."""

HAND_OVER = 3e-4
"""Seconds that a step may lose where a thread hands it a batch: waking, waiting for the interpreter, a `Future`."""

_NUM_MEASURED = 6  # reads; the first warms up and does not count


@dataclass
class PlanStep:
    """One optimizer step: this process's share of the global batch, cut into micro-batches."""

    position: Position
    micros: list[Batch]
    weights: Mapping[str, float]  # of each term of the loss in this share
    groups: tuple[int, ...]  # groups of the whole global batch, on every process alike


class PlanLoader:
    """Plan steps of one epoch after another, each read from the sampler's pure plan.

    Where an epoch starts (`start`) is asked at the first ``next``, not at ``iter``: Lightning makes iterators before
    it restores its counters.

    Parameters
    ----------
    index, sampler
        The windows, and the plan over them.
    weigh
        Weight of each term of the loss in micro-batches. Asked here, where masks are still on the CPU: the step need
        not wait for a device.
    accumulate
        Micro-batches that a step is cut into.
    prefetch
        Steps read ahead by a background thread; 0 reads in the step. ``auto`` reads the first ones of a run in the
        step, and goes on so where the median read took at most `HAND_OVER` seconds; else it reads `AHEAD` ahead.
    start
        Called at the first ``next`` of an epoch: (epoch, first step).
    dtype
        Of inputs until they are on the device, as for `index.read`.
    send
        Sends a micro-batch ahead to the device (`staging.Staging`); None leaves that to the step.
    rank, world_size
        This process among all.
    clock
        Seconds, from any start.

    Attributes
    ----------
    chosen
        How ``auto`` reads, and why; empty before it is known, and where the run file says.
    """

    def __init__(
        self,
        index: Index,
        sampler: Sampler,
        *,
        weigh: Callable[[Sequence[Batch]], Mapping[str, float]],
        accumulate: int,
        prefetch: Prefetch,
        start: Callable[[], tuple[int, int]],
        dtype: Dtype = "stored",
        send: Callable[[Batch], Batch] | None = None,
        rank: int = 0,
        world_size: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._send, self._clock = send, clock
        self._measured: list[float] = []  # seconds that the first reads took
        self.chosen = ""
        self._index, self._sampler = index, sampler
        self._accumulate, self._prefetch, self._start = accumulate, prefetch, start
        self._weigh, self._dtype = weigh, dtype
        self._rank, self._world_size = rank, world_size
        self._num_steps = sampler.steps_per_epoch()

    def __len__(self) -> int:
        return self._num_steps

    def __iter__(self) -> Iterator[PlanStep]:
        epoch, first = self._start()
        steps = iter(range(first, self._num_steps))
        while self._prefetch == "auto" and (step := next(steps, None)) is not None:
            yield self._measure(epoch, step)
        if self._prefetch == 0:
            for step in steps:
                yield self.read(epoch, step)
        elif self._prefetch != "auto":
            yield from self._read_ahead(epoch, steps, self._prefetch)

    def _measure(self, epoch: int, step: int) -> PlanStep:
        """Read a step, and choose how to read the others once enough were measured."""
        began = self._clock()
        read = self.read(epoch, step)
        self._measured.append(self._clock() - began)
        if len(self._measured) == _NUM_MEASURED:
            cost = statistics.median(self._measured[1:])
            self._prefetch = 0 if cost <= HAND_OVER else AHEAD
            where = f"{AHEAD} steps ahead" if self._prefetch else "in the step"
            self.chosen = f"read {where}: the first batches took {1000 * cost:.2f} ms"
        return read

    def _read_ahead(self, epoch: int, steps: Iterator[int], num_ahead: int) -> Iterator[PlanStep]:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="visioncore-loader") as pool:
            ahead: deque[Future[PlanStep]] = deque()
            for step in steps:
                ahead.append(pool.submit(self.read, epoch, step))
                if len(ahead) > num_ahead:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def read(self, epoch: int, step: int) -> PlanStep:
        """Read this process's share of one plan step."""
        position = Position(epoch, step, epoch * self._num_steps + step)
        items = np.asarray(self._sampler.batch(position), dtype=np.int64)
        micros = [
            gather(self._index, share(share(items, micro, self._accumulate), self._rank, self._world_size), self._dtype)
            for micro in range(self._accumulate)
        ]
        weights = self._weigh(micros)
        if self._send is not None:
            micros = [self._send(micro) for micro in micros]
        if self._world_size > 1:
            groups = owners(self._index, items)
        else:  # all of the batch is here
            groups = tuple(sorted({group.index for micro in micros for group in micro.groups}))
        return PlanStep(position, micros, weights, groups)

    def state_dict(self) -> dict[str, int]:
        """Nothing: the place in the plan is Lightning's counters, so the loader cannot disagree with them."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take back nothing; defined so that Lightning knows that the loader resumes."""


class EvaluationLoader:
    """Every window of a split, or of a fixed part of it, exactly once, group after group, in order.

    Parameters
    ----------
    sources
        The split's sources.
    batch_size
        Predicted frames (or examples) per batch, over all processes.
    items
        Per source: the windows to read, int64 (`subset.fixed_part`); all of them where it is None.
    dtype
        Of inputs until they are on the device, as for `index.read`.
    rank, world_size
        This process among all; each reads its share of every batch.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        batch_size: int,
        *,
        items: Sequence[np.ndarray] | None = None,
        dtype: Dtype = "stored",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        wanted = items if items is not None else [np.arange(source.num_items, dtype=np.int64) for source in sources]
        chunks = (
            (source, share(own[start : start + size], rank, world_size))
            for source, own in zip(sources, wanted, strict=True)
            for size in (max(1, batch_size // source.frames_per_item),)
            for start in range(0, len(own), size)
        )
        self._dtype = dtype
        self._chunks = [(source, own) for source, own in chunks if len(own)]

    def __len__(self) -> int:
        return len(self._chunks)

    def __iter__(self) -> Iterator[Batch]:
        for source, items in self._chunks:
            yield Batch([read(source, items, self._dtype)])
