"""An environment as a reader has it: the engine from its wheel, the packages it needs, and nothing of this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from visioncore_engine.testing.folder import fresh_folder

__all__ = ["CHECKOUT", "Budget", "Clean", "build_wheel"]

CHECKOUT = Path(__file__).resolve().parents[2]
QUIET = ("--quiet", "--disable-pip-version-check")
# `pip install -e FOLDER` would fetch the build backend and what the package needs: here, both are there.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
PIP = """#!{python}
import sys
from pip._internal.cli.main import main

sys.exit(main())
"""


@cache
def build_wheel(project: Path) -> Path:
    """Build the wheel of a project, once in a process."""
    folder = fresh_folder() / "wheel"
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-index", "--no-deps", *QUIET]
    subprocess.run([*command, "--wheel-dir", str(folder), str(project)], check=True)
    (wheel,) = folder.iterdir()
    return wheel


@dataclass(frozen=True)
class Clean:
    """A virtual environment, and the folder in which its owner works.

    The packages that the engine needs are those of this environment, seen through a line of a ``.pth`` file: what is
    installed here in editable mode is not (such a line is not followed twice).
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path, wheel: Path) -> Clean:
        """Make the environment, with the engine from its wheel."""
        clean = cls(folder)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
        clean.home.mkdir()
        names = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
        own = Path(sysconfig.get_path("purelib", vars=names))
        (own / "tools.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        pip = clean.bin / "pip"
        pip.write_text(PIP.format(python=clean.bin / "python"), encoding="utf-8")
        pip.chmod(0o755)
        clean.run(["pip", "install", "--ignore-installed", "--no-compile", *QUIET, str(wheel)], seconds=120)
        return clean

    @property
    def bin(self) -> Path:
        """Folder of the commands."""
        return self.folder / "venv" / "bin"

    @property
    def home(self) -> Path:
        """Folder in which commands are typed."""
        return self.folder / "home"

    def run(
        self, words: list[str], *, seconds: float, expected: int = 0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Type a command, which must end as expected within some seconds."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))}
        environment = {
            **inherited,
            **OFFLINE,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder / "venv"),
            "OMP_NUM_THREADS": "1",
        }
        program = str(self.bin / words[0]) if (self.bin / words[0]).exists() else words[0]
        done = subprocess.run(
            [program, *words[1:]],
            cwd=cwd or self.home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=max(1.0, seconds),
        )
        assert done.returncode == expected, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
        return done


class Budget:
    """Seconds that a number of commands may take together."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """What is left of them."""
        return self._end - time.monotonic()
