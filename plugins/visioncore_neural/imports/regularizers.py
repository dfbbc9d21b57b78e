"""VisionCore's list `regularization` as the block `regularizers` of a run file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from visioncore_neural.imports.ledger import Block

__all__ = ["regularizers_of"]

_PENALTIES: dict[str, dict[str, Any]] = {
    "l1": {"name": "l1"},
    "l2": {"name": "l2"},
    "group_lasso": {"name": "group_lasso", "groups": "tensor"},
    "ortho": {"name": "orthogonality"},
    "proximal_l1": {"name": "proximal_l1", "rates": "value"},
}
# Bounds of a clamp of strength s, as multiples of s.
_CLAMPS: dict[str, dict[str, float]] = {
    "proximal_clamp": {"min": -1.0, "max": 1.0},
    "proximal_clamp_positive": {"min": 0.0, "max": 1.0},
    "proximal_clamp_min": {"min": 1.0},
}
# Words of VisionCore's parameter names, and what the same parameters are called here.
_PARAMETERS = {
    "frontend": "core.0.", "convnet": "core.", "layers": "core.", "stem": "core.", "modulator": "modulator.",
    "recurrent": "recurrent.", "readouts": "readouts.", "readout": "readouts.", "adapters": "adapters.",
    "std": "log_std",
}  # fmt: skip
_WIDTHS = "readouts.x.log_std"  # a parameter that is the logarithm of what it was


def regularizers_of(block: Block, min_std: float) -> dict[str, Any]:
    """Blocks `regularizers` and `no_decay`, where there are some.

    Parameters
    ----------
    block
        The model file.
    min_std
        Width of the readout below which none can shrink here: `std` is ``min_std + exp(log_std)``.
    """
    made: dict[str, Any] = {}
    undecayed: list[str] = []
    for number, given in enumerate(block.take("regularization", [])):
        one = Block(given, f"regularization.{number}", block.ledger)
        kind, strength = str(one.take("type", "")), one.take("lambda")
        patterns = [_pattern(text) for text in _listed(one.take("apply_to", []))]
        schedule = one.block("schedule")
        name = re.sub(r"[^A-Za-z0-9_-]", "_", str(one.take("name", f"{kind}_{number}")))
        if kind not in {*_PENALTIES, *_CLAMPS}:
            one.lose(f"there is no regularizer like {kind!r} here; see `visioncore plugins`", "type")
        elif strength is None:
            one.idle("without `lambda` it is left out", "type")
        elif not patterns:
            one.idle("without `apply_to` it matches no parameter", "type")
        elif kind == "l2" and float(strength) == 0:
            undecayed += patterns
            one.change("without strength it only kept parameters from decay: `optimizer.no_decay`", "lambda")
        elif kind in _CLAMPS:
            bounded = _clamped(one, _Schedule(schedule), kind, patterns, min_std)
            made |= {(f"{name}_{part}" if len(bounded) > 1 else name): clamp for part, clamp in bounded.items()}
        else:
            if any(fnmatchcase(_WIDTHS, pattern) for pattern in patterns):
                one.change("widths of the readout are logarithms here, and those are penalised", "apply_to")
            if kind == "ortho":
                one.change("weights of two axes or more alone are taken here: a pattern that matches another is an "
                           "error", "apply_to")  # fmt: skip
            made[name] = {**_PENALTIES[kind], "match": patterns, "strength": _Schedule(schedule).strength(strength)}
        one.close()
    return ({"regularizers": made} if made else {}) | ({"no_decay": undecayed} if undecayed else {})


def _listed(value: Any) -> list[str]:
    return [str(value)] if isinstance(value, str) else [str(item) for item in value]


def _pattern(text: str) -> str:
    """All substrings of ``a/b``, in the order in which parameter names here have them."""
    return "*" + "*".join(_PARAMETERS.get(word, word) for word in text.split("/")) + "*"


class _Schedule:
    """Block `schedule` of a regularizer: from `start` to `end` (epochs) by `kind`.

    Parameters
    ----------
    block
        The block; it is closed.
    """

    def __init__(self, block: Block) -> None:
        self.kind = str(block.take("kind", block.take("type", "constant")))
        block.take("type")
        start, end = block.take("start_epoch", block.take("start", 0)), block.take("end_epoch", block.take("end"))
        for name in ("start", "end"):
            block.take(name)
        self.start = float(start)
        self.steps = max(float(end if end is not None else start + 1) - float(start), 1.0)
        self.first = float(block.take("start_lambda", 0.0))
        if self.kind == "warmup":
            block.change("it is not switched off again here", "end_epoch", "end")
        elif self.kind == "linear_ramp":
            block.ledger.changed[block.key] = "outside its epochs it holds its last value; there it was 0"
        elif self.kind == "linear_decay" and self.start > 0:
            block.ledger.changed[block.key] = "before its epochs it holds its first value"
        elif self.kind not in ("constant", "linear_decay"):
            block.lose(f"there is no schedule like {self.kind!r}: the strength is constant", "kind", "type")
        block.close()

    @property
    def moves(self) -> bool:
        """Whether the value moves through others on its way."""
        return self.kind in ("linear_ramp", "linear_decay")

    def strength(self, strength: Any) -> Any:
        """Strength of a penalty that is `strength` in the end."""
        if self.moves:
            return self.ramp(self.first, float(strength))
        return self.begun(float(strength))

    def begun(self, strength: float) -> Any:
        """`strength` from the first epoch on."""
        if self.kind in ("warmup", "linear_ramp") and self.start > 0:
            return {"schedule": "step_in", "start": 0.0, "stop": strength, "begin": self.start, "clock": "epoch"}
        return strength

    def ramp(self, first: float, last: float) -> dict[str, Any]:
        """From one value to another over its epochs."""
        return {"schedule": "ramp", "start": first, "stop": last, "begin": self.start, "steps": self.steps,
                "clock": "epoch"}  # fmt: skip


def _clamped(
    one: Block, schedule: _Schedule, kind: str, patterns: Sequence[str], min_std: float
) -> dict[str, dict[str, Any]]:
    """A clamp of plain parameters, and one of widths, whose logarithms have bounds of their own."""
    widths = [pattern for pattern in patterns if "log_std" in pattern]
    others = [pattern for pattern in patterns if not fnmatchcase(_WIDTHS, pattern)]
    if len(widths) + len(others) < len(patterns):
        one.lose("a pattern takes widths too, which are logarithms here: say which parameters are meant", "apply_to")
    made: dict[str, dict[str, Any]] = {}
    bound = float(one.take("lambda"))
    ends = {side: (factor * schedule.first, factor * bound) for side, factor in _CLAMPS[kind].items()}
    if others:
        bounds = {
            side: schedule.ramp(first, last) if schedule.moves and first != last else last
            for side, (first, last) in ends.items()
        }
        made["values"] = {"name": "clamp", "match": others, "strength": schedule.begun(1.0), **bounds}
    logarithms = {
        side: _logarithm(schedule, first, last, min_std)
        for side, (first, last) in ends.items()
        if widths and last > min_std  # what is below holds anyhow
    }
    if logarithms:
        why = "widths are logarithms here: so are their bounds"
        if schedule.moves:
            why += ", which move evenly on that scale, or stay where they started from 0"
        one.change(why, "lambda")
        made["widths"] = {"name": "clamp", "match": widths, "strength": schedule.begun(1.0), **logarithms}
    elif widths:
        one.change(f"no width is below {min_std} here, whatever its bound", "lambda")
    return made


def _logarithm(schedule: _Schedule, first: float, last: float, min_std: float) -> Any:
    end = math.log(last - min_std)
    if schedule.moves and first > min_std and first != last:
        return schedule.ramp(math.log(first - min_std), end)
    return end
