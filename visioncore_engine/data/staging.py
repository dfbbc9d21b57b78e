"""Batches on their way to a GPU while it computes: one copy each, out of a ring of pinned buffers, on a stream apart.

All tensors of a batch are laid side by side in one buffer, because many small copies cost more than a large one. A
buffer is written to again only when its copy is over, and a batch is touched only when it has arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol

import torch
from torch import Tensor

from visioncore_engine.contracts import Batch, Encoding, Group

__all__ = ["Copies", "CudaCopies", "Staged", "Staging"]

_ALIGNMENT = 256  # bytes, of each tensor in a buffer


class Copies(Protocol):
    """How bytes come to a device behind the back of whoever computes."""

    def buffer(self, num_bytes: int) -> Tensor:
        """Memory from which copies are fast, uint8."""
        ...

    def start(self, buffer: Tensor) -> tuple[Tensor, Any]:
        """Start to copy: the bytes on the device, and the end of the copy."""
        ...

    def finish(self, end: Any) -> None:
        """Wait here until a copy is over."""
        ...

    def arrive(self, copied: Tensor, end: Any) -> None:
        """Have the device wait until a copy is over, before what it is asked for next."""
        ...


class CudaCopies:
    """Copies to a GPU on a stream of their own.

    Parameters
    ----------
    device
        The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def buffer(self, num_bytes: int) -> Tensor:
        """Pinned memory."""
        return torch.empty(num_bytes, dtype=torch.uint8, pin_memory=True)

    def start(self, buffer: Tensor) -> tuple[Tensor, torch.cuda.Event]:
        """Queue a copy on the stream."""
        with torch.cuda.stream(self._stream):
            copied = buffer.to(self._device, non_blocking=True)
            end = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            end.record(self._stream)
        return copied, end

    def finish(self, end: torch.cuda.Event) -> None:
        """Wait for an event."""
        end.synchronize()

    def arrive(self, copied: Tensor, end: torch.cuda.Event) -> None:
        """Queue a wait on the stream that computes, to which the memory belongs from now on."""
        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(end)
        copied.record_stream(computing)


@dataclass
class Staged(Batch):
    """A batch whose tensors may still be on their way; `to` waits for them."""

    copies: Copies | None = None
    copied: Tensor | None = None
    end: Any = None

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Batch:
        """Copy of the batch that has arrived, decoded."""
        if self.copies is not None and self.copied is not None:
            self.copies.arrive(self.copied, self.end)
        return Batch(self.groups).to(device, dtype)


@dataclass
class _Slot:
    buffer: Tensor | None = None
    end: Any = None


@dataclass
class Staging:
    """Sends batches ahead.

    Parameters
    ----------
    copies
        How bytes come to the device.
    num_slots
        Buffers that are used in turn: as many as batches may be on their way at once.
    """

    copies: Copies
    num_slots: int = 4
    _slots: list[_Slot] = field(init=False)
    _turn: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._slots = [_Slot() for _ in range(self.num_slots)]
        self._turn = count()

    def __call__(self, batch: Batch) -> Batch:
        """Start to send a batch; tensors that are on a device stay where they are."""
        tensors = [tensor for group in batch.groups for tensor in _tensors(group) if tensor.device.type == "cpu"]
        places, size = _laid(tensors)
        if size == 0:
            return batch
        slot = self._slots[next(self._turn) % self.num_slots]
        if slot.end is not None:
            self.copies.finish(slot.end)
        if slot.buffer is None or slot.buffer.numel() < size:
            slot.buffer = self.copies.buffer(size)
        for tensor, place in zip(tensors, places, strict=True):
            _view(slot.buffer, tensor, place).copy_(tensor)
        copied, slot.end = self.copies.start(slot.buffer[:size])
        moved = {id(tensor): _view(copied, tensor, place) for tensor, place in zip(tensors, places, strict=True)}
        groups = [_replaced(group, moved) for group in batch.groups]
        return Staged(groups, self.copies, copied, slot.end)


def _tensors(group: Group) -> Iterator[Tensor]:
    yield from (group.inputs, group.mask, group.items)
    for named in (group.targets, group.side, group.tags):
        yield from named.values()
    if group.encoding is not None:
        parts = (group.encoding.scale, group.encoding.offset, group.encoding.blank)
        yield from (part for part in parts if part is not None)


def _laid(tensors: list[Tensor]) -> tuple[list[int], int]:
    """Where each tensor begins in a buffer, and the bytes of all."""
    places, size = [], 0
    for tensor in tensors:
        places.append(size)
        size += -(-tensor.numel() * tensor.element_size() // _ALIGNMENT) * _ALIGNMENT
    return places, size


def _view(buffer: Tensor, tensor: Tensor, place: int) -> Tensor:
    """Part of a buffer, as a tensor of the shape and dtype of another."""
    num_bytes = tensor.numel() * tensor.element_size()
    return buffer[place : place + num_bytes].view(tensor.dtype).view(tensor.shape)


def _replaced(group: Group, moved: dict[int, Tensor]) -> Group:
    def of(tensor: Tensor) -> Tensor:
        return moved.get(id(tensor), tensor)

    code = group.encoding
    if code is not None:
        code = Encoding(of(code.scale), of(code.offset), None if code.blank is None else of(code.blank))
    return replace(
        group,
        inputs=of(group.inputs),
        mask=of(group.mask),
        items=of(group.items),
        targets={name: of(value) for name, value in group.targets.items()},
        side={name: of(value) for name, value in group.side.items()},
        tags={name: of(value) for name, value in group.tags.items()},
        encoding=code,
    )
