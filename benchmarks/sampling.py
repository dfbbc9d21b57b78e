"""What it costs to name the windows of a weighted batch: `contrast_weighted` against a multinomial per batch.

Twenty sessions, 256 windows in a batch. The old samplers weigh all samples, or all those of one session, for every
batch; one over all of them ends at 2^24. The engine's searches prefix sums, compiled where there is a compiler. State
is what a sampler keeps beside the index that it was given.

    python benchmarks/sampling.py [--json] [--no-write]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from figure import Figure, command, missing
from old_sampler import OldBySession, OldWeighted
from side_by_side import interleave

from visioncore_common.samplers import Shuffled
from visioncore_engine.contracts import Index, Position, SamplerFacts
from visioncore_engine.data import Blend, native
from visioncore_engine.options import SamplerOptions
from visioncore_neural.options.sampler import ContrastWeightedOptions
from visioncore_neural.samplers.contrast_weighted import ContrastWeighted

__all__ = ["Scored", "Sizes", "contrast_weighted", "index_of", "measure", "state_bytes"]


@dataclass(frozen=True)
class Sizes:
    """How many windows there are."""

    sessions: int = 20
    batch: int = 256
    few: int = 1_000_000
    many: int = 30_000_000
    rounds: int = 7
    batches: int = 40


class Scored:
    """A source of windows that have a contrast and nothing else."""

    frames_per_item = 1

    def __init__(self, num_items: int, seed: int) -> None:
        self.num_items = num_items
        self.contrast = np.random.default_rng(seed).random(num_items, dtype=np.float32)

    def score(self, name: str) -> np.ndarray:
        """Contrast of each window, float64 (num_items,)."""
        return self.contrast.astype(np.float64)


def index_of(num_items: int, sessions: int) -> tuple[Index, list[Scored]]:
    """An index over `num_items` windows of sessions of one size."""
    sources: list[Any] = [Scored(num_items // sessions, seed) for seed in range(sessions)]
    sizes = [source.num_items for source in sources]
    weights = tuple(np.ones(size) for size in sizes)
    return Index((), np.cumsum([0, *sizes]), weights, (), tuple(sources), 1), sources


def state_bytes(sampler: object, index: Index) -> int:
    """Bytes of the arrays that a sampler holds, the index left out."""
    known = {id(array) for array in (index.offsets, *index.weights)}

    def size(value: object) -> int:
        if isinstance(value, Blend):
            return size(list(vars(value).values()))
        if isinstance(value, np.ndarray):
            return 0 if id(value) in known else value.nbytes
        if isinstance(value, list | tuple):
            return sum(map(size, value))
        return 0 if value is index else sys.getsizeof(value)

    return sum(map(size, vars(sampler).values()))


def contrast_weighted(index: Index, batch: int) -> ContrastWeighted:
    return ContrastWeighted(ContrastWeightedOptions(batch_size=batch, warmup=0.5), SamplerFacts(index, 0))


def _batches(draw: Callable[[Position], np.ndarray], num: int, mode: native.Mode = "auto") -> Callable[[], None]:
    def work() -> None:
        native.use(mode)
        for step in range(num):
            draw(Position(0, step, step))

    return work


def _refused(scores: torch.Tensor, batch: int) -> bool:
    """Whether one multinomial over all samples is refused."""
    try:
        OldWeighted(scores, batch).batch(0.7)
    except RuntimeError:
        return True
    return False


def _row(num_items: int, sizes: Sizes) -> list[Figure]:
    index, sources = index_of(num_items, sizes.sessions)
    weighted = contrast_weighted(index, sizes.batch)
    shuffled = Shuffled(SamplerOptions(batch_size=sizes.batch), SamplerFacts(index, 0))
    by_session = OldBySession([torch.from_numpy(source.contrast) for source in sources], sizes.batch)
    scores = torch.cat([torch.from_numpy(source.contrast) for source in sources])
    at_once, refused = OldWeighted(scores, sizes.batch), _refused(scores, sizes.batch)
    few = max(sizes.batches * sizes.few // num_items // 8, 2)
    methods: dict[str, tuple[Callable[[], object], int]] = {
        "by session": (lambda: [by_session.batch(0.7) for _ in range(few)], few),
        "weighted": (_batches(weighted.batch, sizes.batches), sizes.batches),
        "by NumPy": (_batches(weighted.batch, sizes.batches, "torch"), sizes.batches),
        "shuffled": (_batches(shuffled.batch, sizes.batches), sizes.batches),
    }
    if not refused:
        methods["at once"] = (lambda: at_once.batch(0.7), 1)
    times = interleave(methods, sizes.rounds)
    detail = {f"{name} us": round(1e6 * times.median(name), 1) for name in times.seconds}
    detail["weighted state MB"] = state_bytes(weighted, index) / 1e6
    million = f"{num_items / 1e6:g} million windows"
    name = f"weighted batch over a multinomial of all windows, {million}"
    note = f"nothing was compiled: {reason}" if (reason := native.use("auto")) else ""
    return [
        missing(name, f"the multinomial is refused; a batch takes {detail['weighted us']:.0f} µs", better="less")
        if refused
        else Figure(name, times.ratio("weighted", "at once"), "less", 0.01, note, detail),
        Figure(
            f"weighted batch over a multinomial of one session's, {million}",
            times.ratio("weighted", "by session"),
            "less",
            0.01,
            note,
            detail,
        ),
        Figure(
            f"state of a uniform epoch in MB, {million}",
            state_bytes(shuffled, index) / 1e6,
            "less",
            1.0,
            detail={"a shuffled batch over a multinomial of one session's": times.ratio("shuffled", "by session")},
        ),
    ]


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    torch.set_num_threads(1)
    return [*_row(sizes.few, sizes), *_row(sizes.many, sizes)]


if __name__ == "__main__":
    sys.exit(command("sampling", measure, __doc__))
