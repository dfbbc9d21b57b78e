"""What the tests of clusters and hosts share: a run, the command that trains it, and what it leaves."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import cluster_plugin
import numpy as np
import pytest
import toy_plugin

from visioncore_engine.checkpoint import read_checkpoint

__all__ = ["PATH", "PLUGINS", "RUN", "VISIONCORE", "distance", "needs", "prepared", "unable", "weights", "words"]

# Debian puts daemons where only root's PATH looks.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
PLUGINS = (toy_plugin.__file__, cluster_plugin.__file__)
VISIONCORE = (sys.executable, "-c", "from visioncore_engine.cli import main; raise SystemExit(main())")

RUN = """
seed: 5
data: {name: toy, num_groups: 3, masked: 0.3, poison: "nan"}
sampler: {name: toy_random, batch_size: 13, batches_per_epoch: 4}
model: {name: toy_linear}
loss: {name: toy_squared, weighting: samples}
metrics: [toy_error]
optimizer: {name: toy_adamw, lr: 0.01, weight_decay: 0.1, clip: 0.1, accumulate: 2}
callbacks: [toy_wait]
loggers: []
policies: {resume_changes: "callbacks.*"}
trainer: {max_epochs: 2, precision: 64-true, accelerator: cpu}
"""


def prepared(folder, monkeypatch):
    """Make a folder with a run file the working folder of processes that find the plugins of the tests."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_plugin.__file__).parent), prepend=os.pathsep)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (folder / "run.yaml").write_text(RUN)
    return folder


def words(*sets, resume=False):
    """Words of the command that trains ``run.yaml``, with some of its values set."""
    plugins = [word for plugin in PLUGINS for word in ("--plugin", plugin)]
    changes = [word for value in sets for word in ("--set", value)]
    return ["train", "run.yaml", "--quiet", *plugins, *changes, *["--resume"] * resume]


def needs(programs, packages):
    """Skip where a program is missing; in continuous integration, which installs it, that is a failure."""
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if missing:
        unable(f"{', '.join(missing)} cannot be found; install {packages}")


def unable(reason):
    """Skip here, fail in continuous integration."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def weights(folder):
    """Tensors of the last checkpoint of a run."""
    state = read_checkpoint(Path(folder) / "checkpoints" / "last.ckpt")["state_dict"]
    return {name: value.numpy() for name, value in state.items()}


def distance(one, other):
    """Largest max|a - b| / max|b| over tensors."""
    assert one.keys() == other.keys()
    return max(np.abs(one[name] - other[name]).max() / max(np.abs(other[name]).max(), 1e-12) for name in one)
