"""Trainings on a cluster and on two hosts, as far as one machine can be both."""

from __future__ import annotations

import pytest
from clusters import prepared


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a run file, in which processes find the plugins of the tests."""
    return prepared(tmp_path, monkeypatch)
