"""How fast batches are delivered: the engine's gather against the old per-sample fetch and collate, and against memcpy.

Eight sessions in memory, 51 x 51 pixels, 25 lags, 256 predictions mixed over the sessions, one thread. All methods
deliver the same windows in the same order. memcpy copies the float32 bytes of one batch's frames between two buffers.
Memory that is freed goes back to the system, as in a process that has just started; one figure is of the other case
(`allocator.py`).

    python benchmarks/data_path.py [--json] [--no-write]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import allocator
import numpy as np
import torch
from figure import Figure, command, missing
from old_data import OldSession, Part, old_loader
from recordings import dataset_of, noise
from side_by_side import Rounds, interleave

from visioncore_engine.contracts import Index, Position
from visioncore_engine.data import native
from visioncore_engine.data.index import Dtype, build_index
from visioncore_engine.data.loader import PlanLoader
from visioncore_neural.data.source import SessionSource
from visioncore_neural.recording import Recording

__all__ = ["Sizes", "Stored", "engine_loader", "measure", "old_sessions"]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    sessions: int = 8
    frames: int = 20_000
    size: int = 51
    num_units: int = 100
    lags: int = 25
    batch: int = 256
    length: int = 32
    batches: int = 8  # of the engine in a round
    old_batches: int = 1
    rounds: int = 7
    fixes_allocator: bool = True  # of this process, for good


class Stored:
    """A plan that was drawn before: what it costs to draw one is measured elsewhere."""

    def __init__(self, batches: list[np.ndarray]) -> None:
        self.batches = batches

    def steps_per_epoch(self) -> int:
        """Count the batches."""
        return len(self.batches)

    def batch(self, position: Position) -> np.ndarray:
        """Windows of a batch, int64 (B,)."""
        return self.batches[position.step]


def engine_loader(index: Index, batches: list[np.ndarray], dtype: Dtype = "float32") -> PlanLoader:
    """Return the engine's loader over a stored plan, reading in the step."""
    return PlanLoader(
        index,
        Stored(batches),
        weigh=lambda _: {},
        accumulate=1,
        prefetch=0,
        start=lambda: (0, 0),
        dtype=dtype,
    )


def old_sessions(recordings: list[Recording], index: Index, lags: int) -> list[OldSession]:
    """The windows of an index (length 1) as samples of the old layout, under the same numbers."""
    found = []
    for recording, source in zip(recordings, index.sources, strict=True):
        arrays = {key: torch.from_numpy(np.asarray(recording.array(key))) for key in ("stim", "robs", "behavior")}
        arrays["dfs"] = torch.from_numpy(np.asarray(recording.valid, dtype=np.float32))[:, None]
        assert isinstance(source, SessionSource)
        frames = torch.from_numpy(source.frames(np.arange(source.num_items))[:, 0])
        table = torch.stack([torch.zeros_like(frames), frames], dim=1)
        past = list(range(lags - 1, -1, -1))  # oldest first, as the engine has it
        found.append(OldSession([Part(arrays)], table, {**dict.fromkeys(arrays), "stim": past}))
    return found


def _draw(index: Index, size: int, num: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(index.num_items, size=size) for _ in range(num)]


def _read(loader: PlanLoader, mode: native.Mode, sizes: Sizes) -> Callable[[], None]:
    def work() -> None:
        native.use(mode)
        for step in range(sizes.batches):
            loader.read(0, step)

    return work


def _memcpy(sizes: Sizes) -> Callable[[], None]:
    source = torch.ones(sizes.batch, sizes.lags, sizes.size, sizes.size)
    target = torch.zeros_like(source)

    def work() -> None:
        for _ in range(sizes.batches):
            target.copy_(source)

    return work


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    torch.set_num_threads(1)
    shape = {"frames": sizes.frames, "size": sizes.size, "num_units": sizes.num_units}
    recordings = [noise(f"m{number}_a", seed=number, **shape) for number in range(sizes.sessions)]
    single = build_index(dataset_of(recordings, 1).sources("train", sizes.lags - 1))
    windows = build_index(dataset_of(recordings, sizes.length).sources("train", sizes.lags - 1))
    plan = _draw(single, sizes.batch, sizes.batches)
    engine, stored = engine_loader(single, plan), engine_loader(single, plan, "stored")
    # Exactly `batch` predictions: windows that are padded or masked deliver fewer that count, but as many bytes.
    drawn = _draw(windows, max(sizes.batch // sizes.length, 1), sizes.batches)
    chunks, stored_chunks = engine_loader(windows, drawn), engine_loader(windows, drawn, "stored")
    old = old_loader(
        old_sessions(recordings, single, sizes.lags), [part.tolist() for part in plan[: sizes.old_batches]]
    )
    methods: dict[str, tuple[Callable[[], object], int]] = {
        "old": (lambda: [None for _ in old], sizes.old_batches),
        "engine": (_read(engine, "torch", sizes), sizes.batches),
        "stored": (_read(stored, "auto", sizes), sizes.batches),
        "stored windows": (_read(stored_chunks, "auto", sizes), sizes.batches),
        "windows": (_read(chunks, "auto", sizes), sizes.batches),
        "memcpy": (_memcpy(sizes), sizes.batches),
    }
    if not native.use("auto"):
        methods["compiled"] = (_read(engine, "compiled", sizes), sizes.batches)
    if sizes.fixes_allocator:
        allocator.give_back()
    times = interleave(methods, sizes.rounds)
    if sizes.fixes_allocator:
        allocator.keep()
    kept = interleave(methods, sizes.rounds)
    return _figures(times, kept, sizes)


def _figures(times: Rounds, kept: Rounds, sizes: Sizes) -> list[Figure]:
    over_old = f"over the old fetch and collate, {sizes.size} px"

    def figure(what: str, method: str, target: float | None = None) -> Figure:
        # Each with the memory that it trains with: the engine has glibc keep what is freed, the old way did not.
        if method not in kept.seconds:
            return missing(f"{what} {over_old}", native.use("auto"), target=target)
        ratio = times.median("old") / kept.median(method)
        return Figure(f"{what} {over_old}", ratio, target=target, detail=_detail(times, kept, method))

    name = "float32 batches by a compiled gather, memcpy of the same bytes over its time"
    over_memcpy = (
        Figure(name, kept.ratio("memcpy", "compiled"), target=0.6)
        if "compiled" in kept.seconds
        else missing(name, native.use("auto"), target=0.6)
    )
    return [
        figure("float32 batches", "engine", 12.0),
        Figure(
            f"float32 batches {over_old}, where freed memory is kept",
            kept.ratio("old", "engine"),
            note="kindest to the old way",
        ),
        figure("float32 batches by a compiled gather", "compiled", 25.0),
        Figure("float32 batches, memcpy of the same bytes over the engine's time", kept.ratio("memcpy", "engine")),
        over_memcpy,
        figure("uint8 batches", "stored", 50.0),
        figure(f"uint8 windows of {sizes.length}", "stored windows", 90.0),
        figure(f"float32 windows of {sizes.length}", "windows"),
        Figure(
            "check of the baseline: memcpy over the old fetch and collate (was 0.02 to 0.04)",
            times.ratio("memcpy", "old"),
        ),
    ]


def _detail(times: Rounds, kept: Rounds, method: str) -> dict[str, float]:
    return {
        "old ms": round(1e3 * times.median("old"), 2),
        "engine ms": round(1e3 * kept.median(method), 2),
        "engine ms, freed memory given back": round(1e3 * times.median(method), 2),
    }


if __name__ == "__main__":
    sys.exit(command("data_path", measure, __doc__))
