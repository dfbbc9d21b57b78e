"""What a model changes in its forward pass, kept so that a step can be taken back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["BufferKeeper"]


class BufferKeeper:
    """Copies of a model's buffers (running statistics and the like) from before the current step.

    All of them are copied in every step: torch's counter of changes in place (`Tensor._version`) does not see those of
    batch normalisation.

    Parameters
    ----------
    model
        The model, on the device that it trains on.
    """

    def __init__(self, model: nn.Module) -> None:
        self._places = [(part, name) for part in model.modules() for name in part._buffers]  # noqa: SLF001 - `named_buffers` walks all parts in every step
        self._copies: dict[int, Tensor] = {}

    def keep(self) -> None:
        """Remember the buffers as they are."""
        if self._places:
            self._keep()

    @torch.no_grad()
    def _keep(self) -> None:
        for number, (part, name) in enumerate(self._places):
            buffer, copy = part._buffers[name], self._copies.get(number)  # noqa: SLF001 - as above
            if buffer is None:
                self._copies.pop(number, None)
            elif copy is not None and copy.shape == buffer.shape:
                copy.copy_(buffer)
            else:
                self._copies[number] = buffer.detach().clone()

    @torch.no_grad()
    def restore(self) -> None:
        """Take the buffers back to what was kept."""
        for number, (part, name) in enumerate(self._places):
            buffer, copy = part._buffers[name], self._copies.get(number)  # noqa: SLF001 - as above
            if buffer is not None and copy is not None and copy.shape == buffer.shape:
                buffer.copy_(copy)
            else:
                part._buffers[name] = None if copy is None else copy.clone()  # noqa: SLF001 - as above
