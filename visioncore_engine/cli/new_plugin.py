"""Write a plugin that works at once: a package with tests, or a single file for --plugin."""

from __future__ import annotations

import argparse
from pathlib import Path

from visioncore_engine.cli.parser import Parser, example
from visioncore_engine.component import KINDS
from visioncore_engine.errors import Problem, UsageError
from visioncore_engine.scaffold import LICENSES, Names, package_files, single_file

__all__ = ["arguments", "run"]


def arguments(parser: Parser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("name", metavar="NAME", help="what a run file will say, e.g. bursts")
    parser.add_argument("--dir", default=".", metavar="DIR", help="folder that receives it; by default this one")
    parser.add_argument("--in-repo", action="store_true", help="a single file for --plugin rather than a package")
    parser.add_argument("--license", choices=LICENSES, default="MIT", help="licence of the package; by default MIT")
    parser.add_argument("--author", default="", help="who holds the copyright; by default the package's authors")
    example(
        parser,
        "visioncore new-plugin sampler bursts",
        "visioncore new-plugin regularizer smooth --dir plugins --license BSD-3-Clause",
        "visioncore new-plugin scheduler halving --in-repo",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the files."""
    names, folder = Names.of(arguments.kind, arguments.name), Path(arguments.dir)
    if arguments.in_repo:
        target, paths = folder / f"{names.package}.py", {"": single_file(names)}
    else:
        target = folder / names.distribution
        paths = package_files(names, license_name=arguments.license, author=arguments.author)
    if target.exists():
        raise UsageError(
            Problem(where=str(target), what="is there already", todo="choose another name, or another --dir")
        )
    _write(target, paths)
    print("\n".join(_said(names, target, paths, in_repo=arguments.in_repo)))
    return 0


def _write(target: Path, paths: dict[str, str]) -> None:
    for path, text in paths.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def _said(names: Names, target: Path, paths: dict[str, str], *, in_repo: bool) -> list[str]:
    """What was written, and what to type next."""
    lines = [f"wrote {target}", *(f"  {path}" for path in paths if path)]
    taken = _taken(names)
    if taken:
        lines += ["", f"note: {taken} offers a {names.kind.name} {names.name!r} too; where both are installed,"]
        lines += [f"a run file has to say {names.package}:{names.name}"]
    if in_repo:
        following = [f"visioncore show {names.kind.name} {names.name} --plugin {target}"]
    else:
        following = [
            f"pip install -e {_typed(target)}",
            f"visioncore show {names.kind.name} {names.name}",
            f"python -m pytest {target}",
            f"visioncore train {target / 'run.yaml'}",
        ]
    return [*lines, "", "next:", *(f"  {line}" for line in following)]  # never wrapped: they are copied


def _taken(names: Names) -> str:
    """Plugins that offer a component of this name; empty where there is none."""
    from visioncore_engine.registry import discover

    registry = discover()
    return ", ".join(entry.plugin.name for entry in registry.candidates(names.kind.name, names.name))


def _typed(path: Path) -> str:
    """Path that pip takes for a folder and not for a name."""
    return str(path) if path.is_absolute() else f"./{path}"
