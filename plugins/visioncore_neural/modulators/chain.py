"""Modulators one after another. B windows, C channels, T frames, H, W pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from visioncore_engine.contracts import ModulatorFacts
from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.models.parts import Part
from visioncore_neural.options.modulator import ChainOptions

__all__ = ["Chain"]


class Chain(nn.Module):
    """Each modulator changes what the one before it made.

    Attributes
    ----------
    auxiliary
        Losses of all parts.
    out_shape, history, burn_in, identity_at_start
        As every modulator; history and burn-in are the sums of those of the parts.

    Raises
    ------
    ConfigError
        Where two parts have a loss of the same name.
    """

    def __init__(self, options: ChainOptions, facts: ModulatorFacts) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        self.auxiliary: dict[str, float] = {}
        for choice in options.parts:
            part: Any = Part(choice, f"parts.{choice.id}").build(facts)
            self.parts.append(part)
            self._adopt(dict(getattr(part, "auxiliary", {})), choice.id)
            facts = replace(facts, in_shape=tuple(part.out_shape))
        self.out_shape = facts.in_shape
        self.history = sum(int(getattr(part, "history", 0)) for part in self.parts)
        self.burn_in = sum(int(getattr(part, "burn_in", 0)) for part in self.parts)
        self.identity_at_start = all(getattr(part, "identity_at_start", False) for part in self.parts)

    def _adopt(self, own: dict[str, float], name: str) -> None:
        twice = sorted(set(own) & set(self.auxiliary))
        if twice:
            raise ConfigError(
                Problem(
                    key=f"parts.{name}",
                    what="two modulators of a chain have a loss of the same name",
                    given=", ".join(twice),
                    todo="leave one of them out",
                )
            )
        self.auxiliary |= own

    def forward(self, features: Tensor, side: Mapping[str, Tensor]) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Modulate: features (B, C, T, H, W) by {name: (B, T, K)} -> (B, C', T - history, H, W), and own losses."""
        own: dict[str, Tensor] = {}
        for part in self.parts:
            output = part(features, _Last(side, features.shape[2]))
            features, more = output if isinstance(output, tuple) else (output, {})
            own |= more
        if not self.auxiliary:
            return features
        return features, {name: values[:, values.shape[1] - features.shape[2] :] for name, values in own.items()}


class _Last(Mapping[str, Tensor]):
    """Side inputs at the last `length` frames, cut when they are asked for."""

    def __init__(self, side: Mapping[str, Tensor], length: int) -> None:
        self._side, self._length = side, length

    def __getitem__(self, name: str) -> Tensor:
        values = self._side[name]
        return values[:, values.shape[1] - self._length :]

    def __iter__(self) -> Iterator[str]:
        return iter(self._side)

    def __len__(self) -> int:
        return len(self._side)
