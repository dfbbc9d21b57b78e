"""Laws of loggers: rows arrive as they were logged, once each, whatever breaks off; secrets never do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave
from pytorch_lightning.loggers import Logger

from visioncore_engine.contracts import LoggerFacts
from visioncore_engine.testing.case import Case
from visioncore_engine.testing.checking import check
from visioncore_engine.testing.folder import fresh_folder
from visioncore_engine.testing.observed import difference
from visioncore_engine.testing.scenes.logger import ROWS, SECRET, LoggerScene, contents, log, texts

__all__ = [
    "closing_twice_is_survived",
    "hyperparameters_are_survived",
    "pictures_arrive",
    "resume_doubles_no_row",
    "resume_id_is_text",
    "rows_are_on_disk_at_once",
    "rows_arrive",
    "secrets_stay_hidden",
    "values_that_are_not_finite_are_survived",
]


@check("logger")
def rows_arrive(case: Case) -> None:
    """Every row changes what is on disk, and every name and value of a text file that it writes stands there."""
    scene = _scene(case)
    built: Logger = case.build(scene)
    for row in ROWS:
        before = _size(scene.facts.run_dir)
        log(built, [row])
        if getattr(built, "writes_at_once", False):
            assert _size(scene.facts.run_dir) > before, f"the row {row} left no trace in the run folder"
    built.finalize("success")
    missing = _missing(scene.facts.run_dir, [key for _, values in ROWS for key in values])
    assert not missing, f"no file holds the values {', '.join(missing)}"
    for name, text in texts(scene.facts.run_dir).items():
        for step, values in ROWS:
            for key, value in values.items():
                assert key in text, f"{name} lacks the value {key!r}"
                assert value != value or abs(value) == float("inf") or str(value) in text, (  # noqa: PLR0124 - NaN
                    f"{name} lacks the value {value} of step {step}"
                )


@check("logger")
def pictures_arrive(case: Case) -> None:
    """Where it takes pictures, each of those of one step is in a file under its name."""
    scene, folder = _scene(case), fresh_folder()
    built: Any = case.build(scene)
    if not hasattr(built, "log_pictures"):
        return
    pictures = {f"pictures/{name}": folder / f"{name}.png" for name in ("kernels", "masks")}
    for number, path in enumerate(pictures.values(), start=2):
        imsave(path, np.eye(number))
    built.log_pictures(pictures, 3)
    built.finalize("success")
    missing = _missing(scene.facts.run_dir, pictures)
    assert not missing, f"no file holds the pictures {', '.join(missing)}"


@check("logger")
def values_that_are_not_finite_are_survived(case: Case) -> None:
    """NaN and infinity are logged without an error, and rows after them arrive as if they had been finite."""
    scene, finite = _scene(case), _scene(case)
    built, other = case.build(scene), case.build(finite)
    log(built, ROWS)
    log(other, [(step, {name: min(max(value, 0.0), 9.0) for name, value in values.items()}) for step, values in ROWS])
    for logger in (built, other):
        logger.finalize("success")
    for (name, text), wanted in zip(
        texts(scene.facts.run_dir).items(), texts(finite.facts.run_dir).values(), strict=True
    ):
        lines, expected = text.splitlines(), wanted.splitlines()
        assert len(lines) == len(expected), f"{name}: a value that is not finite costs a row"
        assert lines[-1] == expected[-1], f"{name}: the last row is {lines[-1]!r} after values that are not finite"


@check("logger")
def rows_are_on_disk_at_once(case: Case) -> None:
    """A logger that says `writes_at_once` needs no `finalize`: a killed process leaves every row."""
    scene = _scene(case)
    built: Logger = case.build(scene)
    log(built, ROWS)
    before = contents(scene.facts.run_dir)
    built.finalize("success")
    if getattr(built, "writes_at_once", False):
        found = difference(before, contents(scene.facts.run_dir))
        assert found is None, f"rows were only written at the end: {found}"


@check("logger")
def resume_doubles_no_row(case: Case) -> None:
    """Rows logged after the checkpoint that a run resumes from are dropped: no text file shows the break."""
    whole = _scene(case)
    unbroken: Logger = case.build(whole)
    log(unbroken, ROWS)
    unbroken.finalize("success")
    for kept, lost in ((3, 5), (5, 5), (5, 6), (1, 7)):
        scene = _scene(case)
        first: Logger = case.build(scene)
        log(first, ROWS[:kept])
        resume_id = getattr(first, "resume_id", None)
        log(first, ROWS[kept:lost])  # lost with the crash
        second: Logger = case.choose().build(scene.resumed(resume_id))
        log(second, ROWS[kept:])
        second.finalize("success")
        found = difference(texts(whole.facts.run_dir), texts(scene.facts.run_dir))
        assert found is None, f"{lost - kept} rows after a checkpoint are not dropped on resume: {found}"


@check("logger")
def resume_id_is_text(case: Case) -> None:
    """Its `resume_id` is a text or None, and a fresh run has no other's."""
    built: Logger = case.build()
    log(built, ROWS[:2])
    resume_id = getattr(built, "resume_id", None)
    assert resume_id is None or isinstance(resume_id, str), f"`resume_id` is a {type(resume_id).__name__}, not a text"
    built.finalize("success")


@check("logger")
def secrets_stay_hidden(case: Case) -> None:
    """No file holds a password or key of the run's configuration."""
    scene = _scene(case)
    built: Logger = case.build(scene)
    built.log_hyperparams(dict(scene.facts.config))
    log(built, ROWS)
    built.finalize("success")
    for path in scene.facts.run_dir.rglob("*"):
        hidden = not path.is_file() or SECRET.encode() not in path.read_bytes()
        assert hidden, f"{path.name} holds a secret of the configuration: leave out what is called password or key"


@check("logger")
def hyperparameters_are_survived(case: Case) -> None:
    """Hyperparameters, which Lightning may hand over, are taken or ignored without an error."""
    built: Logger = case.build()
    built.log_hyperparams({"lr": 0.1, "nested": {"a": [1, 2]}})
    built.finalize("success")


@check("logger")
def closing_twice_is_survived(case: Case) -> None:
    """Closed twice, closed after a failure, or closed without a row, it raises nothing and keeps what it wrote."""
    scene = _scene(case)
    built: Logger = case.build(scene)
    log(built, ROWS)
    built.finalize("success")
    before = contents(scene.facts.run_dir)
    built.finalize("success")
    found = difference(before, contents(scene.facts.run_dir))
    assert found is None, f"closing it again changes what it wrote: {found}"
    for status in ("failed", "success"):
        case.build().finalize(status)


def _scene(case: Case) -> LoggerScene:
    scene = case.scene_of()
    assert isinstance(scene, LoggerScene), "the scene of a logger is a LoggerScene"
    assert isinstance(scene.facts, LoggerFacts)
    return scene


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _missing(folder: Path, names: Iterable[str]) -> list[str]:
    """Names that no file of a folder holds; none where there are no files."""
    everything = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    return sorted({name for name in names if everything and name.encode() not in everything})
