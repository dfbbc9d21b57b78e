"""The launcher `detached` starts one process that is not its child's terminal's."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from example_lab.launcher import Detached
from example_lab.options import DetachedOptions
from visioncore_engine.errors import ConfigError, StorageError
from visioncore_engine.launch import RUN_DIR_VARIABLE, Job, LauncherFacts, Place

TELLS = "import os, sys; print(os.environ['VISIONCORE_RUN_DIR'], os.getsid(0) == os.getpid(), *sys.argv[1:])"


def build(devices: int | str = "auto", **environment: str) -> Detached:
    facts = LauncherFacts({**os.environ, **environment}, devices, lambda: 1)  # type: ignore[arg-type]
    return Detached(DetachedOptions(), facts)


def test_only_the_process_that_it_started_trains(tmp_path: Path) -> None:
    assert build().place() is None
    started = build(**{RUN_DIR_VARIABLE: str(tmp_path)})
    assert started.place() == Place()
    assert started.agree(Place(), lambda: tmp_path) == tmp_path


@pytest.mark.parametrize("resume", [False, True])
def test_the_process_has_a_session_of_its_own_and_its_output_a_file(tmp_path: Path, resume: bool) -> None:
    said = build().start(Job(tmp_path, (sys.executable, "-c", TELLS), resume))
    (number,) = set(re.findall(r"(?:process|kill) (\d+)", said))
    assert os.waitpid(int(number), 0)[1] == 0
    words = [str(tmp_path), "True", *["--resume"] * resume]
    assert (tmp_path / "output.txt").read_text().split() == words


def test_several_processes_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.devices: a detached run has one process \(got 2\)"):
        build(2)
    with pytest.raises(StorageError, match=r"output\.txt: cannot be written"):
        build().start(Job(tmp_path / "nowhere", (sys.executable,), resume=False))
