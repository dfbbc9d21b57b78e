"""Reader of the file trees of the Sensorium competitions and of neuralpredictors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.files import read_npy
from visioncore_neural.options.reader import SensoriumOptions
from visioncore_neural.recording import SPLITS, Recording

if TYPE_CHECKING:
    from visioncore_engine.contracts import ReaderFacts

__all__ = ["Sensorium"]

_TIERS = {"train": "train", "validation": "validation", "test": "test", "oracle": "repeats"}
_UNUSED = ("none", "live_test_main", "live_test_bonus", "final_test", "final_test_main", "final_test_bonus")
_BEHAVIOR = {2: ("pupil_dilation", "running_speed"), 3: ("pupil_dilation", "pupil_dilation_change", "running_speed")}
_DT = {"videos": 1 / 30, "images": 0.5}


class Sensorium:
    """A folder with ``data/videos|images/*.npy``, ``data/responses``, ``meta/trials/tiers.npy``, ``meta/neurons``.

    Videos are (H, W, T) and images (H, W) or (C, H, W); responses and behavior have one row per unit and channel. Each
    file is a trial; an image is a trial of one frame. Trials of one split that show the same are presentations of a
    repeated clip. Frames at the end that a video lacks (NaN) do not exist; responses that are NaN do not count.

    Parameters
    ----------
    options, facts
        Tiers and names, and the path.
    """

    def __init__(self, options: SensoriumOptions, facts: ReaderFacts) -> None:
        self._options, self._path = options, facts.path

    def accepts(self) -> bool:
        """Whether the path looks like such a folder."""
        return (self._path / "meta" / "trials" / "tiers.npy").is_file()

    def read(self) -> Recording:
        """Read all trials of the tiers that are used.

        Raises
        ------
        DataError
            For a file that is missing or damaged, a tier that no split is known for, and shapes that disagree.
        """
        if not self._path.is_dir():
            raise DataError(Problem(where=str(self._path), what="no such folder"))
        kind = self._kind()
        splits = self._splits(read_npy(self._path / "meta" / "trials" / "tiers.npy"))
        trials = [number for number, split in enumerate(splits) if split >= 0]
        if not trials:
            raise DataError(Problem(where=str(self._path), key="tiers", what="no trial has a tier that is used"))
        stimuli = [self._stimulus(kind, number) for number in trials]
        shapes = sorted({stimulus.shape[1:] for stimulus in stimuli})
        if len(shapes) > 1:
            given = " and ".join(str(shape) for shape in shapes[:3])
            raise DataError(Problem(where=str(self._path / "data" / kind), what="stimuli differ in size", given=given))
        lengths = [len(stimulus) for stimulus in stimuli]
        folders = [name for name in ("behavior", "pupil_center") if (self._path / "data" / name).is_dir()]
        responses, *sides = (self._rows(name, trials, lengths) for name in ("responses", *folders))
        behavior, eyepos = (dict(zip(folders, sides, strict=True)).get(name) for name in ("behavior", "pupil_center"))
        frame, presentation = _repeats(stimuli, [splits[number] for number in trials])
        units = self._units(responses.shape[1])
        name = self._options.session or self._path.name
        found = re.match(r"(?:static|dynamic)?(\d+)-", self._path.name)
        return Recording(
            name=name,
            subject=self._options.subject or (found.group(1) if found else name),
            dt=self._options.dt or _DT[kind],
            stim=_small(np.concatenate(stimuli)),
            robs=responses,
            valid=self._valid(responses, behavior, eyepos),
            trial=np.repeat(np.array(trials, dtype=np.int32), lengths),
            split=np.repeat(np.array([splits[number] for number in trials], dtype=np.int8), lengths),
            repeat_frame=frame,
            repeat_trial=presentation,
            behavior=behavior,
            behavior_names=() if behavior is None else self._behavior_names(behavior.shape[1]),
            eyepos=eyepos,
            units=units,
            kind=self._options.kind,
            path=str(self._path),
        )

    def _kind(self) -> str:
        there = [kind for kind in ("videos", "images") if (self._path / "data" / kind).is_dir()]
        if len(there) != 1:
            what = "must hold one of data/videos and data/images"
            raise DataError(Problem(where=str(self._path), what=what, given=" and ".join(there) or "neither"))
        return there[0]

    def _splits(self, tiers: np.ndarray) -> list[int]:
        """Number of each trial's split; -1 for tiers that are not used."""
        known: dict[str, str] = {**_TIERS, **dict.fromkeys(_UNUSED, "none"), **self._options.tiers}
        names = [str(tier) for tier in tiers.ravel().tolist()]
        unknown = sorted({name for name in names if name not in known})
        if unknown:
            raise DataError(
                Problem(
                    where=str(self._path / "meta" / "trials" / "tiers.npy"),
                    key="tiers",
                    what=f"no split is known for {len(unknown)} tiers; known are {', '.join(known)}",
                    given=", ".join(unknown[:5]),
                    todo=f"say where it belongs: `tiers: {{{unknown[0]}: test}}`, or none to leave it out",
                )
            )
        return [SPLITS.get(known[name], -1) for name in names]

    def _stimulus(self, kind: str, number: int) -> np.ndarray:
        """Frames of a trial, (T, C, H, W)."""
        path = self._path / "data" / kind / f"{number}.npy"
        stimulus = read_npy(path)
        if kind == "videos" and stimulus.ndim == 3:
            frames = stimulus.transpose(2, 0, 1)[:, None]
        elif kind == "images" and stimulus.ndim in (2, 3):
            frames = stimulus.reshape(1, -1, *stimulus.shape[-2:])
        else:
            what = "must be (H, W, T)" if kind == "videos" else "must be (H, W) or (C, H, W)"
            raise DataError(Problem(where=str(path), what=what, given=str(stimulus.shape)))
        exists = np.isfinite(frames.reshape(len(frames), -1)).all(1)
        length = int(np.flatnonzero(exists)[-1]) + 1 if exists.any() else 0
        if length == 0:
            raise DataError(Problem(where=str(path), what="has no frame that is finite"))
        return frames[:length]

    def _rows(self, name: str, trials: list[int], lengths: list[int]) -> np.ndarray:
        """Responses or a side input of all trials, float32 (T, columns); stored with columns first."""
        rows: list[np.ndarray] = []
        for number, length in zip(trials, lengths, strict=True):
            path = self._path / "data" / name / f"{number}.npy"
            stored = read_npy(path)
            columns = stored.reshape(len(stored), -1) if stored.ndim else stored.reshape(1, 1)
            if columns.shape[1] < length or (rows and rows[0].shape[1] != len(columns)):
                expected = f"{rows[0].shape[1]} rows and " if rows else ""
                what = f"must have {expected}{length} frames, as the stimulus"
                raise DataError(Problem(where=str(path), what=what, given=str(stored.shape)))
            rows.append(columns[:, :length].T.astype(np.float32))
        return np.concatenate(rows)

    def _valid(self, responses: np.ndarray, *sides: np.ndarray | None) -> np.ndarray:
        exists = np.isfinite(responses)
        for side in sides:
            if side is not None:
                exists &= np.isfinite(side).all(1, keepdims=True)
        shared = exists[:, 0]
        return np.asarray(shared if (exists == shared[:, None]).all() else exists)

    def _units(self, num: int) -> tuple[str, ...]:
        path = self._path / "meta" / "neurons" / "unit_ids.npy"
        units = tuple(str(unit) for unit in read_npy(path).ravel().tolist())
        if len(units) != num:
            what = f"names {len(units)} units, and there are responses of {num}"
            raise DataError(Problem(where=str(path), what=what))
        return units

    def _behavior_names(self, num: int) -> tuple[str, ...]:
        names = self._options.behavior_names or _BEHAVIOR.get(num, tuple(f"channel_{i}" for i in range(num)))
        if len(names) != num:
            what = f"names {len(names)} channels, and there are {num}"
            raise DataError(Problem(where=str(self._path), key="behavior_names", what=what))
        return names


def _small(stim: np.ndarray) -> np.ndarray:
    """Grey levels that were stored in a larger type, as 8-bit integers; anything else as it is (at most float32)."""
    if stim.dtype != np.uint8 and (
        np.isfinite(stim).all() and stim.min() >= 0 and stim.max() <= 255 and (stim == np.floor(stim)).all()
    ):
        return stim.astype(np.uint8)
    return stim.astype(np.float32) if stim.dtype.itemsize > 4 else stim


def _repeats(stimuli: list[np.ndarray], splits: list[int]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Frame of a clip that was shown several times in one split, and which presentation it is; None without any."""
    shown: dict[tuple[int, bytes], list[int]] = {}
    for place, (stimulus, split) in enumerate(zip(stimuli, splits, strict=True)):
        content = hashlib.sha256(repr(stimulus.shape).encode() + np.ascontiguousarray(stimulus).tobytes()).digest()
        shown.setdefault((split, content), []).append(place)
    held_out = (SPLITS["test"], SPLITS["repeats"])
    clips = [places for (split, _), places in shown.items() if len(places) > 1 and split in held_out]
    if not clips:
        return None, None
    of_place: dict[int, tuple[int, int]] = {}
    before = 0
    for places in clips:
        of_place.update({place: (before, number) for number, place in enumerate(places)})
        before += len(stimuli[places[0]])
    numbers = list(_numbers(stimuli, of_place))
    return np.concatenate([frame for frame, _ in numbers]), np.concatenate([number for _, number in numbers])


def _numbers(
    stimuli: list[np.ndarray], of_place: dict[int, tuple[int, int]]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for place, stimulus in enumerate(stimuli):
        start, number = of_place.get(place, (-1, -1))
        frames = start + np.arange(len(stimulus)) if start >= 0 else np.full(len(stimulus), -1)
        yield frames.astype(np.int32), np.full(len(stimulus), number, dtype=np.int32)
