"""Reader of Neurodata Without Borders files (extra `nwb`)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.errors import ConfigError, DataError, Problem, nearest
from visioncore_neural.data.assemble import frame_duration, to_tchw
from visioncore_neural.data.files import must_exist, unreadable
from visioncore_neural.options.reader import NwbOptions
from visioncore_neural.recording import SPLITS, Recording, TargetKind

if TYPE_CHECKING:
    from visioncore_engine.contracts import ReaderFacts

__all__ = ["Nwb"]

_TABLES = ("trials", "epochs", "invalid_times")
_GAP = 1.5  # frames that follow by more than so many durations do not follow each other


class Nwb:
    """One stimulus of a file, and what units did in each of its frames. Convert what you read often.

    Frames begin at the stimulus' timestamps and last as long as most are apart. Spikes are counted from the start of a
    frame to its end; other series give their latest value at its start, and where they have none, no response counts.
    A row of the intervals is a trial; a gap between frames begins a new one, and without intervals there are only gaps.
    Where units have ``obs_intervals``, responses outside of them do not count.

    Parameters
    ----------
    options, facts
        Names of the series, and the path.

    Raises
    ------
    ConfigError
        Where the package pynwb is not installed.
    """

    def __init__(self, options: NwbOptions, facts: ReaderFacts) -> None:
        if find_spec("pynwb") is None:
            raise ConfigError(
                Problem(
                    key="reader",
                    what="the reader 'nwb' needs the package 'pynwb', which is not installed",
                    todo="pip install 'visioncore-engine[nwb]'",
                )
            )
        self._options, self._path = options, facts.path

    def accepts(self) -> bool:
        """Whether the path looks like such a file."""
        return self._path.suffix == ".nwb"

    def read(self) -> Recording:
        """Read the recording.

        Raises
        ------
        DataError
            For a file that is missing or damaged, and series that it lacks or that do not fit.
        """
        from pynwb import NWBHDF5IO

        must_exist(self._path)
        try:
            with NWBHDF5IO(str(self._path), "r") as file:
                return self._recording(file.read())
        except DataError:
            raise
        except Exception as error:  # the library reports damage in many ways
            raise unreadable(self._path, "", error) from error

    def _recording(self, content: Any) -> Recording:
        options = self._options
        stimulus = self._stimulus(content)
        start = _times(stimulus)
        if len(start) < 2 or (np.diff(start) <= 0).any():
            raise self._wrong("stimulus", "must have at least two frames, in the order of time")
        dt = options.dt or frame_duration(start)
        robs, units, valid, kind = self._responses(content, start, dt)
        behavior = [self._side(content, name, start, dt) for name in options.behavior]
        eyepos = self._side(content, options.eyepos, start, dt) if options.eyepos else None
        names = [
            f"{name}_{i}" if side.shape[1] > 1 else name
            for name, side in zip(options.behavior, behavior, strict=True)
            for i in range(side.shape[1])
        ]
        trial, split = self._trials(content, start, dt)
        name = options.session or content.session_id or self._path.stem
        subject = content.subject.subject_id if content.subject is not None else None
        return Recording(
            name=name,
            subject=options.subject or subject or name,
            dt=dt,
            stim=to_tchw(_frames(stimulus), options.axes, str(self._path)),
            robs=robs,
            units=units,
            valid=_known(valid, *behavior, *(() if eyepos is None else (eyepos,))),
            trial=trial,
            split=split,
            behavior=np.concatenate(behavior, axis=1) if behavior else None,
            behavior_names=tuple(names),
            eyepos=eyepos,
            kind=options.kind or kind,
            path=str(self._path),
        )

    def _wrong(self, key: str, what: str, given: str | None = None, todo: str = "") -> DataError:
        return DataError(Problem(where=str(self._path), key=key, what=what, given=given, todo=todo))

    def _stimulus(self, content: Any) -> Any:
        if self._options.stimulus:
            return self._series(content, self._options.stimulus, "stimulus")
        names = list(content.stimulus)
        if len(names) != 1:
            given = ", ".join(names) or "none"
            todo = "say which: `stimulus: NAME`"
            raise self._wrong("stimulus", "the file must present one stimulus, or its name be given", given, todo)
        return content.stimulus[names[0]]

    def _series(self, content: Any, name: str, key: str) -> Any:
        """Time series of a name, wherever it lies in the file."""
        found = {item.name: item for item in content.objects.values() if hasattr(item, "timestamps")}
        twice = sum(hasattr(item, "timestamps") and item.name == name for item in content.objects.values())
        if name not in found or twice > 1:
            what = "several series have this name" if twice > 1 else f"no such series; there are {', '.join(found)}"
            close = nearest(name, found)
            raise self._wrong(key, what, repr(name), f"did you mean {close!r}?" if close and twice < 1 else "")
        return found[name]

    def _responses(
        self, content: Any, start: np.ndarray, dt: float
    ) -> tuple[np.ndarray, tuple[str, ...], np.ndarray, TargetKind]:
        """Responses (T, N), unit ids, which count, and what they are."""
        if series := self._options.responses:
            rates = self._side(content, series, start, dt)
            return rates, tuple(str(unit) for unit in range(rates.shape[1])), np.isfinite(rates), "rates"
        table = content.units
        if table is None or "spike_times" not in table.colnames:
            todo = "name a series of responses: `responses: NAME`"
            raise self._wrong("units", "the file has no units with spike times", todo=todo)
        ids = self._column(table, self._options.unit_id, "unit_id")
        robs = np.zeros((len(start), len(table)), dtype=np.int64)
        valid = np.ones((len(start), len(table)), dtype=bool)
        for unit in range(len(table)):
            spikes = np.sort(np.asarray(table["spike_times"][unit], dtype=np.float64))
            robs[:, unit] = np.searchsorted(spikes, start + dt) - np.searchsorted(spikes, start)
            if "obs_intervals" in table.colnames:
                observed = np.asarray(table["obs_intervals"][unit], dtype=np.float64).reshape(-1, 2)
                inside = (start[:, None] >= observed[:, 0]) & (start[:, None] + dt <= observed[:, 1] + 1e-9)
                valid[:, unit] = inside.any(1)
        counts = robs.astype(np.min_scalar_type(int(robs.max(initial=0))))
        return counts, ids, valid[:, 0] if (valid == valid[:, :1]).all() else valid, "counts"

    def _column(self, table: Any, name: str, key: str) -> tuple[str, ...]:
        if name != "id" and name not in table.colnames:
            raise self._wrong(key, f"no such column; there are id, {', '.join(table.colnames)}", repr(name))
        return tuple(str(value) for value in (table.id if name == "id" else table[name])[:])

    def _side(self, content: Any, name: str, start: np.ndarray, dt: float) -> np.ndarray:
        """Latest values of a series at the start of each frame, float32 (T, channels); NaN where there is none yet.

        A value is used until the next one is due: for one and a half of what most are apart, or a frame.
        """
        series = self._series(content, name, "series")
        times, values = _times(series), np.asarray(series.data[:], dtype=np.float32)
        values = values.reshape(len(values), -1) * np.float32(series.conversion) + np.float32(series.offset)
        place = np.searchsorted(times, start + 1e-9, side="right") - 1
        period = max(float(np.median(np.diff(times))) if len(times) > 1 else 0.0, dt)
        known = (place >= 0) & (start - times[np.maximum(place, 0)] <= _GAP * period)
        latest: np.ndarray = values[np.maximum(place, 0)]
        latest[~known] = np.nan
        return latest

    def _trials(self, content: Any, start: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray | None]:
        """Trial of each frame, and split where the intervals have a column for it."""
        name, column = self._options.intervals, self._options.split
        table = getattr(content, name) if name in _TABLES else (content.intervals or {}).get(name)
        piece = np.concatenate([[0], np.cumsum(np.diff(start) > _GAP * dt)])
        if table is None:
            if name != "trials" or column:
                given = ", ".join(content.intervals or {}) or "none"
                raise self._wrong("intervals", f"the file has no intervals {name!r}", given)
            return piece.astype(np.int32), None
        begin, end = (np.asarray(table[key][:], dtype=np.float64) for key in ("start_time", "stop_time"))
        row = np.full(len(start), -1, dtype=np.int64)
        for number, (first, last) in enumerate(zip(begin, end, strict=True)):
            row[(start >= first - 1e-9) & (start + dt <= last + 0.5 * dt)] = number
        inside = row >= 0
        trial = np.full(len(start), -1, dtype=np.int32)
        trial[inside] = np.unique(np.stack([row, piece])[:, inside], axis=1, return_inverse=True)[1]
        if not column:
            return trial, None
        words = self._column(table, column, "split")
        unknown = sorted(set(words) - set(SPLITS) - {"none"})
        if unknown:
            raise self._wrong("split", f"splits are {', '.join(SPLITS)} and none", ", ".join(unknown[:5]))
        numbers = np.array([*(SPLITS.get(word, -1) for word in words), -1], dtype=np.int8)
        return trial, numbers[row]  # the last stands for frames in no trial


def _known(valid: np.ndarray, *sides: np.ndarray) -> np.ndarray:
    """Responses count only in frames whose side inputs are known."""
    known = np.all([np.isfinite(side).all(1) for side in sides], axis=0) if sides else np.ones(len(valid), dtype=bool)
    return np.asarray(valid & (known if valid.ndim == 1 else known[:, None]))


def _times(series: Any) -> np.ndarray:
    """Timestamps in seconds, float64 (T,)."""
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:], dtype=np.float64)
    return float(series.starting_time or 0.0) + np.arange(len(series.data)) / float(series.rate)


def _frames(stimulus: Any) -> np.ndarray:
    """Frames as stored; pictures that an `IndexSeries` shows are repeated."""
    template = getattr(stimulus, "indexed_timeseries", None)
    if template is not None:
        return np.asarray(template.data[:])[np.asarray(stimulus.data[:], dtype=np.int64)]
    pictures = getattr(stimulus, "indexed_images", None)
    if pictures is not None:
        order = pictures.order_of_images.data if pictures.order_of_images is not None else pictures.images.values()
        library = np.stack([np.asarray(picture.data[:]) for picture in order])
        return np.asarray(library[np.asarray(stimulus.data[:], dtype=np.int64)])
    return np.asarray(stimulus.data[:])
