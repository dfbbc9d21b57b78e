"""One road for every fault: the engine's, or stock Lightning's with ``--stock``.

``--stock`` runs the rows F01 to F39 on a plain Lightning module, as proof that the faults are real: each of the rows
that it is known not to survive (`stock_road.FAILS`) must fail. Nightly runs take ``--fault-seed`` and
``--fault-repeats``.
"""

from __future__ import annotations

import random
import re

import pytest
import torch
from clusters import prepared
from engine_road import EngineRoad
from stock_road import FAILS, StockRoad

torch.set_num_threads(1)  # a child of a process with a pool of threads would wait for threads that it does not have


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
        if row is None or "road" not in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason="no row of the matrix that stock Lightning could train"))
        elif row in FAILS:
            item.add_marker(pytest.mark.xfail(reason=FAILS[row], strict=True))


@pytest.fixture
def road(tmp_path, monkeypatch, request):
    """Trainings in a folder of their own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return (StockRoad if _option(request.config, "--stock", default=False) else EngineRoad)(tmp_path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a run file, in which processes find the plugins of the tests."""
    return prepared(tmp_path, monkeypatch)


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
