"""Laws of readers."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from visioncore_engine.contracts import ReaderFacts
from visioncore_engine.errors import UserError
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.observed import difference, expect_same
from visioncore_engine.testing.scenes.reader import ReaderScene

__all__ = [
    "damaged_files_are_refused",
    "file_is_left_alone",
    "missing_files_are_refused",
    "read_twice_it_is_the_same",
    "recordings_can_be_sent",
    "what_was_written_is_read",
]


def _scene(case: Case) -> ReaderScene:
    scene = case.scene_of()
    assert isinstance(scene, ReaderScene), f"the scene of {case} must be a {ReaderScene.__name__}"
    return scene


def _read(case: Case, scene: ReaderScene, path: Path | None = None) -> Mapping[str, Any]:
    reader = case.build(scene if path is None else replace(scene, facts=ReaderFacts(path)))
    return scene.view(reader.read())


@check("reader")
def read_twice_it_is_the_same(case: Case) -> None:
    """What it reads is something, and the same every time."""
    scene = _scene(case)
    reader = case.build(scene)
    first = scene.view(reader.read())
    assert first, "nothing is read"
    expect_same(first, scene.view(reader.read()), "read twice, the recording is another one")


@check("reader", one_setting="options say what of a file is read, and the scene knows it for the case only")
def what_was_written_is_read(case: Case) -> None:
    """What it reads is what stands in the file."""
    scene = _scene(case)
    if scene.expected is not None:
        expect_same(scene.expected, _read(case, scene), "what is read is not what was written")


@check("reader")
def file_is_left_alone(case: Case) -> None:
    """Reading changes nothing on disk."""
    scene = _scene(case)
    before = _contents(scene.facts.path)
    _read(case, scene)
    assert before == _contents(scene.facts.path), "reading changes the file, or writes beside it"


def _contents(path: Path) -> dict[str, str]:
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.parent.rglob("*"))
        if file.is_file()
    }


@check("reader")
def missing_files_are_refused(case: Case) -> None:
    """A file that is not there is the user's mistake, told with its path."""
    scene = _scene(case)
    path = scene.facts.path.with_name("not_there" + scene.facts.path.suffix)
    try:
        _read(case, scene, path)
    except UserError as error:
        assert path.name in str(error), f"the error does not name the path: {error}"
    except Exception as error:
        raise AssertionError(
            f"a file that is not there raises {type(error).__name__}: raise a DataError that names the path"
        ) from error
    else:
        raise AssertionError("a file that is not there is read")


@check("reader")
def damaged_files_are_refused(case: Case) -> None:
    """A file that was cut short is the user's mistake, told with its path, and never half a recording."""
    scene = _scene(case)
    expected = _read(case, scene)
    for path, what in _damaged(scene.facts.path):
        try:
            found = _read(case, scene, path)
        except UserError as error:
            assert path.name in str(error), f"{what}: the error does not name the path: {error}"
        except Exception as error:
            raise AssertionError(
                f"{what}: it raises {type(error).__name__}: raise a DataError with the path"
            ) from error
        else:
            text = difference(expected, found)
            assert text is None, f"{what}: it is read without a word, as something else: {text}"


def _damaged(path: Path) -> Iterator[tuple[Path, str]]:
    """Copies of a file or folder in which one file was cut short."""
    parts = (
        [file.relative_to(path) for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [Path()]
    )
    for part in parts:
        for share in (0.0, 0.5, 0.9):
            copy = fresh_folder() / path.name
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, copy)
            content = (copy / part).read_bytes()
            (copy / part).write_bytes(content[: int(share * len(content))])
            yield copy, f"{part if path.is_dir() else path.name} cut to {share:.0%}"


@check("reader")
def recordings_can_be_sent(case: Case) -> None:
    """What it reads survives pickling: sources are sent to other processes with it."""
    scene = _scene(case)
    recording = case.build(scene).read()
    try:
        copy = pickle.loads(pickle.dumps(recording))  # noqa: S301 - our own, a moment ago
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise AssertionError(f"what it reads cannot be sent to another process: {error}") from error
    expect_same(scene.view(recording), scene.view(copy), "sent to another process, the recording is another one")
