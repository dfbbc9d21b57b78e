"""The old data layout, frozen: one prediction per sample, fetched one by one and collated into one batch per session.

Written from its description. The sessions are concatenated; a session is made of parts (stimulus types), each a mapping
of arrays with time first. A sample looks its part and frame up in a table, finds the parts among its indices by
`unique`, makes a zero tensor for each array and fills it under a boolean mask (code for many indices, called with one).
A view around it casts the pixels to float32, subtracts and divides, each out of place. The collate sorts samples by
session and stacks each array.

Where the old layout had (x - 127) / 255, here is (x - 128) / 256: the same operations, but exact in float32, so that
batches can be compared bit for bit with those of a gather that multiplies and adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

__all__ = ["MIDDLE", "RANGE", "Float32View", "OldSession", "Part", "Sample", "old_collate", "old_loader"]

MIDDLE, RANGE = 128, 256

Sample = dict[str, Tensor]


class Part:
    """Arrays of one stimulus type, indexed together.

    Parameters
    ----------
    arrays
        Time first; ``stim`` is uint8 (T, C, H, W).
    """

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        self.arrays = arrays

    def __getitem__(self, index: tuple[str, Tensor]) -> Tensor:
        key, frames = index
        return self.arrays[key][frames]


class OldSession(Dataset[Sample]):
    """Samples of one session.

    Parameters
    ----------
    parts
        Its stimulus types.
    table
        int64 (N, 2): part and predicted frame of each sample.
    lags
        Per array: the lags that a sample has, in the order in which it has them; None for the frame itself.
    """

    def __init__(self, parts: Sequence[Part], table: Tensor, lags: Mapping[str, Sequence[int] | None]) -> None:
        self._parts, self._table = parts, table
        self._lags = {key: None if given is None else torch.tensor(given) for key, given in lags.items()}

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, number: int) -> Sample:
        rows = self._table[torch.as_tensor([number])]
        owner, frame = rows[:, 0], rows[:, 1]
        found = {key: self._empty(key, len(rows), lags) for key, lags in self._lags.items()}
        for part in torch.unique(owner):
            member = owner == part
            for key, lags in self._lags.items():
                frames = frame[member] if lags is None else frame[member][:, None] - lags[None, :]
                found[key][member] = self._parts[int(part)][key, frames]
        sample = {key: values.squeeze(0) for key, values in found.items()}
        if sample["stim"].ndim == 4:
            sample["stim"] = sample["stim"].permute(1, 0, 2, 3)  # (lags, C, H, W) to (C, lags, H, W)
        return sample

    def _empty(self, key: str, num: int, lags: Tensor | None) -> Tensor:
        like = self._parts[0].arrays[key]
        shape = (num, *([] if lags is None else [len(lags)]), *like.shape[1:])
        return torch.zeros(shape, dtype=like.dtype)


class Float32View(Dataset[Sample]):
    """A session's samples with scaled pixels and the number of the session, everything as float32.

    Parameters
    ----------
    session
        Its samples.
    number
        Of the session.
    """

    def __init__(self, session: OldSession, number: int) -> None:
        self._session, self._number = session, number

    def __len__(self) -> int:
        return len(self._session)

    def __getitem__(self, number: int) -> Sample:
        sample = {key: values.float() for key, values in self._session[number].items()}
        sample["stim"] = (sample["stim"] - MIDDLE) / RANGE
        sample["session"] = torch.tensor(self._number)
        return sample


def old_collate(samples: Sequence[Sample]) -> list[Sample]:
    """One batch per session: (B, …) per array, sessions in order, samples in theirs."""
    by_session: dict[int, list[Sample]] = {}
    for sample in samples:
        by_session.setdefault(int(sample["session"]), []).append(sample)
    return [
        {key: torch.stack([sample[key] for sample in members]) for key in members[0]}
        for _, members in sorted(by_session.items())
    ]


def old_loader(sessions: Iterable[OldSession], batches: Iterable[list[int]]) -> DataLoader[Sample]:
    """Stock loader without workers over batches of sample numbers, counted through all sessions."""
    views = [Float32View(session, number) for number, session in enumerate(sessions)]
    return DataLoader(ConcatDataset(views), batch_sampler=batches, collate_fn=old_collate)
