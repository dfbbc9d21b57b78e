"""What a model changes in its forward pass, kept so that a step can be taken back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["BufferKeeper"]


class BufferKeeper:
    """Copies of a model's buffers (running statistics and the like) from before the current step.

    Only buffers that changed since the last step are copied again, so that constant ones (grids, masks) cost nothing
    after the first: torch counts changes in place, and what is assigned is another tensor.

    Parameters
    ----------
    model
        The model, on the device that it trains on.
    """

    def __init__(self, model: nn.Module) -> None:
        self._places = [(part, name) for part in model.modules() for name in part._buffers]  # noqa: SLF001 - `named_buffers` walks all parts in every step
        self._kept: dict[int, tuple[Tensor, int, Tensor]] = {}

    def keep(self) -> None:
        """Remember the buffers as they are."""
        for number, (part, name) in enumerate(self._places):
            buffer = part._buffers[name]  # noqa: SLF001 - as above
            if buffer is not None and not self._is_kept(number, buffer):
                self._kept[number] = (buffer, buffer._version, buffer.detach().clone())  # noqa: SLF001 - torch's count of changes in place

    def restore(self) -> None:
        """Take the buffers back to what was kept."""
        for number, (part, name) in enumerate(self._places):
            buffer = part._buffers[name]  # noqa: SLF001 - as above
            if number not in self._kept or (buffer is not None and self._is_kept(number, buffer)):
                continue
            original, _, copy = self._kept[number]
            with torch.no_grad():
                part._buffers[name] = original.copy_(copy)  # noqa: SLF001 - as above
            self._kept[number] = (original, original._version, copy)  # noqa: SLF001 - as above

    def _is_kept(self, number: int, buffer: Tensor) -> bool:
        kept = self._kept.get(number)
        return kept is not None and kept[0] is buffer and kept[1] == buffer._version  # noqa: SLF001 - as above
