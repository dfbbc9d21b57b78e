"""Trainings of the toy family by the engine's own command line, each in a forked child."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import fault_plugin
import torch
import toy_plugin
from forked import fork_workers, forked

import visioncore_engine.run  # noqa: F401 - imported once here, so that a child need not
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.cli import main

__all__ = ["RUN", "EngineRoad", "differences"]

# Three epochs of four steps; dropout, augmentation, a ramping penalty and a plateau scheduler have state of their own.
RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_once, batch_size: 24}
transforms: [toy_noise]
model: {name: toy_linear, dropout: 0.2}
loss: {name: toy_faulty, weighting: places}
metrics: [toy_error]
regularizers: {shrink: {name: toy_l2, strength: {schedule: ramp, stop: 0.01, steps: 8}, match: "heads.*.weight"}}
optimizer: {name: toy_adamw, lr: 0.01, weight_decay: 0.01, clip: 0.5}
scheduler: toy_halving
callbacks: [toy_witness, toy_faults]
loggers: [toy_tracker]
checkpoint: {monitor: val/toy_error, every_n_steps: 3, keep: 2}
loader: {prefetch: 0}
trainer: {max_epochs: 3, log_every_n_steps: 1, accelerator: cpu}
"""
STEPS = 12


class EngineRoad:
    """Trains in folders below `home`.

    Parameters
    ----------
    home
        Where run files and run folders lie.
    text
        The run file.
    plugins
        Further plugin files.
    """

    stock = False

    def __init__(self, home: Path, text: str = RUN, plugins=(toy_plugin.__file__, fault_plugin.__file__)) -> None:
        self.home, self.plugins = home, plugins
        (home / "run.yaml").write_text(text)

    def arguments(self, folder, *sets, resume=False, processes=1):
        """Command line of a training."""
        sets = (f"run.dir={folder}", *sets, *([f"trainer.devices={processes}"] if processes > 1 else []))
        found = ["train", "run.yaml", "--quiet"]
        for flag, values in (("--plugin", self.plugins), ("--set", sets)):
            for value in values:
                found += [flag, value]
        return [*found, *(["--resume"] if resume else [])]

    def train(self, folder="run", *sets, resume=False, processes=1, **how):
        """Train to an end; `how` as for `command`."""

        arguments = self.arguments(folder, *sets, resume=resume, processes=processes)
        return self.command(*arguments, **how)

    def open(self, folder, checkpoint, before=None):
        """Score a run with a checkpoint."""
        plugins = [word for plugin in self.plugins for word in ("--plugin", plugin)]
        return self.command("evaluate", folder, "--checkpoint", checkpoint, *plugins, before=before)

    def command(self, *arguments, before=None, limit=60.0, meanwhile=None, orphans=(), grace=0.0):
        """Run ``visioncore`` in a child, after `before`; whose commands hold a word of `orphans` may be left behind."""

        def work():
            os.chdir(self.home)
            fork_workers()
            if before is not None:
                before()
            return main(arguments)

        ended = forked(work, self.home, limit=limit, meanwhile=meanwhile, grace=grace)
        left = [command for command in ended.orphans if not any(word in command for word in orphans)]
        assert not left, f"left behind: {left}\n{ended}"
        return ended

    def checkpoints(self, folder="run"):
        """Folder of the checkpoints of a run."""
        return self.home / folder / "checkpoints"

    def newest(self, folder="run"):
        """The newest checkpoint that can be read, as the engine chooses it."""
        from visioncore_engine.errors import CheckpointError

        last = self.checkpoints(folder) / "last.ckpt"
        try:
            return read_checkpoint(last)
        except CheckpointError:
            return read_checkpoint(last.with_name("last.prev.ckpt"))

    def step(self, folder="run"):
        """Optimizer steps behind the newest checkpoint."""
        return self.newest(folder)["global_step"]

    def weights(self, folder="run"):
        """Weights of the newest checkpoint."""
        return self.newest(folder)["state_dict"]

    def logged(self, folder="run"):
        """Steps whose loss stands in the run's own file, in its order."""
        with (self.home / folder / "metrics.csv").open() as file:
            return [int(row["step"]) for row in csv.DictReader(file) if row.get("train/loss")]

    def state(self, folder="run"):
        """Everything in every checkpoint but when, where and by which command it was trained."""
        return {path.name: _lasting(read_checkpoint(path)) for path in self.checkpoints(folder).glob("*.ckpt")}


def _lasting(payload):
    own = {name: value for name, value in payload["visioncore"].items() if name != "record"}
    own["run"] = {name: value for name, value in own["run"].items() if name != "run"}
    # Lightning counts validation batches for its own progress bar, twice where a run resumes at the start of an epoch.
    loops = payload["loops"]["fit_loop"]
    fit = {name: value for name, value in loops.items() if name != "epoch_loop.val_loop.batch_progress"}
    return {**payload, "visioncore": own, "loops": {**payload["loops"], "fit_loop": fit}}


def differences(one, other, path=""):
    """Paths at which two nests of tensors and plain values differ in any bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for name in dict.fromkeys((*one, *other))
            for found in (
                differences(one[name], other[name], f"{path}/{name}")
                if name in one and name in other
                else [f"{path}/{name} on one side only"]
            )
        ]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return [
            found
            for place, pair in enumerate(zip(one, other, strict=True))
            for found in differences(*pair, f"{path}/{place}")
        ]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [path]
    return [] if one == other else [f"{path}: {one!r} and {other!r}"]
