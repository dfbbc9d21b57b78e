"""Three hundred sessions on disk: read with a bounded number of open files and memory that does not grow."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pytest
from neural_recordings import make
from roads import ROADS, road

from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.data.index import build_index, gather
from visioncore_neural.data import arrays
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.data.folder import HEADER, read_session, write_session
from visioncore_neural.options.dataset import RecordingsOptions, WindowOptions

SESSIONS, FRAMES, SIZE = 300, 240, 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Session folders, each with files of its own; only the first is flushed to disk, which takes the time."""
    root = tmp_path_factory.mktemp("sessions")
    stim = np.random.default_rng(0).integers(0, 256, (FRAMES, 1, SIZE, SIZE), dtype=np.uint8)
    write_session(make(stim=stim), root / "m000")
    header = json.loads((root / "m000" / HEADER).read_text())
    contents = {path.name: path.read_bytes() for path in (root / "m000").glob("*.npy")}
    for number in range(1, SESSIONS):
        folder = root / f"m{number:03d}"
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        (folder / HEADER).write_text(json.dumps({**header, "name": f"m{number:03d}"}))
    return sorted(root.iterdir())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def private_bytes() -> int:
    """Memory that is this process's own: pages of mapped files are the system's, which takes them back at will."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty:"))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells what a process holds")
def test_l5_300_sessions_stream_with_flat_memory_and_few_open_files(folders):
    before = open_files()
    data = RecordingsDataset(
        [read_session(folder) for folder in folders],
        RecordingsOptions(window=WindowOptions(length=8)),
        DatasetFacts(seed=0),
    )
    index = build_index(data.sources("train", 4))
    assert len(index.sources) == SESSIONS
    batches = np.random.default_rng(1).integers(index.num_items, size=(60, 32))
    most, held = 0, []
    for mode in ROADS:
        with road(mode):
            for batch in batches:
                assert len(gather(index, batch)) == len(batch)
                most = max(most, open_files() - before)
                held.append(private_bytes())
    assert len({owner for batch in batches for owner in np.searchsorted(index.offsets, batch, "right")}) > 280
    assert most <= arrays.MAX_OPEN + 8  # one descriptor for a map, and what the interpreter opens for itself
    assert most < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    stored = SESSIONS * FRAMES * SIZE**2
    assert max(held) - held[10] < stored / 20  # 295 MB of frames, read from everywhere
