"""A checkpoint of VisionCore as one of a run."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from visioncore_engine import resolve
from visioncore_engine.errors import CheckpointError, ConfigError, Problem, UsageError
from visioncore_engine.importing import Untrained
from visioncore_neural.legacy.convert import Account, Target, converted
from visioncore_neural.legacy.hyperparameters import model_file_of
from visioncore_neural.legacy.layout import weights_of
from visioncore_neural.legacy.model import OldModel
from visioncore_neural.legacy.reader import read_legacy

__all__ = ["import_checkpoint"]


def import_checkpoint(
    path: str | Path,
    run: Any,
    out: str | Path,
    *,
    num_lags: int,
    sessions: Sequence[str] = (),
    model_file: str | Path | None = None,
    sets: Sequence[str] = (),
) -> Account:
    """Write a checkpoint of a run whose model has the weights of a VisionCore checkpoint, and predicts as that did.

    Parameters
    ----------
    path
        The old checkpoint.
    run
        What `resolve` takes: the run file, or several.
    out
        The new checkpoint.
    num_lags
        Frames of the stimulus that its data served (`keys_lags`).
    sessions
        Sessions that it was trained with, in that order: readouts there are known by place. May be left out for one.
    model_file
        The model file, where the checkpoint does not keep it, or a better one.
    sets
        ``key=value`` laid over the run.

    Raises
    ------
    CheckpointError
        Where the file cannot be read, or anything in it cannot be carried over exactly; each is named.
    UserError
        As `resolve` and the parts of the run.
    """
    where = str(path)
    if Path(out).exists():
        raise UsageError(Problem(where=str(out), what="exists already", todo="choose another name"))
    warnings.warn(
        f"{where}: checkpoints of VisionCore are of the past: import each once, and use the new file",
        DeprecationWarning,
        stacklevel=2,
    )
    payload = read_legacy(path).payload
    content = _read(model_file) if model_file is not None else model_file_of(payload)
    if content is None:
        what = "it does not keep the model file, and its weights alone do not say what was done with them"
        raise CheckpointError(Problem(where=where, what=what, todo="give it with --model MODEL.yaml"))
    model = OldModel.read(content, where if model_file is None else str(model_file))
    resolved = resolve(run, sets)
    untrained = Untrained(resolved)
    names = list(sessions) or [group.name for group in untrained.groups]
    if not sessions and len(names) > 1:
        todo = "name every session that it was trained with, in that order"
        raise UsageError(Problem(key="--sessions", what="readouts are known by their place in a list", todo=todo))
    old = weights_of(payload, names, where)
    if not any(name.startswith("readout.") for own in old.sessions.values() for name in own):
        what = "it holds a core alone, and a checkpoint here is a whole model"
        todo = "import the checkpoint that the core was taken from, and name its parts in `transfer`"
        raise CheckpointError(Problem(where=where, what=what, todo=todo))
    state, account = converted(
        old, model, num_lags, Target(resolved.run.model, untrained.model, untrained.groups), where
    )
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    source = {"system": "visioncore", "file": where, "sha256": digest, "sessions": names, "num_lags": num_lags}
    untrained.write(state, out, {**source, **account.plain()})
    return account


def _read(path: str | Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(Problem(where=str(path), what=f"cannot be read: {error}")) from error
    if not isinstance(content, dict):
        raise ConfigError(Problem(where=str(path), what="the top level must be a mapping"))
    return content
