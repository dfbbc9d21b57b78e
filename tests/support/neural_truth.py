"""Recordings, models and evaluations whose receptive fields and rates are known in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Batch, Dataset, DatasetFacts, Result, Source
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.options.dataset import RecordingsOptions, WindowOptions
from visioncore_neural.recording import SPLITS, Recording

__all__ = ["FieldModel", "SimpleEvaluation", "TrueModel", "recorded", "recordings"]


class FieldModel(nn.Module):
    """Rates from fields (N, C, K, H, W), oldest frame first: the sum of ``power`` of what each field sees.

    With several fields per unit, (N, F, C, K, H, W), their outputs are added: two in quadrature, squared, make an
    energy unit.
    """

    def __init__(self, fields: Mapping[str, np.ndarray], power: int = 1) -> None:
        super().__init__()
        self.fields = nn.ParameterDict({name: nn.Parameter(torch.tensor(value)) for name, value in fields.items()})
        self.history = next(iter(fields.values())).shape[-3] - 1
        self._power = power

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        return [{"robs": self._rates(group.inputs, self.fields[group.name])} for group in batch.groups]

    def _rates(self, inputs: Tensor, fields: Tensor) -> Tensor:
        fields = fields if fields.ndim == 6 else fields[:, None]
        windows = inputs.unfold(2, self.history + 1, 1)  # (B, C, L, H, W, K)
        seen = torch.einsum("bclhwk,nfckhw->blnf", windows.to(fields), fields)
        return (seen**self._power).sum(dim=-1)


class TrueModel(nn.Module):
    """The very units of a simulated session, as a model of it; without the gain by behavior."""

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(()), requires_grad=False)
        self._fields, self._linear = {}, {}
        for group in dataset.groups:
            population = dataset.truth(group.name).population
            size = group.input_shape[-1]
            kernels = population.kernels(group.dt)[:, ::-1].copy()
            pair = np.einsum("fnhw,nk->nfkhw", population.filters(size), kernels)[:, :, None]
            self._fields[group.name] = torch.tensor(pair, dtype=torch.float32)
            self._linear[group.name] = torch.tensor([kind == "linear" for kind in population.kinds])
        self.history = kernels.shape[1] - 1

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        return [{"robs": self._rates(group.name, group.inputs)} for group in batch.groups]

    def _rates(self, name: str, inputs: Tensor) -> Tensor:
        fields = self._fields[name]
        seen = nn.functional.conv3d(inputs - 127.0, fields.flatten(0, 1))[..., 0, 0]
        even, odd = seen.unflatten(1, fields.shape[:2]).transpose(1, 3).unbind(2)
        scale = 60.0  # about the standard deviation of what a field sees
        linear = nn.functional.softplus(3 * (even / scale - 0.7))
        return torch.where(self._linear[name], linear, 0.1 + (even / scale) ** 2 + (odd / scale) ** 2)


@dataclass
class SimpleEvaluation:
    """What evaluators see, without an engine around it."""

    dataset: Dataset
    model: nn.Module
    split: str = "validation"
    scores: Mapping[str, Result] = field(default_factory=dict)
    windows: int = 5  # windows in a batch

    def sources(self) -> Sequence[Source]:
        return self.dataset.sources(self.split, int(self.model.history))

    def batches(self, groups: Sequence[str] | None = None) -> Iterator[tuple[Batch, list[dict[str, Tensor]]]]:
        for source in self.sources():
            if groups is not None and source.group.name not in groups:
                continue
            for start in range(0, source.num_items, self.windows):
                items = np.arange(start, min(start + self.windows, source.num_items))
                batch = Batch([source.gather(items)])
                with torch.inference_mode():
                    outputs = self.model(batch)
                length = batch.groups[0].mask.shape[1]
                yield batch, [{task: value[:, -length:] for task, value in output.items()} for output in outputs]


def recorded(
    name: str = "m1_a",
    num_frames: int = 240,
    num_units: int = 3,
    shape: tuple[int, int, int] = (1, 5, 6),
    *,
    seed: int = 0,
    counts: np.ndarray | None = None,
    invalid: float = 0.2,
    repeats: bool = False,
    poison: float | None = None,
) -> Recording:
    """Noise, counts, and a mask per unit; half of the frames are held out for validation."""
    draws = np.random.default_rng(seed)
    trial = np.arange(num_frames) // 20
    robs = draws.poisson(0.6, (num_frames, num_units)) if counts is None else counts
    valid = draws.random((num_frames, num_units)) >= invalid
    robs = robs.astype(np.float32)
    if poison is not None:
        robs = np.where(valid, robs, poison)
    clip = np.where(trial % 4 == 1, np.arange(num_frames) % 20, -1) if repeats else None
    return Recording(
        name=name,
        subject=name.partition("_")[0],
        dt=0.02,
        stim=draws.normal(size=(num_frames, *shape)).astype(np.float32),
        robs=robs,
        valid=valid,
        trial=trial.astype(np.int32),
        units=tuple(f"u{number}" for number in range(num_units)),
        split=np.where(trial % 2 == 0, SPLITS["train"], SPLITS["validation"]).astype(np.int8),
        repeat_frame=clip,
        repeat_trial=None if clip is None else np.where(clip >= 0, trial, -1),
    )


def recordings(*made: Recording, length: int = 4, **facts_of: Mapping[str, Any]) -> RecordingsDataset:
    """Dataset of recordings in memory."""
    options = RecordingsOptions(window=WindowOptions(length=length))
    return RecordingsDataset(made, options, DatasetFacts(seed=0), facts_of=facts_of)
