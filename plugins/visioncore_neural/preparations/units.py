"""Preparations that look at single units: which are used, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from visioncore_engine.contracts import PreparationFacts
from visioncore_engine.errors import ConfigError, DataError, Problem, nearest
from visioncore_neural.data.unit_table import file_digest, rows_of_session
from visioncore_neural.options.preparation import MissingOptions, SelectUnitsOptions
from visioncore_neural.recording import Recording

__all__ = ["MissingPct", "SelectUnits"]


class SelectUnits:
    """Units that are named, or whose row of a table keeps its bounds; in the order of the recording.

    A checkpoint holds the ids, so that a table that changes afterwards changes nothing.

    Parameters
    ----------
    options, facts
        Which units, and the group.

    Raises
    ------
    ConfigError
        Where nothing says which.
    """

    def __init__(self, options: SelectUnitsOptions, facts: PreparationFacts) -> None:
        if options.ids is None and options.table is None:
            todo = "`ids`, or `table` with `at_least` or `at_most`"
            raise ConfigError(Problem(key="ids", what="must say which units are kept", given="all", todo=todo))
        self._options, self._group = options, facts.group

    def fit(self, recording: Recording, train: np.ndarray) -> dict[str, Any]:
        """Choose: ``{"units": [ids]}``.

        Raises
        ------
        DataError
            For an unknown id, session or column, a unit without a row, and where no unit is left.
        """
        del train  # what is chosen by is no data of the recording
        kept = set(recording.units)
        if self._options.ids is not None:
            if self._group not in self._options.ids:
                what = f"does not name session {self._group!r}; it names {', '.join(self._options.ids)}"
                raise DataError(Problem(key="data.prepare.select_units.ids", what=what, todo="add it"))
            ids = self._options.ids[self._group]
            _must_be_there(recording, ids, "ids")
            kept &= set(ids)
        if self._options.table is not None:
            bounds = (*self._options.at_least, *self._options.at_most)
            rows = rows_of_session(self._options.table, recording.name, recording.units, bounds)
            kept &= {unit for unit, of_unit in rows.items() if all(self._keeps(row) for row in of_unit)}
        units = [unit for unit in recording.units if unit in kept]
        if not units:
            what = "`select_units` leaves no unit of this session"
            raise DataError(Problem(where=recording.where, key="units", what=what, todo="leave the session out"))
        return {"units": units}

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Keep the units.

        Raises
        ------
        DataError
            Where the recording lacks one of them.
        """
        _must_be_there(recording, state["units"], "units")
        kept = set(state["units"])
        return recording.select(np.array([i for i, unit in enumerate(recording.units) if unit in kept], dtype=np.int64))

    def _keeps(self, row: Mapping[str, float]) -> bool:
        # Not a number keeps no bound.
        return all(row[key] >= bound for key, bound in self._options.at_least.items()) and all(
            row[key] <= bound for key, bound in self._options.at_most.items()
        )


class MissingPct:
    """Responses count only where the spikes that a sorter misses are fewer than `threshold` per cent.

    A unit of which it misses so many most of the time is no single unit, and is never masked: one whose median over the
    training frames (those that a row covers) reaches the threshold.

    Parameters
    ----------
    options, facts
        Table and threshold, and the group.
    """

    def __init__(self, options: MissingOptions, facts: PreparationFacts) -> None:
        del facts  # the recording knows its name
        self._options = options

    def fit(self, recording: Recording, train: np.ndarray) -> dict[str, Any]:
        """Find multi-units: ``{"never_masked": [ids], "table": SHA-256 of the table}``.

        Raises
        ------
        DataError
            Where the table cannot be used, or lacks a unit.
        """
        never = []
        for unit, missing in self._missing(recording).items():
            known = missing[train & np.isfinite(missing)]
            if known.size and float(np.median(known)) >= self._options.threshold:
                never.append(unit)
        return {"never_masked": never, "table": file_digest(self._options.table)}

    def apply(self, recording: Recording, state: Mapping[str, Any]) -> Recording:
        """Mask the responses.

        Raises
        ------
        DataError
            As `fit`; and where the table is not the one that was fitted with.
        """
        if state["table"] != file_digest(self._options.table):
            what = "is not the table that the checkpoint was trained with"
            raise DataError(Problem(where=self._options.table, key="data.prepare.missing_pct.table", what=what))
        valid = np.broadcast_to(recording.validity(slice(None)), (recording.num_frames, recording.num_units)).copy()
        for column, (unit, missing) in enumerate(self._missing(recording).items()):
            if unit not in state["never_masked"]:
                valid[missing >= self._options.threshold, column] = False  # what is not known is NaN, and stays
        return replace(recording, robs=recording.counts(slice(None)), valid=valid, columns=None)

    def _missing(self, recording: Recording) -> dict[str, np.ndarray]:
        """Percentage of each unit in each frame, float64 (T,), NaN where no row says so; in the recording's order."""
        found = {}
        columns = ("start", "stop", "missing_pct")
        for unit, rows in rows_of_session(self._options.table, recording.name, recording.units, columns).items():
            missing = found[unit] = np.full(recording.num_frames, np.nan)
            for row in rows:
                if not 0 <= row["start"] < row["stop"] or any(row[key] % 1 for key in ("start", "stop")):
                    raise DataError(
                        Problem(
                            where=self._options.table,
                            key="start",
                            what=f"rows of unit {unit!r} must have whole `start` and `stop`, 0 <= start < stop",
                            given=f"{row['start']:g} … {row['stop']:g}",
                        )
                    )
                missing[int(row["start"]) : int(row["stop"])] = row["missing_pct"]
        return found


def _must_be_there(recording: Recording, units: tuple[str, ...] | list[str], key: str) -> None:
    unknown = [unit for unit in units if unit not in recording.units]
    if unknown:
        raise DataError(
            *(
                Problem(
                    where=recording.where,
                    key=key,
                    what="the session has no such unit",
                    given=repr(unit),
                    todo=f"the nearest is {nearest(unit, recording.units) or recording.units[0]!r}",
                )
                for unit in unknown
            )
        )
