"""A whole run on a CPU in a tenth of a second, any part of which can be the component under test."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.config import Resolved, resolve
from visioncore_engine.registry import Registry, discover
from visioncore_engine.run import RunResult, train
from visioncore_engine.testing.toybox import toys
from visioncore_engine.testing.toys import Cut
from visioncore_engine.testing.worlds import preserved

__all__ = ["STEPS", "TinyRun"]

STEPS = 12
"""Optimizer steps of a tiny run: 4 in each of 3 epochs."""

_RUN: Mapping[str, Any] = {
    "seed": 1,
    "data": "visioncore_testing:tiny",
    "sampler": {"name": "visioncore_testing:tiny", "batch_size": 10},
    "model": "visioncore_testing:tiny",
    "loss": "visioncore_testing:tiny",
    "metrics": [{"name": "visioncore_testing:tiny"}],
    "optimizer": {"name": "visioncore_testing:tiny", "lr": 0.05},
    "loggers": [{"name": "visioncore_testing:tiny"}],
    "checkpoint": {"monitor": "val/tiny", "every_n_steps": 1},
    "trainer": {"max_epochs": 3, "accelerator": "cpu", "devices": 1, "log_every_n_steps": 1},
    "policies": {"watchdog": "off"},
}


class TinyRun:
    """Two groups of a handful of examples, a linear model, 12 steps.

    Parameters
    ----------
    folder
        Where run folders are made.
    changes
        Parts of a run file that replace those of the tiny run, e.g. ``{"callbacks": ["scoreboard"]}``.
    registry
        Plugins beside the tiny run's own; by default those that are installed.

    Examples
    --------
    >>> import tempfile
    >>> from visioncore_engine.testing import TinyRun
    >>> run = TinyRun(tempfile.mkdtemp(), {"trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1}})
    >>> sorted(run.train().scores)
    ['val/tiny']
    """

    def __init__(
        self, folder: Path | str, changes: Mapping[str, Any] | None = None, *, registry: Registry | None = None
    ) -> None:
        self.folder = Path(folder)
        self._changes = dict(changes or {})
        self._registry = _with_toys(discover() if registry is None else registry)

    def resolve(self, name: str = "run", *, cut: int | None = None) -> Resolved:
        """Resolve the run file; `cut` is the step before which it is cut off."""
        content = {**_RUN, **self._changes, "run": {"name": "tiny", "dir": str(self.folder / name)}}
        content["callbacks"] = [*content.get("callbacks", ()), {"name": "visioncore_testing:tiny_cut", "at": cut}]
        content["policies"] = {**content["policies"], "resume_changes": ["callbacks.tiny_cut.*"]}
        return resolve(content, registry=self._registry)

    def train(self, name: str = "run", *, resume: bool = False) -> RunResult:
        """Train to the end, in a folder of this name.

        Raises
        ------
        UserError, RunError
            As `visioncore_engine.train`.
        """
        with _as_alone():
            return train(self.resolve(name), resume=resume, quiet=True)

    def train_with_a_break(self, name: str = "broken", *, at: int = 6) -> RunResult:
        """Cut the run off before a step, as a power failure would, and resume it in fresh objects."""
        try:
            with _as_alone():
                train(self.resolve(name, cut=at), quiet=True)
        except Cut:
            return self.train(name, resume=True)
        raise AssertionError(f"the run ended before step {at}")

    def checkpoint(self, name: str = "run", which: str = "last") -> dict[str, Any]:
        """Read a checkpoint of a run."""
        return read_checkpoint(self.folder / name / "checkpoints" / f"{which}.ckpt")

    def weights(self, name: str = "run", which: str = "last") -> dict[str, torch.Tensor]:
        """Read the weights in a checkpoint of a run."""
        found: dict[str, torch.Tensor] = self.checkpoint(name, which)["state_dict"]
        return found


def _with_toys(registry: Registry) -> Registry:
    own = toys()
    if set(own.plugins) <= set(registry.plugins):
        return registry
    entries = sorted((*registry.entries, *own.entries), key=lambda entry: (entry.kind, entry.name, entry.plugin.name))
    return replace(registry, plugins=(*registry.plugins, *own.plugins), entries=tuple(entries))


@contextmanager
def _as_alone() -> Iterator[None]:
    """Train as in a process of its own: what Lightning or torch warn of is not the test's."""
    with preserved(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(pytorch_lightning|lightning|torch)\b")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        yield
