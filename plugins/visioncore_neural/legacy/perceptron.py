"""Perceptrons of an old model as those of the encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from visioncore_neural.legacy.kernels import Taken

__all__ = ["Perceptron"]

Linear = tuple[Tensor, Tensor]
"""Weight (O, I) and offset (O,)."""


@dataclass(frozen=True)
class Perceptron:
    """Hidden layers, and the linear map of the last of them to the output."""

    hidden: tuple[Linear, ...]
    output: Linear

    @classmethod
    def read(cls, taken: Taken, name: str) -> Perceptron:
        """Perceptron below ``<name>.mlp``, as it was applied."""
        hidden: list[Linear] = []
        while True:
            place = f"{name}.mlp.{len(hidden)}"
            if (weight := _weight(taken, f"{place}.linear")) is not None:
                hidden.append((weight, _offset(taken, f"{place}.linear", weight)))
            elif hidden and _weight(taken, place) is None:  # its last layer had a nonlinearity too
                size = len(hidden[-1][1])
                identity = torch.eye(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
                return cls(tuple(hidden), identity)
            else:
                last = _weight(taken, place)
                last = taken.need(f"{place}.weight") if last is None else last
                return cls(tuple(hidden), (last, _offset(taken, place, last)))

    @property
    def num_inputs(self) -> int:
        """Size of what it sees."""
        return int((self.hidden[0] if self.hidden else self.output)[0].shape[1])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the hidden layers."""
        return tuple(len(bias) for _, bias in self.hidden)

    def then(self, weight: Tensor, bias: Tensor) -> Perceptron:
        """The same with a linear map behind it."""
        return Perceptron(self.hidden, (weight @ self.output[0], weight @ self.output[1] + bias))

    def state(self, name: str) -> dict[str, Tensor]:
        """State of a perceptron of this name."""
        made = {f"{name}output.weight": self.output[0], f"{name}output.bias": self.output[1]}
        for number, (weight, bias) in enumerate(self.hidden):
            made |= {f"{name}hidden.{2 * number}.weight": weight, f"{name}hidden.{2 * number}.bias": bias}
        return made


def _weight(taken: Taken, name: str) -> Tensor | None:
    """Weight of a linear layer; with spectral norm over the value that its last estimate gives, as in evaluation."""
    for original, left, right in (
        ("parametrizations.weight.original", "parametrizations.weight.0._u", "parametrizations.weight.0._v"),
        ("weight_orig", "weight_u", "weight_v"),  # of torch's earlier way
    ):
        if (weight := taken.find(f"{name}.{original}")) is not None:
            return weight / (taken.need(f"{name}.{left}") @ weight @ taken.need(f"{name}.{right}"))
    return taken.find(f"{name}.weight")


def _offset(taken: Taken, name: str, weight: Tensor) -> Tensor:
    bias = taken.find(f"{name}.bias")
    return weight.new_zeros(len(weight)) if bias is None else bias
