"""VisionCore's model file, file of datasets and command line as one run file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from visioncore_engine.errors import ConfigError, Problem
from visioncore_neural.imports.datasets import data_of, num_lags_of
from visioncore_neural.imports.flags import Flags, run_of
from visioncore_neural.imports.ledger import Block, Ledger
from visioncore_neural.imports.model import model_of
from visioncore_neural.imports.weights import model_of_weights

__all__ = ["import_run", "import_visioncore"]

_ORDER = (
    "data", "sampler", "model", "transfer", "loss", "metrics", "regularizers", "optimizer", "scheduler", "callbacks",
    "loggers", "checkpoint", "trainer", "loader", "run",
)  # fmt: skip


def import_run(
    model: Any, datasets: Any, words: Sequence[str], *, for_weights: bool = False, where: str = ""
) -> tuple[dict[str, Any], Ledger]:
    """Make a run of the contents of both files and a command line.

    Parameters
    ----------
    model, datasets, words
        The contents, and the words of the command line.
    for_weights
        Whether the model is to predict as the old one with its weights, rather than to be trained anew.
    where
        What messages name as the place of the model.

    Returns
    -------
    Plain values of a run file, and what became of every key that is not in it.

    Raises
    ------
    UsageError
        For a word that is no flag.
    CheckpointError
        For a model whose weights cannot be carried over exactly, where they are to be.
    """
    ledger, flags = Ledger(), Flags(words)
    run = run_of(flags, ledger)
    run["data"] = data_of(Block(datasets, "", ledger), flags.count("max_datasets", 30))
    if for_weights:
        made = {"model": model_of_weights(model, num_lags_of(datasets), where)}
        why = "the run is for weights that have been trained; its parameters bear other names"
        Block(model, "", ledger).lose(why, "regularization")
    else:
        made = model_of(Block(model, "", ledger), num_lags_of(datasets))
    if undecayed := made.pop("no_decay", None):
        run["optimizer"]["no_decay"] = undecayed
    run |= made
    return {key: run[key] for key in _ORDER if key in run}, ledger


def import_visioncore(
    model: Path, datasets: Path, words: Sequence[str], *, for_weights: bool = False
) -> tuple[dict[str, Any], Ledger]:
    """Read both files, and make a run of them and a command line.

    Raises
    ------
    ConfigError
        Where a file cannot be read, or is no mapping.
    UsageError
        For a word that is no flag.
    CheckpointError
        As of `import_run`.
    """
    return import_run(_read(model), _read(datasets), words, for_weights=for_weights, where=str(model))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(Problem(where=str(path), what=f"cannot be read: {error.strerror}")) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(Problem(where=str(path), what=f"is no YAML: {error}")) from error
    if not isinstance(content, dict):
        raise ConfigError(Problem(where=str(path), what="the top level must be a mapping"))
    return content
