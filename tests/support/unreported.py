"""Trainings without their report: its figures take most of the time of a short run."""

from __future__ import annotations

from unittest import mock

from visioncore_engine import run
from visioncore_engine.config import Resolved
from visioncore_engine.run import RunResult

__all__ = ["train"]


def train(resolved: Resolved, **options: bool) -> RunResult:
    """Train in this process, quietly, and draw no report."""
    with mock.patch.object(run, "_write_report"):
        return run.train(resolved, quiet=True, **options)
