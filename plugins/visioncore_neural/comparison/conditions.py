"""Runs that differ in nothing but their seed, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from visioncore_engine.errors import DataError, Problem
from visioncore_engine.report import differing
from visioncore_neural.comparison.scores import RunScores, Unit

__all__ = ["Condition", "conditions_of", "refuse_differences"]

_TOLD = 4  # differences that a message names


@dataclass(frozen=True)
class Condition:
    """What is compared: one or several runs, by rising seed."""

    name: str
    runs: tuple[RunScores, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs."""
        return tuple(run.seed for run in self.runs)

    def units(self) -> list[Unit]:
        """Units that every run of the condition has, in the order of the first."""
        return [unit for unit in self.runs[0].values if all(unit in run.values for run in self.runs)]


def conditions_of(runs: Sequence[RunScores]) -> list[Condition]:
    """Group runs whose label, apart from the number of a seed at its end, and whose content, apart from seeds, agree.

    Conditions stand in the order in which they are first met. Where several have one label, the values in which they
    differ are added to it.

    Raises
    ------
    DataError
        Where two runs of a condition have one seed.
    """
    groups: dict[tuple[str, str], list[RunScores]] = {}
    for run in runs:
        groups.setdefault((run.stem, repr(run.config)), []).append(run)
    names = _names([stem for stem, _ in groups], [own[0] for own in groups.values()])
    found = [
        Condition(name, tuple(sorted(own, key=lambda run: run.seed)))
        for name, own in zip(names, groups.values(), strict=True)
    ]
    twice = [
        Problem(
            where=str(later.path),
            what=f"has the same content and seed as {earlier.path}",
            given=f"seed {later.seed}",
            todo="name each run once",
        )
        for condition in found
        for earlier, later in zip(condition.runs, condition.runs[1:], strict=False)
        if earlier.seed == later.seed
    ]
    if twice:
        raise DataError(*twice)
    return found


def _names(stems: Sequence[str], runs: Sequence[RunScores]) -> list[str]:
    names = list(stems)
    for stem in {stem for stem in stems if stems.count(stem) > 1}:
        places = [place for place, own in enumerate(stems) if own == stem]
        differences = differing([runs[place].config for place in places])
        for number, place in enumerate(places):
            told = [f"{key}={values[number]}" for key, values in differences.items()]
            names[place] = " ".join([stem, *told[:2]])
    return [name if names.count(name) == 1 else str(run.path) for name, run in zip(names, runs, strict=True)]


def refuse_differences(one: RunScores, other: RunScores, units: Sequence[Unit]) -> None:
    """Refuse runs that were not scored on the same responses.

    Raises
    ------
    DataError
        Naming sessions whose content differs, and units that were scored on other frames.
    """
    where = f"{other.path} against {one.path}"
    problems = list(_other_content(one, other, {session for session, _ in units}, where))
    if not problems:
        problems = list(_other_frames(one, other, units, where))
    if problems:
        more = len(problems) - _TOLD
        told = [*problems[:_TOLD], *([Problem(where=where, what=f"and {more} more like these")] if more > 0 else [])]
        raise DataError(*told)


def _other_content(one: RunScores, other: RunScores, sessions: set[str], where: str) -> Iterator[Problem]:
    for session in sorted(sessions):
        here, there = one.fingerprints.get(session, "none"), other.fingerprints.get(session, "none")
        if here != there:
            yield Problem(
                where=where,
                what=f"session {session!r} is not the same recording: fingerprint {there[:12]} against {here[:12]}",
                todo="compare runs of the same data; simulated data follow `data.seed`, else the run's seed",
            )


def _other_frames(one: RunScores, other: RunScores, units: Sequence[Unit], where: str) -> Iterator[Problem]:
    for unit in units:
        if one.counted[unit] != other.counted[unit]:
            (here, _), (there, _) = one.counted[unit], other.counted[unit]
            spikes = " or other responses in them" if here == there else ""
            yield Problem(
                where=where,
                what=f"unit {'/'.join(unit)} was scored on other frames{spikes}: {there} valid against {here}",
                todo="a model with a longer history predicts fewer frames: give both the same with "
                "visioncore evaluate RUN --set data.window.history=FRAMES",
            )
