"""`resolve`: run files in, a typed run out, or every mistake in them at once."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from visioncore_engine.config.blocks import AnyOptions, Blocks
from visioncore_engine.config.checks import check
from visioncore_engine.config.compose import Composed, Source, compose, merge
from visioncore_engine.config.interpolation import interpolate
from visioncore_engine.config.node import Node, plain
from visioncore_engine.config.resolved import Resolved
from visioncore_engine.config.run import RunConfig
from visioncore_engine.errors import ConfigError, PluginError, Problem, UserError
from visioncore_engine.registry import Registry, discover

__all__ = ["resolve", "resolve_mapping", "resolve_part"]


def resolve(
    paths: Source | Sequence[Source],
    sets: Iterable[str] = (),
    registry: Registry | None = None,
    plugin_files: Iterable[str | os.PathLike[str]] = (),
    block: Iterable[str] = (),
) -> Resolved:
    """Resolve a run.

    Parameters
    ----------
    paths
        One or several run files, laid over each other from left to right; a mapping of plain values stands for one.
    sets
        ``key=value`` each, laid over the files.
    registry
        The plugins to choose from; by default those that are installed.
    plugin_files
        Single files that are plugins too.
    block
        Plugins that are not even imported, besides those that the run names in ``plugins.block``.

    Raises
    ------
    ConfigError, PluginError
        With every mistake that was found, in the order of the files; PluginError where all of them are about the
        choice of plugins.
    """
    sources = [paths] if isinstance(paths, str | os.PathLike | Mapping) else list(paths)
    composed = compose(sources, sets)
    root = interpolate(_named(composed, sources))
    registry = _registry(root, registry, tuple(block), tuple(plugin_files))
    blocks = Blocks(registry)
    run = blocks.options(RunConfig, root)
    if run is None or blocks.ledger.problems:
        raise _error(blocks, composed.files)
    for problem in blocks.renamed:
        print(f"warning: {problem}", file=sys.stderr)  # noqa: T201 - must be seen
    resolved = Resolved(run, registry, composed.files, blocks.ledger.places, blocks.references)
    problems = (*check(run, resolved.where), *registry.checks(run))
    if problems:
        raise ConfigError(*(replace(found, where=found.where or resolved.where(found.key)) for found in problems))
    return resolved


def resolve_mapping(content: Mapping[str, Any], *, registry: Registry | None = None, where: str) -> RunConfig:
    """Resolve a run that was dumped before, e.g. into a checkpoint.

    Parameters
    ----------
    content
        What `Resolved.dump` gave.
    registry
        The plugins to choose from; by default those that are installed.
    where
        What messages name as the place.

    Raises
    ------
    ConfigError, PluginError
        As `resolve`.
    """
    try:
        return resolve(content, registry=registry).run
    except UserError as error:
        raise type(error)(*(replace(found, where=where) for found in error.problems)) from error


def resolve_part(
    model: type[AnyOptions], content: Source, registry: Registry | None = None, *, sets: Iterable[str] = ()
) -> AnyOptions:
    """Resolve a part of a run, or what a command takes: an options class, which may have slots.

    Parameters
    ----------
    model
        The class.
    content
        A file, or plain values.
    registry
        The plugins to choose from; by default those that are installed.
    sets
        ``key=value`` each, laid over it.

    Raises
    ------
    ConfigError, PluginError
        With every mistake that was found.
    """
    sets = tuple(sets)
    composed = compose([content] if content or not sets else [], sets)  # what is empty is no place to name
    blocks = Blocks(discover() if registry is None else registry)
    found = blocks.options(model, interpolate(composed.root))
    if found is None:
        raise _error(blocks, composed.files)
    return found


def _named(composed: Composed, sources: Sequence[Source]) -> Node:
    """Give a run without a name that of its file."""
    first = sources[0]
    if isinstance(first, Mapping):
        return composed.root
    name = re.sub(r"[^A-Za-z0-9_.+=-]", "-", Path(first).stem)
    default = Node({"run": Node({"name": Node(name, "default")}, "default")}, composed.root.where)
    return merge(default, composed.root)


def _wanted(root: Node) -> dict[str, Node]:
    """What the run itself says under ``plugins``, needed before anything is validated; a wrong type is told later."""
    node = root.value.get("plugins") if isinstance(root.value, dict) else None
    return node.value if node is not None and isinstance(node.value, dict) else {}


def _words(node: Node | None) -> tuple[str, ...]:
    words = plain(node) if node is not None and isinstance(node.value, list) else []
    return tuple(word for word in words if isinstance(word, str))


def _registry(
    root: Node, given: Registry | None, block: tuple[str, ...], files: tuple[str | os.PathLike[str], ...]
) -> Registry:
    """Return the plugins of a run: those that are given or found, without those that may not be imported."""
    wanted = _wanted(root)
    allowed, blocked = _words(wanted.get("allow")), _words(wanted.get("block"))
    lock = wanted["lock"].value if "lock" in wanted else None
    path = lock if isinstance(lock, str) and lock else None
    try:
        if given is not None:
            registry = given.select(allow=allowed, block=(*block, *blocked), lock=path)
        else:
            registry = discover(allow=allowed, block=(*block, *blocked), lock=path, files=files)
    except PluginError as error:
        by_run: dict[tuple[str, str | None], str] = {
            **{("allow", repr(word)): wanted["allow"].where for word in allowed},
            **{("block", repr(word)): wanted["block"].where for word in blocked},
            **({("lock", path): wanted["lock"].where} if path is not None else {}),
        }
        raise PluginError(
            *(
                replace(found, where=by_run[found.key, found.given], key=f"plugins.{found.key}")
                if (found.key, found.given) in by_run
                else found
                for found in error.problems
            )
        ) from error
    asked = {str(Path(file).resolve()) for file in files}
    broken = [plugin for plugin in registry.plugins if plugin.status == "broken" and plugin.source in asked]
    if broken:
        raise PluginError(*(Problem(what=plugin.error, where=plugin.source) for plugin in broken))
    return registry


def _error(blocks: Blocks, files: Sequence[str]) -> UserError:
    """All mistakes, in the order of the files and lines."""

    def order(problem: Problem) -> tuple[int, int]:
        file, _, line = problem.where.rpartition(":")
        return (files.index(file) if file in files else len(files), int(line) if line.isdecimal() else 0)

    problems = sorted(blocks.ledger.problems, key=order)
    return (PluginError if len(blocks.ledger.plugin_problems) == len(problems) else ConfigError)(*problems)
