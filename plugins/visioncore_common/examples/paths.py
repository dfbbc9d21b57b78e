"""Where the files of a data set lie. Torch-free: their headers are looked at without it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from visioncore_common.examples.archive import group_name
from visioncore_common.options.dataset import ArraysOptions
from visioncore_engine.errors import ConfigError, DataError, Problem

__all__ = ["data_root", "find_files"]


def find_files(options: ArraysOptions) -> list[Path]:
    """Files of all patterns, sorted, each once.

    Raises
    ------
    ConfigError
        Where `root` is neither written nor in the environment.
    DataError
        For a folder that is not there, every pattern that matches nothing, and groups of one name.
    """
    root = data_root(options.root)
    found = {pattern: _below(root, pattern) for pattern in options.files}
    problems = [
        Problem(what="no file matches", where=str(root), key="data.files", given=repr(pattern), todo=_listing(root))
        for pattern, paths in found.items()
        if not paths
    ]
    if not options.files:
        problems.append(Problem(what="no file is named", key="data.files", todo="write a file name or a pattern"))
    if problems:
        raise DataError(*problems)
    paths = sorted({path for paths in found.values() for path in paths})
    if options.groups == "per_file":
        _refuse_equal_names(paths)
    return paths


def _below(root: Path, pattern: str) -> list[Path]:
    """Paths that a pattern matches, sorted; none where it is no relative pattern."""
    try:
        return sorted(root.glob(pattern))
    except (NotImplementedError, ValueError):  # absolute, empty, or '**' beside other letters
        return []


def data_root(written: str) -> Path:
    """Folder that files are relative to: the option, else ``$VISIONCORE_DATA``; raises as `find_files`."""
    text = written or os.environ.get("VISIONCORE_DATA", "")
    if not text:
        raise ConfigError(
            Problem(
                what="where the data are is not known",
                key="data.root",
                todo="write it, or --set data.root=FOLDER, or set the environment variable VISIONCORE_DATA",
            )
        )
    root = Path(text).expanduser()
    if not root.is_dir():
        raise DataError(
            Problem(what="no such folder", where=str(root), key="data.root" if written else "$VISIONCORE_DATA")
        )
    return root


def _listing(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    return f"the folder holds {', '.join([*names[:8], '…'] if len(names) > 8 else names) or 'nothing'}"


def _refuse_equal_names(paths: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        name = group_name(path)
        if name in seen:
            what = f"two groups named {name!r}: {seen[name]} and {path}"
            raise DataError(Problem(what=what, key="data.files", todo="rename one of them, or write groups: single"))
        seen[name] = path
