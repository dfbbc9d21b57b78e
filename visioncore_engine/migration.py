"""Older checkpoint formats, carried to the one that this engine writes. Nothing here imports torch.

What a checkpoint holds under the key ``visioncore`` has a version. A change that older files do not know of gets a
step here: a pure function from the whole payload of one version to that of the next. Steps are never changed again, so
that a file of any version goes through the same chain for ever. One file of every version is kept in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FORMAT", "carry_over"]

Payload = dict[str, Any]
Step = Callable[[Payload], Payload]


def _count_skipped_steps(payload: Payload) -> Payload:
    """Before, a step that was not finite always ended the run, so that none was left out."""
    own = {**payload["visioncore"], "skipped": {"all": 0, "non_finite": 0}}
    return {**payload, "visioncore": own}


def _offer_what_is_trained(payload: Payload) -> Payload:
    """Before, whoever evaluated a checkpoint always took the weights that were trained."""
    return {**payload, "visioncore": {**payload["visioncore"], "offered": {}}}


STEPS: Mapping[int, Step] = {1: _count_skipped_steps, 2: _offer_what_is_trained}
"""By version: how its files become files of the next."""

FORMAT = 1 + max(STEPS)
"""Version of what this engine writes under the key ``visioncore``."""


def carry_over(payload: Payload, steps: Mapping[int, Step] = STEPS) -> Payload:
    """Carry a payload of any older version to the newest.

    Parameters
    ----------
    payload
        What a checkpoint holds, ``payload["visioncore"]["format"]`` being a version with a step, or the newest; it is
        not changed.
    steps
        The chain; each function is given a payload whose ``format`` it leaves alone.
    """
    version = payload["visioncore"]["format"]
    while version in steps:
        payload = steps[version](payload)
        version += 1
        payload = {**payload, "visioncore": {**payload["visioncore"], "format": version}}
    return payload
