"""What a linear model scores on the real recordings, so that a deep one has something to beat. Needs numpy only.

``rat_rgc_bars``: ridge regression on 24 lags of 31 bar positions, then a binned static nonlinearity.
``mouse_rgc_chromatic``: ridge regression on 45 lags of the on and off parts of two contrasts, held above a floor.

Per unit, everything is fitted on split 0, the ridge strength is chosen by correlation on split 1, and split 2 is scored
once. Only frames are used whose whole history lies in the same segment (a mouse recording is one segment: as for the
stored figures, a test block's first frames see the end of the stimulus before it). Bits per spike are the gain in
Poisson log-likelihood over the unit's mean rate on the scored frames; the correlation to the average compares the
prediction with the mean over the repeats of a clip.

    python benchmarks/baselines.py [--data FOLDER] [--json]
    python benchmarks/baselines.py --dump FOLDER       one <dataset>_<recording>.npz each, with frames, counts and rate
    python benchmarks/baselines.py --against FOLDER    scores the models of such files and ours on their common frames

The data folder is $VISIONCORE_DATA, else shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
STRENGTHS = tuple(10.0**exponent for exponent in range(6))
NUM_BINS = 30
# One row of a benchmark's table: where it is from, then what it scored.
Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Recording:
    """What a baseline needs of a recording: T frames, F signals, N units, R repeats of a clip of C frames."""

    dataset: str
    name: str
    num_lags: int
    signals: np.ndarray  # (T, F) float64, oldest first
    counts: np.ndarray  # (T, N) float64
    split: np.ndarray  # (T,)
    segment: np.ndarray  # (T,) history does not carry over its borders
    valid: np.ndarray  # (T,) bool
    floor: float  # lowest rate that a prediction may have, spikes per frame
    nonlinear: bool  # whether a static nonlinearity follows the linear part
    clip: np.ndarray | None = None  # (C, F)
    repeats: np.ndarray | None = None  # (R, C, N)

    def frames(self, split: int) -> np.ndarray:
        """Numbers of the valid frames of `split` whose whole history lies in one segment."""
        past = self.num_lags - 1
        whole = np.r_[np.zeros(past, bool), self.segment[past:] == self.segment[:-past]]
        return np.flatnonzero(whole & self.valid & (self.split == split))


def data_folder(given: str | None = None) -> Path:
    """Return the folder of the recordings: as given, else $VISIONCORE_DATA, else shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(given or os.environ.get("VISIONCORE_DATA") or beside)


def rat(root: Path) -> Iterator[Recording]:
    """Six cells of one retina under 31 flickering bars at 60 Hz, in segments of 36 s."""
    data = np.load(root / "rat_rgc_bars" / "retina1.npz")
    yield Recording(
        dataset="rat_rgc_bars",
        name="retina1",
        num_lags=24,
        signals=data["stim"][:, 0].astype(np.float64),
        counts=data["robs"].astype(np.float64),
        split=data["split"],
        segment=data["segment"],
        valid=data["valid"],
        floor=1e-4,
        nonlinear=True,
        clip=data["stim_rep"][:, 0].astype(np.float64),
        repeats=data["robs_rep"].astype(np.float64),
    )


def mouse(root: Path) -> Iterator[Recording]:
    """Six recordings of one or two cells under steps of green and ultraviolet contrast, 20 ms bins."""
    for path in sorted((root / "mouse_rgc_chromatic").glob("rec*.npz")):
        data = np.load(path)
        contrast = data["stim"][:, 0].astype(np.float64) / 20  # -1 … 1
        yield Recording(
            dataset="mouse_rgc_chromatic",
            name=path.stem,
            num_lags=45,
            signals=np.concatenate([np.maximum(contrast, 0), np.maximum(-contrast, 0)], axis=1),
            counts=data["robs"].astype(np.float64),
            split=data["split"],
            segment=np.zeros(len(contrast), int),
            valid=data["valid"],
            floor=1e-3,
            nonlinear=False,
        )


def lagged(signals: np.ndarray, frames: np.ndarray, num_lags: int) -> np.ndarray:
    """Give each frame its history, oldest first: (T, F) and frame numbers (K,) to (K, num_lags * F)."""
    windows = np.lib.stride_tricks.sliding_window_view(signals, num_lags, axis=0)  # (T - num_lags + 1, F, num_lags)
    histories: np.ndarray = windows[frames - (num_lags - 1)].swapaxes(1, 2).reshape(len(frames), -1)
    return histories


