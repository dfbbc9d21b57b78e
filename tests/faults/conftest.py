"""One road for every fault: the engine's, or stock Lightning's with ``--stock``.

``--stock`` runs the rows F01 to F39 on a plain Lightning module, as proof that the faults are real: the rows that it
does not survive are listed here, and each must fail. Nightly runs take ``--fault-seed`` and ``--fault-repeats``.
"""

from __future__ import annotations

import random
import re

import pytest
import torch
from engine_road import EngineRoad
from stock_road import StockRoad

torch.set_num_threads(1)  # a child of a process with a pool of threads would wait for threads that it does not have

# What stock Lightning 2.6 does where the engine keeps its promise. The other rows it passes.
STOCK_FAILS = {
    "F01": "other weights: a shuffled loader starts anew, dropout and augmentation draw other numbers",
    "F02": "other weights, as F01",
    "F03": "other weights, as F01",
    "F04": "other weights, and the gradients accumulated so far are lost",
    "F05": "other weights: validations that were due are skipped",
    "F06": "other weights, as F01",
    "F07": "the only checkpoint is copied over in place: half a file is left",
    "F08": "the old checkpoint is truncated before the new one fits",
    "F10": "a flipped bit loads",
    "F11": "resuming ends with a traceback; there is no older file to fall back to",
    "F12": "no checkpoint is saved",
    "F13": "no checkpoint is saved",
    "F14": "hangs",
    "F15": "hangs",
    "F16": "no checkpoint is saved",
    "F18": "trains on to the end, and saves NaN",
    "F23": "hangs",
    "F25": "hangs",
    "F28": "windows are lost and repeated, and weights differ",
    "F29": "windows are lost and repeated, and weights differ",
    "F30": "windows are lost and repeated, and weights differ",
    "F31": "trains on with another batch size",
    "F32": "training ends with the tracker's error",
    "F33": "training ends with the tracker's error",
    "F34": "refused, but neither the file nor the object is named",
    "F35": "the address is opened",
    "F36": "NaN weights and a missing optimizer state load; the others end with a traceback",
    "F37": "most are taken, or end with a traceback",
    "F38": "sys.exit of a package ends the process with exit code 0",
    "F39": "no checkpoint is saved",
}


def pytest_addoption(parser):
    parser.addoption("--stock", action="store_true", help="run the rows F01 to F39 on stock Lightning")
    parser.addoption("--fault-seed", type=int, default=1, help="seed of the random moments")
    parser.addoption("--fault-repeats", type=int, default=1, help="how often random moments are drawn")


def _option(config, name, default):
    # Options exist where this folder is named on the command line; a run of all tests takes the defaults.
    return config.getoption(name, default=default)


def row_of(item):
    """F01 to F39, or None for other tests."""
    found = re.match(r"test_(f\d\d)_", item.originalname)
    return found and found[1].upper()


def pytest_collection_modifyitems(config, items):
    here = [item for item in items if "faults" in item.path.parts]
    if not _option(config, "--stock", default=False):
        return
    for item in here:
        row = row_of(item)
        if row is None:
            item.add_marker(pytest.mark.skip(reason="no row of the matrix"))
        elif row in STOCK_FAILS:
            item.add_marker(pytest.mark.xfail(reason=STOCK_FAILS[row], strict=True))


@pytest.fixture
def road(tmp_path, monkeypatch, request):
    """Trainings in a folder of their own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return (StockRoad if _option(request.config, "--stock", default=False) else EngineRoad)(tmp_path)


@pytest.fixture
def moments(request):
    """Random numbers for moments of a fault; the seed is shown where a test fails."""
    seed = _option(request.config, "--fault-seed", 1)
    print(f"--fault-seed={seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def repeats(request):
    """How often random moments are drawn, times the number that a test wants."""
    return _option(request.config, "--fault-repeats", 1)
