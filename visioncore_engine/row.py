"""Values of training on their way to the next logged row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Row"]


class Row:
    """Losses of the steps since the last row, and scalars that callbacks tracked; read only when a row is due."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._tracked: dict[str, list[Tensor | float]] = {}

    def add(self, loss: float) -> None:
        """Add the loss of a step that moved the weights."""
        self._losses.append(loss)

    def track(self, name: str, value: Tensor | float) -> None:
        """Add a scalar of this step; a tensor is kept as it is, so that nothing waits for a device."""
        if isinstance(value, Tensor) and value.requires_grad:
            value = value.detach()
        self._tracked.setdefault(name, []).append(value)

    def take(self) -> tuple[dict[str, float], dict[str, float]]:
        """Mean loss, where a step was taken, and mean of each tracked scalar; the next row starts empty."""
        loss = {"train/loss": _mean(self._losses)} if self._losses else {}
        tracked = {f"train/{name}": _mean(row) for name, row in _numbers(self._tracked).items()}
        self._losses.clear()
        self._tracked.clear()
        return loss, tracked

    def state(self) -> dict[str, Any]:
        """What is on its way, for a checkpoint."""
        return {"losses": list(self._losses), "tracked": _numbers(self._tracked)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a state."""
        self._losses = list(state["losses"])
        self._tracked = {name: list(row) for name, row in state.get("tracked", {}).items()}


def _mean(row: Sequence[float]) -> float:
    return math.fsum(row) / len(row)


def _numbers(tracked: Mapping[str, Sequence[Tensor | float]]) -> dict[str, list[float]]:
    """Tracked values as numbers; tensors of one dtype on one device are read together."""
    far: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for row in tracked.values():
        for value in row:
            if isinstance(value, Tensor) and not value.is_cpu:
                far.setdefault((value.dtype, value.device), []).append(value.reshape(()))
    read = {kind: iter(torch.stack(values).tolist()) for kind, values in far.items()}

    def number(value: Tensor | float) -> float:
        if isinstance(value, Tensor) and not value.is_cpu:
            return float(next(read[value.dtype, value.device]))
        return float(value)  # what lies in the host's memory is there already

    return {name: [number(value) for value in row] for name, row in tracked.items()}
