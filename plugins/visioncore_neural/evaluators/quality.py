"""What is known of units from elsewhere, for the evaluator `units`. N units, C channels, S samples."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence

import numpy as np

from visioncore_engine.contracts import GroupSpec
from visioncore_engine.errors import DataError, Problem, nearest
from visioncore_neural.data.unit_table import column_names, file_digest, rows_of_session
from visioncore_neural.evaluators.names import DEPTH, LAYER_4, TAKEN, WAVEFORM
from visioncore_neural.options.evaluator import QualityOptions
from visioncore_neural.responses import response_task

__all__ = ["UnitQuality"]

_KEY = "evaluate.units.quality"


class UnitQuality:
    """Columns and waveforms of the units of all sessions, read once.

    Nothing is computed from responses: how many spikes break the refractory period is not known from counts in frames.

    Parameters
    ----------
    options
        Which files.
    groups
        The sessions.

    Attributes
    ----------
    columns
        Per session and column: float64 (N,), NaN where the table says nothing. Those of `layer_4` are NaN in a session
        without one. With waveforms, `waveform_amplitude` is the largest difference of two samples on one channel, in
        the file's unit, and `trough_to_peak` the samples from the trough to the highest sample after it, there.
    waveforms
        Per session: float64 (N, S), each on the channel on which it is largest.
    fingerprint
        Content of the files.

    Raises
    ------
    DataError
        Where a file cannot be used, or lacks a unit, a column or a session.
    """

    def __init__(self, options: QualityOptions, groups: Sequence[GroupSpec]) -> None:
        self.columns: dict[str, dict[str, np.ndarray]] = {group.name: {} for group in groups}
        self.waveforms: dict[str, np.ndarray] = {}
        digests = []
        if options.table is not None:
            digests.append(file_digest(options.table, f"{_KEY}.table"))
            self._read_table(options, options.table, groups)
        if options.waveforms is not None:
            for group in groups:
                path = options.waveforms.replace("{session}", group.name)
                digests.append(file_digest(path, f"{_KEY}.waveforms"))
                self._add(group.name, _waveforms(path, response_task(group)[1].ids))
        self.fingerprint = hashlib.sha256("".join(digests).encode()).hexdigest()

    def _read_table(self, options: QualityOptions, table: str, groups: Sequence[GroupSpec]) -> None:
        names = options.columns or column_names(table)
        if reserved := [name for name in names if name in TAKEN]:
            what = f"has columns that the table of units has already: {', '.join(reserved)}"
            raise DataError(Problem(where=table, key=f"{_KEY}.columns", what=what, todo="call them otherwise"))
        sessions = [group.name for group in groups]
        for session in options.layer_4:
            if session not in sessions:
                todo = f"the nearest is {nearest(session, sessions) or sessions[0]!r}"
                raise DataError(Problem(key=f"{_KEY}.layer_4", what="no such session", given=repr(session), todo=todo))
        if options.layer_4 and DEPTH not in names:
            what = f"has no column {DEPTH!r}, in which layer 4 lies"
            raise DataError(Problem(where=table, key=f"{_KEY}.layer_4", what=what, given=", ".join(names)))
        for group in groups:
            found = rows_of_session(table, group.name, response_task(group)[1].ids, names)
            if repeated := [unit for unit, rows in found.items() if len(rows) > 1]:
                what = f"has several rows for units of session {group.name!r}"
                raise DataError(Problem(where=table, key="unit", what=what, given=", ".join(repeated[:5])))
            own = self.columns[group.name]
            for name in names:
                own[name] = np.array([row[name] for (row,) in found.values()], dtype=np.float64)
            if options.layer_4:
                ends = options.layer_4.get(group.name, (np.nan, np.nan))
                own |= {name: np.full(len(found), end) for name, end in zip(LAYER_4, ends, strict=True)}

    def _add(self, session: str, waveforms: np.ndarray) -> None:
        spans = np.ptp(waveforms, axis=2)
        best = waveforms[np.arange(len(waveforms)), spans.argmax(axis=1)]
        troughs = best.argmin(axis=1)
        after = np.where(np.arange(best.shape[1]) < troughs[:, None], -np.inf, best)
        widths = (after.argmax(axis=1) - troughs).astype(np.float64)
        self.columns[session] |= dict(zip(WAVEFORM, (spans.max(axis=1), widths), strict=True))
        self.waveforms[session] = best


def _waveforms(path: str, units: Sequence[str]) -> np.ndarray:
    """Mean waveforms float64 (N, C, S), in the order of `units`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids, values = [str(unit) for unit in arrays["units"]], np.asarray(arrays["waveforms"], dtype=np.float64)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        what = f"must be an .npz file with `units` and `waveforms`: {error}"
        raise DataError(Problem(where=path, key=f"{_KEY}.waveforms", what=what)) from error
    if values.ndim not in (2, 3) or len(values) != len(ids) or not values.size or not np.isfinite(values).all():
        what = "must be finite numbers of (units, samples) or (units, channels, samples), a waveform per id"
        given = f"{values.shape} for {len(ids)} units"
        raise DataError(Problem(where=path, key="waveforms", what=what, given=given))
    if len(set(ids)) < len(ids):
        raise DataError(Problem(where=path, key="units", what="must name each unit once"))
    places = {unit: place for place, unit in enumerate(ids)}
    if lacking := [unit for unit in units if unit not in places]:
        what = f"has no waveform for {len(lacking)} units"
        raise DataError(Problem(where=path, key="units", what=what, given=", ".join(lacking[:5])))
    chosen = values[[places[unit] for unit in units]]
    return chosen if chosen.ndim == 3 else chosen[:, None]
