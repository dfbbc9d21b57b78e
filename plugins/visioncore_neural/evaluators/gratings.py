"""Evaluator `grating_tuning`: drifting gratings shown to the model. C channels, T frames, H x W pixels, N units."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from visioncore_engine.contracts import Batch, Evaluation, EvaluatorFacts, Group, GroupSpec, Result, Table
from visioncore_neural.options.evaluator import GratingTuningOptions
from visioncore_neural.recording import PREVIOUS, Recording
from visioncore_neural.responses import response_task

__all__ = ["GratingTuning", "drifting_grating", "harmonics"]

_SAMPLE = 2000  # frames from which mean and deviation of a stimulus are taken


def drifting_grating(
    shape: tuple[int, int], num_frames: int, *, direction: float, period: float, cycles_per_frame: float
) -> np.ndarray:
    """Sine grating that drifts towards `direction`, float64 (T, H, W) between -1 and 1.

    Parameters
    ----------
    shape, num_frames
        (H, W) and T.
    direction
        Degrees; 0 drifts to the right, 90 down.
    period
        Pixels.
    cycles_per_frame
        Temporal periods in a frame.
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    angle = np.deg2rad(direction)
    along = (columns - (shape[1] - 1) / 2) * np.cos(angle) + (rows - (shape[0] - 1) / 2) * np.sin(angle)
    time = np.arange(num_frames)[:, None, None]
    return np.asarray(np.cos(2 * np.pi * (along / period - cycles_per_frame * time)))


