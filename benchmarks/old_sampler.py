"""The old weighted samplers, frozen: every batch weighs samples anew and draws from them by `torch.multinomial`.

The weight of a sample is its score times a factor, at most 1. One sampler draws a session by its size, then samples of
it without replacement; the other draws from the samples of all sessions at once, and ends at 2^24 of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["OldBySession", "OldWeighted"]


class OldBySession:
    """Batches of one session each.

    Parameters
    ----------
    scores
        Per session: float32 (N,), contrast of each sample.
    batch
        Samples in a batch.
    """

    def __init__(self, scores: Sequence[Tensor], batch: int) -> None:
        self._scores, self._batch = scores, batch
        self._sizes = torch.tensor([len(score) for score in scores], dtype=torch.float32)
        self._generator = torch.Generator().manual_seed(0)

    def batch(self, share: float) -> tuple[int, Tensor]:
        """Session, and int64 (B,) samples of it; `share` is the factor on the scores."""
        session = int(torch.multinomial(self._sizes, 1, generator=self._generator))
        weights = (share * self._scores[session]).clamp(max=1.0)
        return session, torch.multinomial(weights, self._batch, replacement=False, generator=self._generator)


class OldWeighted:
    """Batches over all sessions at once.

    Parameters
    ----------
    scores
        float32 (N,), contrast of each sample.
    batch
        Samples in a batch.
    """

    def __init__(self, scores: Tensor, batch: int) -> None:
        self._scores, self._batch = scores, batch
        self._generator = torch.Generator().manual_seed(0)

    def batch(self, share: float) -> Tensor:
        """Samples of a batch, int64 (B,); RuntimeError beyond 2^24 samples."""
        weights = (share * self._scores).clamp(max=1.0)
        return torch.multinomial(weights, self._batch, replacement=True, generator=self._generator)
