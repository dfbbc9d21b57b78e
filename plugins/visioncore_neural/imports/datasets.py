"""A VisionCore file of datasets as the block `data` of a run file."""

from __future__ import annotations

from typing import Any

from visioncore_neural.imports.ledger import Block

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
    """
    named = [str(name) for name in block.take("sessions", [])]
    used = named if sessions is None else named[:sessions]
    if len(used) < len(named):
        left = len(named) - len(used)
        block.change(f"the last {left} of {len(named)} were left out by --max_datasets, and are here too", "sessions")
    side = _side(block)
    fraction = float(block.take("train_val_split", 0.8))
    data: dict[str, Any] = {
        "name": "sessions",
        "sessions": used or ["*"],
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
    block.lose(_CONVERTED, "types", "sampling", "cids", "visual", "qcmissing", "qccontam", "lab", "eye")
    block.lose("adapter and readout are those of the model for every session here", "adapter", "readout")
    block.take("n_lags")
    _transforms(block.block("transforms"))
    _filters(block.block("datafilters"))
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


def _transforms(block: Block) -> None:
    for name in list(block._content):  # noqa: SLF001 - every key, whatever it is called
        inner = block.block(name)
        operations = [
            next(iter(item)) if isinstance(item, dict) and item else str(item) for item in inner.take("ops", [])
        ]
        for key in ("source", "expose_as", "concatenate", "keys_lags"):
            inner.take(key)
        inner.close()
        text = ", ".join(str(operation) for operation in operations) or "nothing"
        block.ledger.lost[block.place(name)] = (
            f"operations ({text}) ran over trial and split edges; name preparations under `data.prepare`"
        )


def _filters(block: Block) -> None:
    for name in list(block._content):  # noqa: SLF001 - every key, whatever it is called
        inner = block.block(name)
        for number, given in enumerate(inner.take("ops", [])):
            kind, options = next(iter(given.items())) if isinstance(given, dict) and given else (str(given), {})
            one = Block(options, f"{inner.key}.ops.{number}.{kind}", block.ledger)
            if kind == "valid_nlags":
                one.change("which frames can be predicted follows from the history that the model needs", "n_lags")
            elif kind == "missing_pct":
                one.lose("which responses count stands in the recording (`valid`)", "threshold")
            else:
                block.ledger.lost[one.key] = "there is no such filter here"
            one.close()
        for key in ("expose_as", "keys_lags"):
            inner.take(key)
        inner.close()
