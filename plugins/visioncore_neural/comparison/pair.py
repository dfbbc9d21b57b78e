"""One condition against another: differences per unit, their mean and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visioncore_engine.errors import DataError, Problem
from visioncore_neural.comparison.bootstrap import crossed, interval, nested
from visioncore_neural.comparison.conditions import Condition, refuse_differences
from visioncore_neural.comparison.scores import Unit

__all__ = ["Pair", "compare"]

_TOLD = 6  # units that a message names


@dataclass(frozen=True)
class Pair:
    """A condition against the baseline.

    Attributes
    ----------
    name, baseline
        Names of the two.
    keys
        Seed and unit of each row; the seed is None where scores are averaged over seeds.
    scores, baseline_scores
        float64 (rows,).
    draws
        Bootstrap draws of the mean difference.
    resampled
        What was drawn anew in each.
    left_out
        Rows without a score in any run.
    """

    name: str
    baseline: str
    keys: Sequence[tuple[int | None, Unit]]
    scores: np.ndarray
    baseline_scores: np.ndarray
    draws: np.ndarray
    resampled: str
    left_out: int

    @property
    def differences(self) -> np.ndarray:
        """Score less that of the baseline, float64 (rows,)."""
        return np.asarray(self.scores - self.baseline_scores)

    @property
    def mean(self) -> float:
        """Mean difference."""
        return float(self.differences.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the draws, between percentiles."""
        return interval(self.draws)

    @property
    def wins(self) -> float:
        """Share of rows in which the score is higher; equal ones count half."""
        return float(np.mean((self.differences > 0) + 0.5 * (self.differences == 0)))


def compare(
    condition: Condition, baseline: Condition, *, common: bool = False, num_draws: int = 10_000, seed: int = 0
) -> Pair:
    """Compare two conditions unit by unit.

    Where all runs have the same recordings, scores are averaged over seeds, and seeds and units are resampled, crossed
    (`bootstrap.crossed`). Where recordings follow the seed, as simulated ones may, runs of one seed are compared with
    each other, and units are resampled within seeds (`bootstrap.nested`).

    Parameters
    ----------
    condition, baseline
        The two.
    common
        Leave out units that only some runs have; otherwise they are an error.
    num_draws, seed
        Of the bootstrap.

    Raises
    ------
    DataError
        Where runs were not scored on the same responses, or have other units.
    """
    first = baseline.runs[0].fingerprints
    same = all(run.fingerprints == first for run in (*condition.runs, *baseline.runs))
    if not same and condition.seeds == baseline.seeds and len(condition.seeds) > 1:
        return _nested(condition, baseline, common=common, num_draws=num_draws, seed=seed)
    units = _shared(condition, baseline, common=common)
    for run in (*baseline.runs[1:], *condition.runs):
        refuse_differences(baseline.runs[0], run, units)
    scores, base = (
        np.array([[run.values[unit] for unit in units] for run in one.runs]) for one in (condition, baseline)
    )
    kept = ~(np.isnan(scores).any(0) | np.isnan(base).any(0))
    _refuse_nothing(int(kept.sum()), condition, baseline)
    paired = condition.seeds == baseline.seeds
    return Pair(
        name=condition.name,
        baseline=baseline.name,
        keys=[(None, unit) for unit, chosen in zip(units, kept, strict=True) if chosen],
        scores=scores[:, kept].mean(0),
        baseline_scores=base[:, kept].mean(0),
        draws=crossed(scores[:, kept], base[:, kept], paired=paired, num_draws=num_draws, seed=seed),
        resampled=_told(condition, baseline, paired=paired),
        left_out=int((~kept).sum()),
    )


def _nested(condition: Condition, baseline: Condition, *, common: bool, num_draws: int, seed: int) -> Pair:
    keys: list[tuple[int | None, Unit]] = []
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    left_out = 0
    for run, base in zip(condition.runs, baseline.runs, strict=True):
        units = _shared(Condition(condition.name, (run,)), Condition(baseline.name, (base,)), common=common)
        refuse_differences(base, run, units)
        scores, other = (np.array([one.values[unit] for unit in units]) for one in (run, base))
        kept = ~(np.isnan(scores) | np.isnan(other))
        _refuse_nothing(int(kept.sum()), condition, baseline)
        keys += [(run.seed, unit) for unit, chosen in zip(units, kept, strict=True) if chosen]
        parts.append((scores[kept], other[kept]))
        left_out += int((~kept).sum())
    return Pair(
        name=condition.name,
        baseline=baseline.name,
        keys=keys,
        scores=np.concatenate([one for one, _ in parts]),
        baseline_scores=np.concatenate([other for _, other in parts]),
        draws=nested([one - other for one, other in parts], num_draws=num_draws, seed=seed),
        resampled=f"{len(parts)} seeds, and the units of each (each seed has recordings of its own)",
        left_out=left_out,
    )


def _shared(condition: Condition, baseline: Condition, *, common: bool) -> list[Unit]:
    """Units of all runs; an error where some have others, unless they are to be left out."""
    runs = (*baseline.runs, *condition.runs)
    units = [unit for unit in baseline.units() if all(unit in run.values for run in condition.runs)]
    known = set(units)
    other = list(dict.fromkeys(unit for run in runs for unit in run.values if unit not in known))
    where = f"{condition.name} against {baseline.name}"
    if other and not common:
        told = ", ".join("/".join(unit) for unit in other[:_TOLD]) + (", …" if len(other) > _TOLD else "")
        what = f"{len(other)} units are not in all runs: {told}"
        raise DataError(Problem(where=where, what=what, todo="compare the others alone with --common"))
    if not units:
        raise DataError(Problem(where=where, what="the runs have no unit in common"))
    return units


def _refuse_nothing(num: int, condition: Condition, baseline: Condition) -> None:
    if num == 0:
        where = f"{condition.name} against {baseline.name}"
        raise DataError(Problem(where=where, what="no unit has this score in all runs"))


def _told(condition: Condition, baseline: Condition, *, paired: bool) -> str:
    if len(condition.runs) == len(baseline.runs) == 1:
        return "units"
    if paired:
        return f"{len(condition.runs)} seeds, the same for both, and units, the same for all seeds"
    seeds = f"{len(condition.runs)} and {len(baseline.runs)} seeds, for each by itself"
    return f"{seeds}, and units, the same for all seeds"