class Ridge:
    """Linear regression with a penalty on the squared weights, for every strength from one factorisation.

    For centred inputs X the weights are (X'X + strength I)⁻¹ X'y; with X'X = V diag(e) V' only the diagonal changes.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.centre, self.mean = x.mean(0), y.mean(0)
        covariance = x.T @ x - len(x) * np.outer(self.centre, self.centre)  # no centred copy of x
        self.eigenvalues, self.basis = np.linalg.eigh(covariance)
        self.projected = self.basis.T @ (x.T @ (y - self.mean))

    def predict(self, x: np.ndarray, strength: float) -> np.ndarray:
        """Predict (K, N) from (K, F)."""
        weights = self.basis @ (self.projected / (np.maximum(self.eigenvalues, 0) + strength)[:, None])
        prediction: np.ndarray = x @ weights + (self.mean - self.centre @ weights)
        return prediction


class Nonlinearity:
    """A curve through the mean count of each of `NUM_BINS` bins of the drive that hold equally many frames."""

    def __init__(self, drive: np.ndarray, counts: np.ndarray) -> None:
        edges = np.unique(np.quantile(drive, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
        index = np.searchsorted(edges, drive, side="left")
        size = np.bincount(index, minlength=len(edges) + 1)
        filled = size > 0
        self.drive = (np.bincount(index, drive, len(size))[filled]) / size[filled]
        self.rate = (np.bincount(index, counts, len(size))[filled]) / size[filled]

    def __call__(self, drive: np.ndarray) -> np.ndarray:
        rate: np.ndarray = np.interp(drive, self.drive, self.rate)
        return rate


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; NaN where one side does not vary."""
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else float("nan")


def bits_per_spike(rate: np.ndarray, counts: np.ndarray) -> float:
    """Poisson log-likelihood gained over the mean rate of the scored frames, in bits, per spike."""
    null = counts.mean()
    gain = counts * np.log(rate / null) - (rate - null)
    return float(gain.sum() / counts.sum() / np.log(2))


@dataclass(frozen=True)
class Prediction:
    """What a model says of a recording's test frames (K of them) and of its clip."""

    frames: np.ndarray  # (K,)
    counts: np.ndarray  # (K, N)
    rate: np.ndarray  # (K, N) spikes per frame
    linear: np.ndarray  # (K, N) before nonlinearity or floor
    strength: np.ndarray  # (N,)
    clip_rate: np.ndarray | None  # (C - num_lags + 1, N)


def fit(recording: Recording) -> Prediction:
    """Fit on split 0, choose on split 1, predict split 2."""
    frames = {split: recording.frames(split) for split in (TRAIN, VALIDATION, TEST)}
    x = {split: lagged(recording.signals, numbers, recording.num_lags) for split, numbers in frames.items()}
    y = {split: recording.counts[numbers] for split, numbers in frames.items()}
    if recording.clip is not None:
        clip_frames = np.arange(recording.num_lags - 1, len(recording.clip))
        x[-1] = lagged(recording.clip, clip_frames, recording.num_lags)
    ridge = Ridge(x[TRAIN], y[TRAIN])
    num_units = y[TRAIN].shape[1]
    best = np.full(num_units, -np.inf)
    strength = np.zeros(num_units)
    linear, rate = np.zeros_like(y[TEST]), np.zeros_like(y[TEST])
    clip_rate = np.zeros((len(x[-1]), num_units)) if recording.clip is not None else None
    for candidate in STRENGTHS:
        drive = {split: ridge.predict(inputs, candidate) for split, inputs in x.items()}
        for unit in range(num_units):
            curve = Nonlinearity(drive[TRAIN][:, unit], y[TRAIN][:, unit]) if recording.nonlinear else np.asarray
            score = correlation(curve(drive[VALIDATION][:, unit]), y[VALIDATION][:, unit])
            if score > best[unit]:
                best[unit], strength[unit] = score, candidate
                linear[:, unit] = drive[TEST][:, unit]
                rate[:, unit] = np.maximum(curve(drive[TEST][:, unit]), recording.floor)
                if clip_rate is not None:
                    clip_rate[:, unit] = np.maximum(curve(drive[-1][:, unit]), recording.floor)
    return Prediction(frames[TEST], y[TEST], rate, linear, strength, clip_rate)


