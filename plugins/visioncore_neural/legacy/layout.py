"""Tensors of a VisionCore checkpoint by part and session: its own names hold the place of a session in a list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from visioncore_engine.errors import CheckpointError, Problem

__all__ = ["OldWeights", "weights_of"]

_PREFIXES = ("model.", "_orig_mod.", "module.")  # of the training module, of compiled and of replicated models
_SHARED = frozenset({"frontend", "convnet", "modulator", "recurrent"})
_LISTS = {"adapters": "adapter", "readouts": "readout", "spike_history": "history", "baselines": "baseline"}
_SINGLE = {"adapter": "adapter", "readout": "readout"}  # models of one dataset have no lists
_PLACE = re.compile(r"(adapters|readouts|spike_history|baselines)\.(\d+)(?:\.(.+))?")


@dataclass(frozen=True)
class OldWeights:
    """Weights of a VisionCore model.

    Attributes
    ----------
    shared
        Frontend, convnet, modulator and recurrent layer, by name without prefixes.
    sessions
        By session, then as ``readout.features.weight``, ``adapter.…``, ``history.…``, ``baseline``.
    unexpected
        Names that are of no known part.
    """

    shared: Mapping[str, Tensor]
    sessions: Mapping[str, Mapping[str, Tensor]]
    unexpected: tuple[str, ...]


def weights_of(payload: Any, sessions: Sequence[str], where: str = "") -> OldWeights:
    """Sort the tensors of a checkpoint.

    Parameters
    ----------
    payload
        What the file holds: a training checkpoint with a ``state_dict``, or weights alone.
    sessions
        Names of the sessions, in the order in which the model was trained with them.
    where
        What messages name as the place.

    Raises
    ------
    CheckpointError
        Where there are no weights, two tensors have one name without prefixes, or there are not as many readouts as
        sessions.
    """
    found = payload.get("state_dict", payload) if isinstance(payload, Mapping) else None
    tensors = {str(name): value for name, value in (found or {}).items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(Problem(where=where, what="it holds no weights by name"))
    shared: dict[str, Tensor] = {}
    placed: dict[int, dict[str, Tensor]] = {}
    unexpected: list[str] = []
    for given, value in tensors.items():
        name = _bare(given)
        listed = _PLACE.fullmatch(name)
        part, _, rest = name.partition(".")
        if listed:
            home = placed.setdefault(int(listed[2]), {})
            name = f"{_LISTS[listed[1]]}.{listed[3]}" if listed[3] else _LISTS[listed[1]]  # a list of bare parameters
        elif (part in _SINGLE and rest) or name == "baseline":
            home = placed.setdefault(0, {})
        elif part in _SHARED:
            home = shared
        else:
            unexpected.append(given)
            continue
        if name in home:
            raise CheckpointError(Problem(where=where, what=f"two tensors are called {name!r} without their prefixes"))
        home[name] = value
    num_readouts = sum(any(name.startswith("readout.") for name in own) for own in placed.values())
    places = sorted(placed)
    if places != list(range(len(sessions))) or num_readouts not in (0, len(sessions)):
        what = f"it has heads at the places {places}, and {len(sessions)} sessions are named"
        todo = "name every session that it was trained with, in that order"
        raise CheckpointError(Problem(where=where, what=what, todo=todo))
    return OldWeights(shared, {name: placed[place] for place, name in enumerate(sessions)}, tuple(unexpected))


def _bare(name: str) -> str:
    """Take away what wrappers put before a name, and nothing inside it."""
    while prefix := next((prefix for prefix in _PREFIXES if name.startswith(prefix)), ""):
        name = name.removeprefix(prefix)
    return name
