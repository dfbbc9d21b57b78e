"""Say what a checkpoint holds, or carry one of an older format over. None of its plugins is needed."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from visioncore_engine.cli.layout import columns
from visioncore_engine.cli.parser import example
from visioncore_engine.errors import CheckpointError, Problem

__all__ = ["arguments", "describe", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(required=True, metavar="inspect|migrate", prog=parser.prog)
    inspect = actions.add_parser("inspect", help="say what a checkpoint holds")
    inspect.add_argument("file", metavar="FILE", help="a checkpoint")
    inspect.add_argument("--json", action="store_true", help="print it as JSON, for machines")
    inspect.set_defaults(action=_inspect)
    migrate = actions.add_parser("migrate", help="write a checkpoint of an older format in the present one")
    migrate.add_argument("file", metavar="FILE", help="a checkpoint")
    migrate.add_argument("out", metavar="OUT", nargs="?", help="where to write; by default the file itself is replaced")
    migrate.set_defaults(action=_migrate)
    lines = ("visioncore checkpoint inspect runs/demo/20260101-120000/checkpoints/best.ckpt",)
    example(parser, *lines, "visioncore checkpoint migrate old.ckpt new.ckpt")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    action: Callable[[argparse.Namespace], int] = arguments.action
    return action(arguments)


def _inspect(arguments: argparse.Namespace) -> int:
    from visioncore_engine.checkpoint import read_as_written

    payload = read_as_written(arguments.file)
    try:
        found = describe(payload)
        text = json.dumps(found, indent=2, ensure_ascii=False) if arguments.json else "\n".join(_in_words(found))
    except Exception as error:  # what a file that was changed holds may fail in any way
        what = f"cannot be understood: {type(error).__name__}: {error}"
        todo = "the file was changed after it was written"
        raise CheckpointError(Problem(where=arguments.file, what=what, todo=todo)) from error
    print(text)
    return 0


def describe(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of itself, as plain JSON values."""
    own = payload["visioncore"]
    record = own["record"]
    return {
        "run": own["run"].get("run", {}).get("name", ""),
        "step": payload.get("global_step"),
        "epoch": payload.get("epoch"),
        "format": own["format"],
        "started": record.get("started"),
        "scores": {name: value if math.isfinite(value) else None for name, value in own["scores"].items()},
        "groups": [_group(group) for group in own["groups"]],
        "plugins": [
            {key: plugin.get(key) for key in ("name", "distribution", "version", "editable", "hash")}
            for plugin in record.get("plugins", ())
            if plugin.get("used")
        ],
        "engine": (record.get("engine") or {}).get("version") or record.get("libraries", {}).get("visioncore-engine"),
        "components": {part["key"]: f"{part['plugin']}:{part['name']}" for part in record.get("components", ())},
        "libraries": record.get("libraries", {}),
        "fingerprints": own["fingerprints"],
        "history": own["history"],
        "tensors": len(payload["state_dict"]),
        "values": sum(value.numel() for value in payload["state_dict"].values()),
        "offered": len(own.get("offered", ())),
    }


def _group(group: Mapping[str, Any]) -> dict[str, Any]:
    targets = {
        task: {"columns": target["columns"], "size": target["size"], "ids": list(target["ids"])}
        for task, target in group["targets"].items()
    }
    return {
        "name": group["name"],
        "labels": dict(group["labels"]),
        "input_shape": list(group["input_shape"]),
        "targets": targets,
    }


def _in_words(found: Mapping[str, Any]) -> Iterator[str]:
    place = f"step {found['step']}, epoch {found['epoch']}"
    offered = (
        f"{found['offered']} tensors in place of those that are trained" if found["offered"] else "what is trained"
    )
    yield from columns(
        [
            ("run", str(found["run"])),
            ("saved at", place),
            ("started", str(found["started"])),
            ("format", str(found["format"])),
            ("model", f"{found['tensors']} tensors, {found['values']} values, {found['history']} frames of history"),
            ("offers", offered),
        ]
    )
    yield from ("", "scores", *columns((name, _score(value)) for name, value in found["scores"].items()))
    yield from ("", "groups", *columns(_group_row(group, found["fingerprints"]) for group in found["groups"]))
    yield from ("", "plugins", *columns((plugin["name"], _origin(plugin)) for plugin in found["plugins"]))
    yield from ("", "components", *columns(found["components"].items()))
    yield from ("", "libraries", *columns(found["libraries"].items()))


def _score(value: float | None) -> str:
    return "not scored" if value is None else f"{value:.6g}"


def _group_row(group: Mapping[str, Any], fingerprints: Mapping[str, str]) -> tuple[str, str, str]:
    sizes = ", ".join(
        f"{task}: {target['size']} {target['columns'] or 'classes'}" for task, target in group["targets"].items()
    )
    return group["name"], sizes, f"data {str(fingerprints.get(group['name'], 'unknown'))[:16]}"


def _origin(plugin: Mapping[str, Any]) -> str:
    return f"{plugin['distribution']} {plugin['version']}" if plugin["distribution"] else "single file"


def _migrate(arguments: argparse.Namespace) -> int:
    from visioncore_engine.checkpoint import read_as_written, write_checkpoint
    from visioncore_engine.migration import FORMAT, carry_over

    source, target = Path(arguments.file), Path(arguments.out or arguments.file)
    payload = read_as_written(source)
    written = payload["visioncore"]["format"]
    if target != source and target.exists():
        raise CheckpointError(Problem(where=str(target), what="exists already", todo="choose another name"))
    if written == FORMAT and target == source:
        print(f"{source} is of format {FORMAT} already")
        return 0
    write_checkpoint(carry_over(payload), target)
    print(f"{target}: written in format {FORMAT} (was {written})")
    return 0
