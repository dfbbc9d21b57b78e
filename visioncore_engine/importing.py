"""A run that was never trained here: weights from elsewhere make a checkpoint of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from visioncore_engine.build import build_dataset, build_model
from visioncore_engine.checkpoint import FORMAT, write_checkpoint
from visioncore_engine.config import Resolved
from visioncore_engine.contracts import GroupSpec, Model
from visioncore_engine.describe import group_to_plain
from visioncore_engine.errors import Problem, UsageError
from visioncore_engine.record import collect
from visioncore_engine.restore import refuse_misfits

__all__ = ["Untrained"]


class Untrained:
    """Data and model of a run, as they are before its first step.

    Parameters
    ----------
    resolved
        The run. Its data are opened, and its preparations are fitted.

    Attributes
    ----------
    model
        The model, as it starts.
    groups
        What its groups are, in the order of the data.

    Raises
    ------
    UserError
        For whatever the run asks that its data or model cannot give.
    """

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._dataset = build_dataset(resolved.run)
        self.groups: tuple[GroupSpec, ...] = tuple(self._dataset.groups)
        self.model = build_model(resolved.run.model, self.groups, resolved.run.seed)
        assert isinstance(self.model, Model)  # as the kit of tests holds every model to
        self._history = self.model.history

    def write(self, weights: Mapping[str, Tensor], path: str | Path, source: Mapping[str, Any]) -> None:
        """Write a checkpoint that `load`, `evaluate` and `transfer.from` take like any other.

        Parameters
        ----------
        weights
            The model's state: every parameter and buffer, by name.
        path
            Where; a file that is there is not replaced.
        source
            Where the weights come from, as plain values: ``imported`` of the checkpoint's record.

        Raises
        ------
        UsageError
            Where the file exists.
        CheckpointError
            Where weights are missing, unexpected or of another shape; names them.
        RunError
            Where a weight is not finite.
        """
        path = Path(path)
        if path.exists():
            raise UsageError(Problem(where=str(path), what="exists already", todo="choose another name"))
        state = {f"model.{name}": value.detach().clone() for name, value in weights.items()}
        refuse_misfits(self.model, {"state_dict": state}, str(path))
        fingerprints = dict(self._dataset.fingerprints())
        own = {
            "format": FORMAT,
            "run": self._resolved.dump(),
            "record": {**collect(self._resolved, data=fingerprints), "imported": dict(source)},
            "groups": [group_to_plain(group) for group in self.groups],
            "fingerprints": fingerprints,
            "data_state": self._dataset.state(),
            "history": self._history,
            "scheduler": {},
            "scores": {},
            "losses": [],
            "loggers": {},
            "offered": {},
        }
        write_checkpoint({"state_dict": state, "visioncore": own, "global_step": 0, "epoch": 0}, path)
