"""Where the processes of a run come from: the contract of launchers, and the one that starts them on this host."""

from __future__ import annotations

from visioncore_engine.launch.contract import RUN_DIR_VARIABLE, Job, Launcher, LauncherFacts, Place
from visioncore_engine.launch.local import LocalLauncher, end_with

__all__ = ["RUN_DIR_VARIABLE", "Job", "Launcher", "LauncherFacts", "LocalLauncher", "Place", "end_with"]
