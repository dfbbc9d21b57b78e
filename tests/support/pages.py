"""Pages of the documentation, as blocks of code and commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SHELLS", "Block", "read"]

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"(?:^<!-- (?P<marker>file|part of|write): (?P<path>\S+) -->\n)?^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHELLS = ("console", "sh")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str
    marker: str
    path: str

    @property
    def commands(self) -> list[list[str]]:
        """Commands of a console block, split into words."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [shlex.split(line, comments=True) for line in lines if line.strip() and not line.startswith("#")]


def read(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    found = []
    for match in FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        line = text.count("\n", 0, match.start("info")) + 1
        found.append(
            Block(name, line, language, tuple(words), match["text"], match["marker"] or "", match["path"] or "")
        )
    return found
