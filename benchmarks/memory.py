"""Memory of 20 sessions of an hour at 120 Hz, 51 x 51 pixels, at a tenth of the size: two processes read all of it.

Each process opens the sessions from disk and reads every frame by the engine's gather, from memory maps and again from
shared memory; then the proportional set size of both is asked for, in which a page that both map counts half for each.
The old layout kept a float32 copy in each process: measured on one session.

    python benchmarks/memory.py [--json] [--no-write]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from figure import Figure, command

if TYPE_CHECKING:
    from visioncore_engine.data.homes import Home

__all__ = ["Sizes", "measure", "proportional_bytes", "read_everything", "write_sessions"]

PREFIX = "session"


@dataclass(frozen=True)
class Sizes:
    """What is read."""

    sessions: int = 20
    frames: int = 43_200
    pixels: int = 51
    units: int = 20
    lags: int = 25
    batch: int = 256
    processes: int = 2

    @property
    def stimulus_bytes(self) -> int:
        """Bytes of all frames as uint8."""
        return self.sessions * self.frames * self.pixels**2


def proportional_bytes() -> int:
    """Proportional set size of this process."""
    text = Path("/proc/self/smaps_rollup").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def write_sessions(folder: Path, sizes: Sizes) -> None:
    """Write the sessions, each as it would be converted."""
    from recordings import noise

    from visioncore_neural.data.folder import write_session

    for number in range(sizes.sessions):
        shape = {"frames": sizes.frames, "size": sizes.pixels, "num_units": sizes.units}
        recording = noise(f"m{number}_a", seed=number, **shape)
        write_session(recording, folder / f"{PREFIX}{number:02d}")


def read_everything(folder: Path, sizes: Sizes, home: Home = "mapped") -> int:
    """Open the sessions and read batches that together hold every frame; returns how many batches there were."""
    import torch
    from recordings import dataset_of

    from visioncore_engine.data.homes import settle
    from visioncore_engine.data.index import build_index, gather
    from visioncore_neural.data.folder import read_session

    recordings = [read_session(path) for path in sorted(folder.glob(f"{PREFIX}*"))]
    dataset = dataset_of(recordings, 1)
    settle(dataset, home, torch.device("cpu"), token=folder.name, processes=sizes.processes)
    index = build_index(dataset.sources("train", sizes.lags - 1))
    items = np.arange(0, index.num_items, max(sizes.lags // 2, 1))
    batches = np.array_split(np.random.default_rng(0).permutation(items), max(len(items) // sizes.batch, 1))
    for batch in batches:
        gather(index, batch)
    return len(batches)


def _process(folder: Path, sizes: Sizes, home: Home) -> None:
    """One of the processes: read, say so, wait for the other, and tell the growth of its memory."""
    import torch

    import visioncore_neural.data.dataset  # noqa: F401 - imported before the size is taken

    torch.set_num_threads(1)
    before = proportional_bytes()
    read_everything(folder, sizes, home)
    print("ready", flush=True)
    sys.stdin.readline()
    print(proportional_bytes() - before, flush=True)
    sys.stdin.readline()


def _old_copy(folder: Path) -> float:
    """Bytes per stored byte of the old layout's copy, on one session."""
    import torch

    stored = np.load(folder / f"{PREFIX}00" / "stim.npy", mmap_mode="r")
    before = proportional_bytes()
    copy = torch.from_numpy(np.array(stored)).float()
    return (proportional_bytes() - before - stored.nbytes) / stored.nbytes if copy.numel() > 1e6 else 4.0


def _grown(folder: Path, sizes: Sizes, home: Home) -> list[int]:
    words = [sys.executable, __file__, "--process", str(folder), json.dumps(asdict(sizes)), home]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(words, **pipes) for _ in range(sizes.processes)]  # type: ignore[call-overload]  # one set of keywords
    grown = []
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:  # nobody ends before all were asked: what ends shares nothing
        worker.stdin.write("\n")
        worker.stdin.flush()
        grown.append(int(worker.stdout.readline()))
    for worker in workers:
        worker.communicate("\n", timeout=60)
    return grown


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sessions(folder, sizes)
        grown = _grown(folder, sizes, "mapped")
        shared = _grown(folder, sizes, "shared")
        old = _old_copy(folder)
    detail: dict[str, float] = {f"process {number} MB": round(size / 1e6) for number, size in enumerate(grown)}
    detail |= {"uint8 MB": round(sizes.stimulus_bytes / 1e6), "old copy, times uint8, per process": round(old, 2)}
    return [
        Figure(
            f"memory of {sizes.processes} processes over one uint8 copy of the frames",
            sum(grown) / sizes.stimulus_bytes,
            "less",
            1.25,
            "memory-mapped; the old layout needs a float32 copy per process",
            detail,
        ),
        Figure(
            f"memory of {sizes.processes} processes over one uint8 copy of the frames, in shared memory",
            sum(shared) / sizes.stimulus_bytes,
            "less",
            1.25,
        ),
        Figure(
            f"memory of {sizes.processes} processes over that of the old layout",
            sum(grown) / (sizes.processes * old * sizes.stimulus_bytes),
            "less",
        ),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--process"]:
        _process(Path(sys.argv[2]), Sizes(**json.loads(sys.argv[3])), sys.argv[4])  # type: ignore[arg-type]  # our own words
    else:
        sys.exit(command("memory", measure, __doc__))