def harmonics(rates: np.ndarray, cycles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, amplitude at `cycles` periods in T frames, and its phase in degrees, (N,) each, of rates (T, N)."""
    turn = np.exp(-2j * np.pi * cycles * np.arange(len(rates)) / len(rates))
    first = 2 * (turn[:, None] * rates).mean(0)
    return rates.mean(0), np.abs(first), np.rad2deg(np.angle(first)) % 360.0


class GratingTuning:
    """Shows gratings of every direction and period to the trained model; writes the table ``grating_tuning``.

    Gratings are `contrast` standard deviations of the session's stimulus around its mean, in all channels; side inputs
    have their mean. A row per unit: the direction, orientation and period to which it responds most (by the larger of
    F1 and F0 less the rate at the mean stimulus, `blank`), F0, F1 and `blank` in Hz, the phase of F1 in degrees, and
    `modulation` = F1 / (F0 - blank), above 1 for simple and below 1 for complex cells.

    Logged: the median modulation over units, and how many have one.
    """

    def __init__(self, options: GratingTuningOptions, facts: EvaluatorFacts) -> None:
        self._options, self._groups = options, facts.groups

    def evaluate(self, evaluation: Evaluation) -> Result:
        """Show the gratings."""
        rows: list[dict[str, Any]] = []
        history = int(getattr(evaluation.model, "history"))  # noqa: B009 - of the Model protocol, which nn.Module hides
        sources = evaluation.dataset.sources(evaluation.split, history)
        for index, group in enumerate(evaluation.dataset.groups):
            found = getattr(sources[index], "recording", None)
            rows += self._rows(evaluation.model, group, index, found if isinstance(found, Recording) else None)
        rows.sort(key=lambda row: row["session"])  # stable: units keep their order
        known = np.array([row["modulation"] for row in rows if not np.isnan(row["modulation"])])
        columns = ("session", "unit", "direction", "orientation", "period", "f0", "f1", "blank", "phase", "modulation")
        return Result(
            scalars={
                "grating_modulation": float(np.median(known)) if len(known) else np.nan,
                "grating_modulation_scored": float(len(known)),
            },
            tables={"grating_tuning": Table(columns=columns, rows=rows)},
        )

    def _rows(
        self, model: nn.Module, group: GroupSpec, index: int, recording: Recording | None
    ) -> list[dict[str, Any]]:
        options, dt = self._options, group.dt or 1.0
        num = max(4, round(options.cycles / (options.hz * dt)))
        history = int(getattr(model, "history"))  # noqa: B009 - as above
        mean, deviation = _moments(recording, group)
        side = _mean_side(recording, group)

        def respond(pattern: np.ndarray) -> np.ndarray:
            inputs = mean + deviation * options.contrast * pattern[None]  # (C, T, H, W)
            return _rates(model, group, index, inputs, side, num=num)

        shape = (group.input_shape[1], group.input_shape[2])
        blank = respond(np.zeros((history + num, *shape))).mean(0)
        directions = np.arange(options.num_orientations) * 360.0 / options.num_orientations
        places = [(direction, period) for direction in directions for period in options.periods]
        found = [
            harmonics(
                respond(
                    drifting_grating(
                        shape, history + num, direction=direction, period=period, cycles_per_frame=options.cycles / num
                    )
                ),
                options.cycles,
            )
            for direction, period in places
        ]
        f0, f1, phase = (np.stack([one[part] for one in found]) for part in range(3))  # (gratings, N)
        best = np.maximum(f1, f0 - blank).argmax(0)
        rows = []
        for unit, name in enumerate(response_task(group)[1].ids):
            at = (best[unit], unit)
            direction, period = places[best[unit]]
            above = float(f0[at] - blank[unit])
            rows.append(
                {
                    "session": group.name,
                    "unit": name,
                    "direction": float(direction),
                    "orientation": float((direction + 90.0) % 180.0),
                    "period": float(period),
                    "f0": float(f0[at] / dt),
                    "f1": float(f1[at] / dt),
                    "blank": float(blank[unit] / dt),
                    "phase": float(phase[at]),
                    "modulation": float(f1[at]) / above
                    if above > 1e-9 * max(abs(float(f0[at])), 1e-12)
                    else float("nan"),
                }
            )
        return rows


def _moments(recording: Recording | None, group: GroupSpec) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the stimulus over time and space, per channel, (C, 1, 1, 1)."""
    if recording is None:
        return np.zeros((group.input_shape[0], 1, 1, 1)), np.ones((group.input_shape[0], 1, 1, 1))
    frames = np.unique(np.linspace(0, recording.num_frames - 1, min(_SAMPLE, recording.num_frames)).astype(np.int64))
    values = recording.values("stim", frames).astype(np.float64)
    values = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    with np.errstate(invalid="ignore"):
        return (np.nanmean(values, 1)[:, None, None, None], np.nanstd(values, 1)[:, None, None, None])


def _mean_side(recording: Recording | None, group: GroupSpec) -> dict[str, np.ndarray]:
    """Mean of each side input, (K,); 0 for responses of earlier frames."""
    found = {}
    for name, size in group.side.items():
        known = recording is not None and name != PREVIOUS and name in recording.arrays()
        found[name] = (
            np.nanmean(recording.values(name, slice(None)), axis=0)
            if known and recording is not None
            else np.zeros(size)
        )
    return found


def _rates(
    model: nn.Module, group: GroupSpec, index: int, inputs: np.ndarray, side: dict[str, np.ndarray], *, num: int
) -> np.ndarray:
    """Predicted rates of the last `num` frames, float64 (num, N)."""
    parameter = next(model.parameters())
    batch = Batch(
        [
            Group(
                name=group.name,
                index=index,
                inputs=torch.from_numpy(inputs[None]).to(parameter),
                targets={},
                mask=torch.ones((1, num, 1), dtype=torch.bool, device=parameter.device),
                items=torch.zeros(1, dtype=torch.int64, device=parameter.device),
                side={
                    name: torch.from_numpy(np.tile(value, (1, inputs.shape[1], 1))).to(parameter)
                    for name, value in side.items()
                },
            )
        ]
    )
    with torch.inference_mode():
        output = model(batch)[0][response_task(group)[0]]
    rates: np.ndarray = output[0, -num:].double().cpu().numpy()
    return rates
