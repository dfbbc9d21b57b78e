"""Whether a run may go on from a checkpoint: what differs, and whether the run file allows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from visioncore_engine.config import Resolved
from visioncore_engine.config.resolve import resolve
from visioncore_engine.errors import ConfigError, PluginError, Problem, UserError
from visioncore_engine.registry import Registry

__all__ = ["check_plugins", "check_resume", "leaves", "rounding"]

# What may always differ: where results go, how fast windows are read, where it runs, and how long the run is.
FREE = (
    "evaluate.*",
    "launch",
    "launch.*",
    "loader.evaluation_batch_size",
    "loader.gather",
    "loader.home",
    "loader.prefetch",
    "loggers.*",
    "plugins.*",
    "policies.*",
    "run.*",
    "trainer.devices",
    "trainer.log_every_n_steps",
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.threads",
)


def check_resume(resolved: Resolved, saved: Mapping[str, Any]) -> None:
    """Compare a run with the one that wrote a checkpoint.

    Parameters
    ----------
    resolved
        The run that is to go on.
    saved
        The checkpoint's own description of its run.

    Raises
    ------
    ConfigError
        Listing every difference that neither is free nor allowed by ``policies.resume_changes``.
    """
    allowed = (*FREE, *resolved.run.policies.resume_changes)
    before, now = dict(leaves(_filled(saved, resolved.registry))), dict(leaves(resolved.dump()))
    problems = [
        Problem(
            what=f"the checkpoint was trained with {_shown(before, key)}",
            where=resolved.where(key),
            key=key,
            given=_shown(now, key),
            todo=f"allow it with policies.resume_changes: [{key}], or take it back",
        )
        for key in dict.fromkeys((*before, *now))
        if before.get(key) != now.get(key) and not any(fnmatchcase(key, pattern) for pattern in allowed)
    ]
    if problems:
        raise ConfigError(*problems)


def check_plugins(resolved: Resolved, saved: Mapping[str, Any], now: Mapping[str, Any], path: str) -> str:
    """Compare the code of a run with that which wrote a checkpoint, as ``policies.plugin_changes`` says.

    Parameters
    ----------
    resolved
        The run that is to go on.
    saved, now
        Record of the checkpoint, and of this run.
    path
        The checkpoint, for messages.

    Returns
    -------
    What differs, where that is to be told and no more; else empty.

    Raises
    ------
    PluginError
        Naming each distribution that differs, with both versions, where that is an error.
    """
    policy = resolved.run.policies.plugin_changes
    changes = [] if policy == "ignore" else [*_changed_owners(saved, now), *_changed_code(saved, now)]
    if not changes:
        return ""
    if policy == "warn":
        return f"{path}: {'; '.join(what for what, _ in changes)}"
    raise PluginError(
        *(
            Problem(
                what=what,
                where=path,
                todo=f"{back}, or accept it: --set policies.plugin_changes=warn",
            )
            for what, back in changes
        )
    )


def _changed_owners(saved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Components of the same name that another plugin provides now."""
    before = {part["key"]: part for part in saved["components"]}
    for part in now["components"]:
        then = before.get(part["key"], part)
        if then["name"] == part["name"] and then["plugin"] != part["plugin"]:
            what = f"{part['kind']} {part['name']!r} was that of plugin {then['plugin']!r}"
            yield f"{what}, and is that of {part['plugin']!r} now", f"write {then['plugin']}:{part['name']}"


def _changed_code(saved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Distributions and files that the run uses and that are others than they were; where a hash is not known, none."""
    then_rows, now_rows = ([*rows["plugins"], *filter(None, [rows.get("engine")])] for rows in (saved, now))
    before = {row["name"]: row for row in then_rows if row.get("used", True)}
    told = set()
    for row in now_rows:
        then = before.get(row["name"])
        if then is None or not row.get("used", True):
            continue
        was, here = _origin(then), _origin(row)
        back = f"install {was}" if then["distribution"] else "bring the file back"
        if was != here and (was, here) not in told:
            told.add((was, here))
            yield f"the checkpoint was written with {was}, and this is {here} (plugin {row['name']!r})", back
        elif was == here and None not in (then.get("hash"), row["hash"]) and then["hash"] != row["hash"]:
            code = f"the code of plugin {row['name']!r} ({here})"
            yield f"{code} is another one than when the checkpoint was written", "bring it back"


def _origin(row: Mapping[str, Any]) -> str:
    return f"{row['distribution']}=={row['version']}" if row["distribution"] else f"the file of plugin {row['name']!r}"


def rounding(saved: Mapping[str, Any], **here: object) -> str:
    """Say why a resumed run will equal the unbroken one to rounding only; empty where it will be the same.

    Parameters
    ----------
    saved
        The engine's part of the checkpoint.
    here
        ``processes``, ``threads`` and ``torch`` of this run.
    """
    then = {
        "processes": saved.get("num_processes"),
        "threads": saved["torch_threads"],
        "torch": saved["record"]["libraries"].get("torch"),
    }
    changed = [f"{name} {then[name]} -> {now}" for name, now in here.items() if then[name] not in (None, now)]
    return f"resumed to rounding only: {', '.join(changed)}" if changed else ""


def _filled(saved: Mapping[str, Any], registry: Registry) -> Mapping[str, Any]:
    """Saved run with today's defaults for options that did not exist when it was written; as it is where it fails."""
    try:
        return resolve({**saved, "plugins": {}}, registry=registry).dump()  # which were allowed then may differ now
    except UserError:  # an option or component is gone: the comparison names it
        return saved


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every value below a mapping of plain values: its dotted key, and the value as JSON."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):  # an empty one says nothing: what another run has in it is told by its keys
            yield from leaves(value, f"{key}.")
        else:
            yield key, json.dumps(value)


def _shown(leaves: Mapping[str, str], key: str) -> str:
    return leaves.get(key, "nothing")
