"""Trainings on a cluster and on two hosts, as far as one machine can be both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import toy_plugin
from clusters import RUN


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a run file, in which processes find the plugins of the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_plugin.__file__).parent), prepend=os.pathsep)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "run.yaml").write_text(RUN)
    return tmp_path
