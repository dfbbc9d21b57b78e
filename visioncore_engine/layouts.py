"""What a run gains by longer windows: how fast it trains, what it reads, and whether its model predicts the same.

A window of length L holds L predictions, which share the frames before them. Where a model uses a bounded past and no
statistics over time or batch, its predictions do not depend on L.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.build import build
from visioncore_engine.config import resolve
from visioncore_engine.contracts import Batch
from visioncore_engine.data.index import read
from visioncore_engine.devices import device_name, may_fuse, step_clock
from visioncore_engine.errors import UserError
from visioncore_engine.objective import predict
from visioncore_engine.options import SamplerOptions
from visioncore_engine.probe import Probe

__all__ = ["FRAME", "KEY", "LENGTHS", "Row", "compare_lengths"]

KEY = "data.window.length"
LENGTHS = (1, 8, 32, 64)
FRAME = "frame"  # the tag by which predictions of the same thing are known in windows of any length

_STEPS = 3  # that are timed, after one that is not
_COMPARED = 64  # predictions of a group that are compared
_GROUPS = 4

_Predictions = Mapping[tuple[int, int, str], Tensor]  # by group, frame and task


@dataclass(frozen=True)
class Row:
    """One length.

    Attributes
    ----------
    length
        Predictions of a window.
    refused
        Why the run cannot have it; empty where it can, and nothing else is known where it cannot.
    per_second
        Predictions that count, per second of a training step without reading.
    frames_read
        Input frames per prediction that counts.
    valid_share
        Predictions that count among all that are computed.
    num_compared
        Predictions that were compared with those of the first length.
    difference
        Their largest difference over the largest value, in float64; None where nothing could be compared.
    """

    length: int
    refused: str = ""
    per_second: float = 0.0
    frames_read: float = 0.0
    valid_share: float = 0.0
    num_compared: int = 0
    difference: float | None = None

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def compare_lengths(
    arguments: Mapping[str, Any], *, lengths: Sequence[int] = LENGTHS, num_predictions: int = 256, key: str = KEY
) -> list[Row]:
    """Build a run for several lengths and measure a few training steps of each.

    Parameters
    ----------
    arguments
        Keyword arguments of `resolve`.
    lengths
        What to try; predictions are compared with those of the first that is not refused.
    num_predictions
        In a step, alike for all lengths.
    key
        The option that holds the length.

    Raises
    ------
    UserError
        Where the run is refused whatever the length.
    """
    rows: list[Row] = []
    reference: _Predictions | None = None
    refusal: UserError | None = None
    options = resolve(**arguments).run.sampler.options
    assert isinstance(options, SamplerOptions)
    for length in lengths:
        whole = max(options.batch_size // max(length, 1), 1) * length  # a batch holds whole windows
        changes = [f"{key}={length}", f"sampler.batch_size={whole}"]
        own = {**arguments, "sets": [*arguments.get("sets", ()), *changes]}
        try:
            measured = _measured(own, length, num_predictions)
            found = _predictions(own)
        except UserError as error:
            refusal = refusal or error
            rows.append(Row(length, refused=" ".join(str(error).split())))
            continue
        reference = found if reference is None else reference
        rows.append(Row(**measured, **_compared(reference, found)))
    if refusal is not None and reference is None:
        raise refusal
    return rows


def _measured(arguments: Mapping[str, Any], length: int, num_predictions: int) -> dict[str, Any]:
    resolved = resolve(**arguments)
    device = device_name(resolved)
    parts = build(resolved, fused=may_fuse(resolved, device))
    probe = Probe(resolved, parts, "cpu" if device == "cpu" else "cuda")
    batch = probe.windows(max(num_predictions // length, 1))
    valid = sum(float(_counts(group.mask).sum()) for group in batch.groups)
    frames = sum(group.inputs.shape[0] * group.inputs.shape[2] for group in batch.groups if group.inputs.ndim > 4)
    clock, seconds = step_clock(resolved), []
    for _ in range(_STEPS + 1):
        begun = clock()
        probe.step(batch)
        seconds.append(clock() - begun)
    total = sum(float(weights.sum()) for weights in parts.index.weights)
    return {
        "length": length,
        "per_second": valid / float(np.median(seconds[1:])),
        "frames_read": frames / valid,
        "valid_share": total / (parts.index.num_items * parts.index.frames_per_item),
    }


def _counts(mask: Tensor) -> Tensor:
    """Predictions in which something counts."""
    return mask if mask.ndim == 1 else mask.any(-1)


def _predictions(arguments: Mapping[str, Any]) -> _Predictions:
    """Predictions of the first windows of some groups, in float64, by what they are of."""
    parts = build(resolve(**{**arguments, "sets": [*arguments["sets"], "trainer.precision=64-true"]}))
    parts.model.double().eval()
    found: dict[tuple[int, int, str], Tensor] = {}
    for source in [source for source in parts.index.sources if source.num_items][:_GROUPS]:
        num = min(-(-_COMPARED // source.frames_per_item), source.num_items)
        group = read(source, np.arange(num), "float32").to("cpu", torch.float64)
        if FRAME not in group.tags:
            continue
        with torch.no_grad():
            (outputs,) = predict(parts.model, Batch([group]))
        for at in _counts(group.mask).nonzero().tolist():
            place = tuple(at)
            for task, output in outputs.items():
                found[group.index, int(group.tags[FRAME][place]), task] = output[place]
    return found


def _compared(reference: _Predictions, found: _Predictions) -> dict[str, Any]:
    both = [(reference[key], found[key]) for key in found if key in reference]
    if not both:
        return {"num_compared": 0, "difference": None}
    largest = max(float(one.abs().max()) for one, _ in both)
    apart = max(float((one - other).abs().max()) for one, other in both)
    return {"num_compared": len(both), "difference": apart / largest if largest else apart}
