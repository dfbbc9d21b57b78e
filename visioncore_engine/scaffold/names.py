"""What a new plugin is called, from the one word that its author gave."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.machinery import PathFinder

from visioncore_engine.component import KINDS, Kind
from visioncore_engine.errors import Problem, UsageError, nearest

__all__ = ["Names"]

_WORD = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Names:
    """The names of a new plugin with one component.

    Attributes
    ----------
    kind
        Of the component.
    name
        What a run file will say.
    """

    kind: Kind
    name: str

    @classmethod
    def of(cls, kind: str, name: str) -> Names:
        """Check the words that an author gave.

        Raises
        ------
        UsageError
            Where there is no such kind, the name is no word, or a module of its plugin's name is installed.
        """
        if kind not in KINDS:
            close = nearest(kind, [*KINDS, *(known.plural for known in KINDS.values())])
            singular = next((known.name for known in KINDS.values() if known.plural == close), close)
            head = f"did you mean {singular!r}? " if singular else ""
            todo = f"{head}kinds: {', '.join(KINDS)}"
            raise UsageError(Problem(what=f"there is no kind {kind!r}", todo=todo))
        if not _WORD.fullmatch(name) or keyword.iskeyword(name):
            spelled = _spelled(name)
            what = "a name is one word of lower-case letters, digits and underscores, and no keyword of Python"
            raise UsageError(Problem(what=what, given=repr(name), todo=f"write {spelled!r}" if spelled else ""))
        names = cls(KINDS[kind], name)
        if PathFinder.find_spec(names.package) is not None:
            what = f"a module named {names.package!r} can be imported already, and one of the two would hide the other"
            raise UsageError(Problem(what=what, todo="choose another name, or uninstall that one"))
        return names

    @property
    def package(self) -> str:
        """Name of the package, and of the plugin: ``bursts_sampler``."""
        suffix = f"_{self.kind.name}"
        return self.name if self.name.endswith(suffix) else f"{self.name}{suffix}"

    @property
    def distribution(self) -> str:
        """What is installed and published: ``bursts-sampler``; the name of its folder too."""
        return self.package.strip("_").replace("_", "-")

    @property
    def builder_class(self) -> str:
        """``BurstsSampler``."""
        return "".join(part.capitalize() for part in self.package.split("_"))

    @property
    def options_class(self) -> str:
        """``BurstsSamplerOptions``."""
        return f"{self.builder_class}Options"


def _spelled(name: str) -> str:
    """Spell what somebody wrote as a name; empty where nothing is left of it."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    spelled = re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_").lstrip("0123456789_")
    return f"my_{spelled}" if keyword.iskeyword(spelled) else spelled
