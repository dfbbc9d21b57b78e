"""A VisionCore file of datasets as the block `data` of a run file."""

from __future__ import annotations

from typing import Any

from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.imports.ledger import Block
from visioncore_neural.imports.transforms import preparations_of

__all__ = ["data_of", "num_lags_of"]

_CONVERTED = "it is settled when recordings are converted; see `visioncore data convert`"


def num_lags_of(content: Any) -> int:
    """Frames of the stimulus in a sample: as many as `keys_lags.stim` names."""
    lags = (content.get("keys_lags") or {}).get("stim") if isinstance(content, dict) else None
    return len(lags) if isinstance(lags, list) and lags else 1


def data_of(block: Block, sessions: int | None) -> dict[str, Any]:
    """Block `data`.

    Parameters
    ----------
    block
        The file of datasets.
    sessions
        How many of them are used (`--max_datasets`); None for all.

    Raises
    ------
    ConfigError
        Where it names no session.
    """
    named = [str(name) for name in block.take("sessions", [])]
    if not named:
        todo = "give the file that lists them behind that of the model"
        raise ConfigError(Problem(key="sessions", what="the file of datasets names none", todo=todo))
    used = named if sessions is None else named[:sessions]
    if len(used) < len(named):
        left = len(named) - len(used)
        block.change(f"the last {left} of {len(named)} were left out by --max_datasets, and are here too", "sessions")
    side = _side(block)
    fraction = float(block.take("train_val_split", 0.8))
    data: dict[str, Any] = {
        "name": "sessions",
        "sessions": used,
        "window": {"history": "auto", "length": 1},
        "split": {
            "by": "trials",
            "fractions": [fraction, round(1 - fraction, 9), 0.0],
            "seed": int(block.take("seed", 1002)),
        },
    }
    if side:
        data["side"] = side
    root = block.take("session_dir", block.take("directory"))
    block.take("directory")
    if root:
        data["root"] = str(root)
    block.change("trials are drawn with another generator: the same fractions, not the same trials", "train_val_split")
    block.lose(_CONVERTED, "types", "cids", "visual", "qcmissing", "qccontam", "lab", "eye")
    block.lose("adapter and readout are those of the model for every session here", "adapter", "readout")
    block.take("n_lags")
    if prepare := preparations_of(block):
        data["prepare"] = prepare
    block.close()
    return data


def _side(block: Block) -> list[str]:
    lags = block.block("keys_lags")
    served = []
    for name in ("stim", "robs", "dfs"):
        lags.take(name)
    if "behavior" in lags:
        lags.take("behavior")
        served.append("behavior")
    if "history" in lags:
        lags.take("history")
        served.append("previous_responses")
    lags.change("eye position is a side input of its own here", "eyepos")
    lags.close()
    return served
