"""Both distributions as wheels, installed together into a folder outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from clean import CHECKOUT, build_wheel

EXAMPLE = CHECKOUT / "plugins" / "example-lab"
# The command as the entry point of the wheel calls it.
VISIONCORE = "import sys; from visioncore_engine.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Installed:
    """Wheels that were built, and a folder in which they are installed."""

    engine: Path
    example: Path
    site: Path
    home: Path

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python outside the checkout (or in `cwd`), with the installed wheels before anything else."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or self.home,
            env={**os.environ, "PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def visioncore(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.run("-c", VISIONCORE, *arguments)


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-deps", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    engine, example = build_wheel(CHECKOUT), build_wheel(EXAMPLE)
    site = tmp_path_factory.mktemp("site")
    pip("install", "--no-compile", "--no-index", "--target", str(site), str(engine), str(example))
    return Installed(engine, example, site, tmp_path_factory.mktemp("home"))
