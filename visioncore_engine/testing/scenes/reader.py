"""What a reader meets: a file or folder of its format, and what stands in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from visioncore_engine.contracts import ReaderFacts
from visioncore_engine.testing.case import Case

__all__ = ["ReaderScene", "scene", "shown"]


def shown(recording: Any) -> Mapping[str, Any]:
    """Fields of a data class, or attributes of an object."""
    if dataclasses.is_dataclass(recording):
        return {field.name: getattr(recording, field.name) for field in dataclasses.fields(recording)}
    return dict(vars(recording))


@dataclass
class ReaderScene:
    """A file that is read. Each scene has a file of its own, which checks copy and damage.

    Attributes
    ----------
    facts
        Its path.
    expected
        What must be found in it, as `view` shows it; None where that is not known.
    view
        What a family's recording holds, as arrays and plain values.
    """

    facts: ReaderFacts
    expected: Mapping[str, Any] | None = None
    view: Callable[[Any], Mapping[str, Any]] = shown

    def probe(self, built: Any) -> Mapping[str, Any]:
        """What it reads."""
        return self.view(built.read())


def scene(case: Case) -> ReaderScene:
    """Raise an AssertionError: no file is known that every reader reads."""
    raise AssertionError(
        f"a reader needs a file of its format: give {case} a scene, "
        "Case(…, scene=lambda case: ReaderScene(ReaderFacts(path), expected)); the plugin that the recordings are for "
        "may make one, such as visioncore_neural.testing.reader_scene"
    )
