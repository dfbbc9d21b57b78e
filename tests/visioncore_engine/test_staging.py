"""Batches that are sent ahead: what arrives is what was read, however late the copies are, and buffers are reused."""

from __future__ import annotations

import pytest
import torch

from visioncore_engine.contracts import Batch, Encoding, Group
from visioncore_engine.data.staging import Staged, Staging


class LateCopies:
    """Copies that happen at the last moment: when somebody waits for them."""

    def __init__(self):
        self.buffers, self.pending, self.arrived = [], {}, 0

    def buffer(self, num_bytes):
        self.buffers.append(torch.zeros(num_bytes, dtype=torch.uint8))
        return self.buffers[-1]

    def start(self, buffer):
        copied = torch.full_like(buffer, 255)
        end = object()
        self.pending[id(end)] = (end, buffer, copied)
        return copied, end

    def finish(self, end):
        if id(end) in self.pending:
            _, buffer, copied = self.pending.pop(id(end))
            copied.copy_(buffer)

    def arrive(self, copied, end):
        self.arrived += 1
        self.finish(end)


def batch(seed, rows=3):
    chance = torch.Generator().manual_seed(seed)
    groups = []
    for index in range(2):
        blank = torch.rand(rows, 1, 5, 1, 1, generator=chance) < 0.3
        encoding = Encoding(torch.full((1, 1, 1, 1, 1), 2.0), torch.ones(1, 1, 1, 1, 1), blank)
        groups.append(
            Group(
                name=f"g{index}",
                index=index,
                inputs=torch.randint(0, 255, (rows, 1, 5, 3, 3), generator=chance, dtype=torch.uint8),
                targets={"robs": torch.rand(rows, 2, 4, generator=chance)},
                mask=torch.rand(rows, 2, 1, generator=chance) < 0.5,
                items=torch.randint(0, 99, (rows,), generator=chance),
                side={"run": torch.rand(rows, 5, 2, generator=chance)[..., :1]},
                tags={"frame": torch.arange(2 * rows).reshape(rows, 2)},
                encoding=encoding if index else None,
            )
        )
    return Batch(groups)


def same(one, other):
    assert len(one.groups) == len(other.groups)
    for a, b in zip(one.groups, other.groups, strict=True):
        assert (a.name, a.index, a.encoding, b.encoding) == (b.name, b.index, None, None)
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.mask, b.mask)
        assert torch.equal(a.items, b.items)
        for kind in ("targets", "side", "tags"):
            mine, theirs = getattr(a, kind), getattr(b, kind)
            assert mine.keys() == theirs.keys()
            for name, value in mine.items():
                assert value.dtype == theirs[name].dtype
                assert torch.equal(value, theirs[name])


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_what_arrives_is_what_was_sent_however_late(slots):
    copies = LateCopies()
    staging = Staging(copies, num_slots=slots)
    sent = [(batch(seed, rows=1 + seed % 3), staging(batch(seed, rows=1 + seed % 3))) for seed in range(7)]
    for before, after in sent:
        assert isinstance(after, Staged)
        assert len(after) == len(before)
    for before, after in reversed(sent):
        same(after.to("cpu"), before.to("cpu"))
    assert copies.arrived == 7
    assert len(copies.buffers) <= 3 * slots  # they only grow


def test_a_ring_of_buffers_of_one_size_is_made_once():
    copies = LateCopies()
    staging = Staging(copies, num_slots=2)
    for seed in range(9):
        staging(batch(seed))
    assert len(copies.buffers) == 2


def test_nothing_to_send():
    empty = Batch([])
    assert Staging(LateCopies())(empty) is empty


def test_the_loader_weighs_before_it_sends():
    """Masks are still here: the weights of a step need not wait for a device."""
    from visioncore_engine.data.loader import PlanLoader

    order = []

    class Sampler:
        def steps_per_epoch(self):
            return 1

        def batch(self, position):
            return torch.arange(0).numpy()

    index = type("Index", (), {"num_items": 0, "offsets": torch.zeros(1).numpy(), "sources": ()})()
    loader = PlanLoader(
        index,
        Sampler(),
        weigh=lambda micros: order.append("weigh") or {},
        send=lambda micro: order.append("send") or micro,
        accumulate=1,
        prefetch=0,
        start=lambda: (0, 0),
    )
    loader.read(0, 0)
    assert order == ["weigh", "send"]
