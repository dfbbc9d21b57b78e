"""Tensors of one part of an old model, taken one after another, and the kernels that were applied with them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visioncore_engine.errors import CheckpointError, Problem

__all__ = ["Taken", "applied_kernel"]

_WINDOWED = 5  # axes of fewer taps have no window in VisionCore


class Taken:
    """Tensors of a part; each that is used is remembered, with what it became.

    Parameters
    ----------
    tensors
        By name.
    where
        What messages name as the place.
    """

    def __init__(self, tensors: Mapping[str, Tensor], where: str) -> None:
        self._tensors, self._seen, self.where = dict(tensors), set[str](), where

    @property
    def names(self) -> list[str]:
        """Names of all tensors."""
        return list(self._tensors)

    def find(self, name: str) -> Tensor | None:
        """A tensor in float64, or None where there is none."""
        self._seen.add(name)
        found = self._tensors.get(name)
        return None if found is None else found.double()

    def need(self, name: str) -> Tensor:
        """A tensor in float64.

        Raises
        ------
        CheckpointError
            Where there is none.
        """
        found = self.find(name)
        if found is None:
            there = ", ".join(sorted(set(self._tensors) - self._seen)[:6]) or "nothing else"
            todo = (
                f"there is {there}; the model file is of another model, or a later or earlier VisionCore wrote the file"
            )
            raise CheckpointError(Problem(where=self.where, key=name, what="the file lacks it", todo=todo))
        return found

    def rest(self) -> list[str]:
        """Names that nobody asked for."""
        return [name for name in self._tensors if name not in self._seen]


def applied_kernel(taken: Taken, name: str, window_power: float | None) -> Tensor:
    """Kernel (O, C, T, H, W) that a convolution of VisionCore applied, newest frame first, in float64.

    ``g v / |v|`` with weight norm, then under the window: a Hann window to a power over its largest value on each axis
    of five taps or more, 0 at its ends.

    Parameters
    ----------
    taken
        Tensors of the part.
    name
        Of the convolution, whose tensors are ``<name>.weight`` or below ``<name>.parametrizations.weight``.
    window_power
        Power of the window; None without one.
    """
    given = f"{name}.parametrizations.weight"
    kernel: Tensor
    direction = taken.find(f"{given}.0.v")
    if direction is not None:
        taken.find(f"{given}.original")  # what the norm started from: no output depends on it
        norms = torch.linalg.vector_norm(direction.flatten(1), dim=1).clamp_min(1e-12)
        kernel = direction * (taken.need(f"{given}.0.g") / norms)[:, None, None, None, None]
    elif window_power is not None:
        kernel = taken.need(f"{given}.original")
    else:
        kernel = taken.need(f"{name}.weight")
    if window_power is not None:
        for axis in range(2, 5):
            size = kernel.shape[axis]
            if size >= _WINDOWED:
                places = torch.arange(size, dtype=torch.float64)
                window = (0.5 - 0.5 * torch.cos(2 * torch.pi * places / (size - 1))).clamp(min=0) ** window_power
                shape = [-1 if place == axis else 1 for place in range(5)]
                kernel = kernel * (window / window.max()).view(shape)
    return kernel