def score(recording: Recording, prediction: Prediction) -> list[Row]:
    """Score each unit.

    ``correlation`` is that of the rate. ``correlation_stored`` is what the data's own check file holds: for a baseline
    without a nonlinearity it is taken before the floor, and is lower.
    """
    rows: list[Row] = []
    for unit in range(prediction.counts.shape[1]):
        counts, rate = prediction.counts[:, unit], prediction.rate[:, unit]
        stored = rate if recording.nonlinear else prediction.linear[:, unit]
        row: Row = {
            "dataset": recording.dataset,
            "recording": recording.name,
            "unit": unit,
            "strength": float(prediction.strength[unit]),
            "num_frames": len(counts),
            "num_spikes": int(counts.sum()),
            "bits_per_spike": bits_per_spike(rate, counts),
            "correlation": correlation(rate, counts),
            "correlation_stored": correlation(stored, counts),
        }
        if recording.repeats is not None and prediction.clip_rate is not None:
            repeats = recording.repeats[:, recording.num_lags - 1 :, unit]
            row["correlation_to_average"] = correlation(prediction.clip_rate[:, unit], repeats.mean(0))
            row["split_half"] = correlation(repeats[::2].mean(0), repeats[1::2].mean(0))
        rows.append(row)
    return rows


def file_name(recording: Recording) -> str:
    """Name of the file that holds a model's predictions of a recording."""
    return f"{recording.dataset}_{recording.name}.npz"


def compare(recording: Recording, prediction: Prediction, folder: Path) -> list[Row]:
    """Score the baseline and another model's file on the test frames that both predict."""
    path = folder / file_name(recording)
    if not path.is_file():
        print(f"no file {path}: {recording.dataset} {recording.name} is not compared", file=sys.stderr)
        return []
    with np.load(path) as other:
        frames, rate = other["frames"], other["rate"]
    common, ours, theirs = np.intersect1d(prediction.frames, frames, return_indices=True)
    counts = recording.counts[common]
    rows: list[Row] = []
    for unit in range(counts.shape[1]):
        for model, values in (("baseline", prediction.rate[ours, unit]), ("other", rate[theirs, unit])):
            rows.append(
                {
                    "dataset": recording.dataset,
                    "recording": recording.name,
                    "unit": unit,
                    "model": model,
                    "num_frames": len(common),
                    "bits_per_spike": bits_per_spike(values, counts[:, unit]),
                    "correlation": correlation(values, counts[:, unit]),
                }
            )
    return rows


def table(rows: list[Row]) -> str:
    """Lay the rows of one data set and model out in columns, the mean of every score at the end."""
    scores = [key for key, value in rows[0].items() if isinstance(value, float) and key != "strength"]
    mean: Row = dict.fromkeys(rows[0], "") | {key: float(np.mean([row[key] for row in rows])) for key in scores}
    mean["dataset"] = "mean"

    def text(key: str, value: str | float) -> str:
        return f"{value:.3f}" if key in scores else f"{value:g}" if isinstance(value, float) else str(value)

    grid = [list(rows[0]), *([text(key, value) for key, value in row.items()] for row in [*rows, mean])]
    widths = [max(len(cell) for cell in column) for column in zip(*grid, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in grid)


def main(arguments: list[str] | None = None) -> int:
    """Print the scores of both data sets, as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", help="folder of the recordings")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--dump", metavar="FOLDER", type=Path, help="write the predictions of the test frames there")
    parser.add_argument("--against", metavar="FOLDER", type=Path, help="score another model's predictions beside ours")
    options = parser.parse_args(arguments)
    root = data_folder(options.data)
    if not root.is_dir():
        print(f"no folder {root}; give --data or set VISIONCORE_DATA", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for recording in (*rat(root), *mouse(root)):
        prediction = fit(recording)
        rows += compare(recording, prediction, options.against) if options.against else score(recording, prediction)
        if options.dump:
            options.dump.mkdir(parents=True, exist_ok=True)
            path = options.dump / file_name(recording)
            np.savez_compressed(path, frames=prediction.frames, counts=prediction.counts, rate=prediction.rate)
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    blocks: dict[tuple[object, object], list[Row]] = {}
    for row in rows:
        blocks.setdefault((row["dataset"], row.get("model")), []).append(row)
    print("\n\n".join(table(block) for block in blocks.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
