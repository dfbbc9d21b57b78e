"""Benchmarks are scripts, not a package: they import each other by their file names, and so do their tests."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture(scope="session")
def baselines() -> ModuleType:
    import baselines

    return baselines


@pytest.fixture(autouse=True)
def _threads():
    """Benchmarks compute on one thread; what follows in this process gets its own back."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
