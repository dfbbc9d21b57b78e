"""From scores per unit to the scalars that are logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from visioncore_engine.contracts import GroupSpec

__all__ = ["overall", "per_group", "scored"]


def scored(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scores of all units that could be scored, float64 (number scored,)."""
    values: np.ndarray = np.concatenate([*columns.values(), np.empty(0)])
    return np.asarray(values[~np.isnan(values)])


def overall(name: str, columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Mean and median over all scored units, NaN where there is none, and how many there were."""
    values = scored(columns)
    return {
        name: _mean(values),
        f"{name}_median": float(np.median(values)) if len(values) else np.nan,
        f"{name}_scored": float(len(values)),
    }


def per_group(name: str, columns: Mapping[str, np.ndarray], groups: Sequence[GroupSpec]) -> dict[str, float]:
    """Mean over scored units of each group, ``<name>/<group>``, and of each subject, ``<name>/subjects/<subject>``.

    A recording without a label ``subjects`` has no line under its subject.
    """
    means = {f"{name}/{group}": _mean(scored({group: values})) for group, values in columns.items()}
    members: dict[str, dict[str, np.ndarray]] = {}
    for group in groups:
        if group.name in columns and "subjects" in group.labels:
            members.setdefault(group.labels["subjects"], {})[group.name] = columns[group.name]
    return means | {f"{name}/subjects/{subject}": _mean(scored(own)) for subject, own in members.items()}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
