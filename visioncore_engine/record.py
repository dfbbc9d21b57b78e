"""What a run was made with, as plain values that go into the run folder and into every checkpoint.

Nothing here imports torch, and no secret is in it: values of keys such as ``api_key`` and passwords in addresses are
replaced before anything is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import importlib_metadata

from visioncore_engine.component import KINDS
from visioncore_engine.config import Resolved
from visioncore_engine.errors import DataError, Problem
from visioncore_engine.registry import Plugin, contents, module_file
from visioncore_engine.secrets import redact, redact_command

__all__ = ["collect", "engine", "from_json", "git_state", "to_json"]

_LIBRARIES = ("visioncore-engine", "torch", "pytorch-lightning", "numpy", "pluggy", "pydantic", "h5py")
_GIT_SECONDS = 10


def collect(resolved: Resolved, *, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe a run that is about to begin.

    Parameters
    ----------
    resolved
        The run.
    data
        Fingerprint of each group's recording.

    Returns
    -------
    Plain values: when and how it was started, its seed and digest, the engine and the plugins that it uses with their
    distributions and the hash of their code, every component with its contract version and the hash of its sources, the
    state of the working folder, the machine, and `data`.
    """
    owners = {(plugin.name, plugin.origin): plugin for plugin in resolved.registry.plugins}
    used = {(choice.plugin, choice.origin) for _, choice in resolved.choices()}
    record = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": resolved.name,
        "seed": resolved.run.seed,
        "digest": resolved.digest,
        "command": redact_command(sys.argv),
        "files": {file: _hash(Path(file)) for file in resolved.files},
        "engine": {**_identity(engine()), **_code(engine())},
        "contracts": {kind.name: kind.version for kind in KINDS.values()},
        "plugins": [_plugin(plugin, place in used) for place, plugin in owners.items()],
        "components": [
            {
                "key": key,
                "kind": choice.kind,
                "name": choice.name,
                "plugin": choice.plugin,
                "distribution": owners[choice.plugin, choice.origin].distribution,
                "distribution_version": owners[choice.plugin, choice.origin].version,
                "contract_version": choice.component.version,
                "sources": _sources(choice.home, choice.component.build, choice.component.options),
            }
            for key, choice in resolved.choices()
        ],
        "git": git_state(Path()),
        "machine": _machine(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
        "data": dict(data or {}),
    }
    clean: dict[str, Any] = redact(record)
    return clean


def to_json(record: Mapping[str, Any]) -> str:
    """Write a record as JSON text."""
    return json.dumps(redact(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, where: str = "") -> dict[str, Any]:
    """Read a record back.

    Raises
    ------
    DataError
        Where the text is not the record of a run.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise DataError(Problem(what=f"not the record of a run: {error}", where=where)) from error
    if not isinstance(record, dict):
        raise DataError(Problem(what="not the record of a run: the top level must be a mapping", where=where))
    return record


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and branch of a working folder, and whether files differ from the commit; None where there is no git."""
    if shutil.which("git") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        "changed": None if changed is None else sorted(line[3:] for line in changed.splitlines()),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command without a shell
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):  # a record without git is worth more than no run
        return None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


def engine() -> Plugin:
    """Describe the engine as if it were a plugin."""
    installed = _distribution(_LIBRARIES[0])
    url = None if installed is None else _direct_url(installed)
    editable = isinstance(url, dict) and bool(url.get("dir_info", {}).get("editable"))
    version = _version(_LIBRARIES[0])
    return Plugin(name="engine", distribution=_LIBRARIES[0], version=version, module=__package__, editable=editable)


def _plugin(plugin: Plugin, used: bool) -> dict[str, Any]:
    """One row; the files of a plugin that the run does not use are not read."""
    code = _code(plugin) if used else {"hash": None, "edited": [], "git": None}
    return {**_identity(plugin), **code, "module": plugin.module, "status": plugin.status, "used": used}


def _identity(plugin: Plugin) -> dict[str, Any]:
    installed = _distribution(plugin.distribution) if plugin.distribution else None
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "editable": plugin.editable,
        "direct_url": None if installed is None else _direct_url(installed),
    }


def _code(plugin: Plugin) -> dict[str, Any]:
    """What the code of a plugin is: its hash, files that are not as they were installed, commit of a working tree."""
    found = contents(plugin)
    tree = git_state(Path(found.folder)) if found.folder and (plugin.editable or not plugin.distribution) else None
    return {"hash": found.hash or None, "edited": list(found.edited), "git": tree}


def _direct_url(installed: Any) -> Any:
    """Return what the installer noted of where the distribution came from: a folder, a commit, an archive."""
    text = installed.read_text("direct_url.json")
    try:
        return json.loads(text) if text else None
    except ValueError:  # damaged metadata are no reason not to train
        return None


def _sources(home: str, *addresses: str) -> dict[str, str | None]:
    """Hash of the modules that hold a component's builder and options, by module name."""
    modules = [address.partition(":")[0] or home for address in addresses if address]
    return {module: _hash(module_file(module)) for module in dict.fromkeys(modules)}


def _hash(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _distribution(name: str) -> Any:
    try:
        return importlib_metadata.distribution(name)
    except importlib_metadata.PackageNotFoundError:  # a plugin given in process has no distribution on disk
        return None


def _version(name: str) -> str:
    found = _distribution(name)
    return "" if found is None else str(found.version)


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "cpus_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "memory_bytes": _memory(),
    }


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not every system says
        return None
