"""The tree as it stands: files, modules and a way to run Python on a copy of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    name: folder
    for name, folder in {
        "visioncore_engine": ROOT / "visioncore_engine",
        "visioncore_common": ROOT / "plugins" / "visioncore_common",
        "visioncore_neural": ROOT / "plugins" / "visioncore_neural",
        "example_lab": ROOT / "plugins" / "example-lab" / "src" / "example_lab",
    }.items()
    if folder.is_dir()  # the engine is tested alone too
}


def module_files(package: str) -> dict[str, Path]:
    """Dotted name and file of every module of a package."""
    folder = PACKAGES[package]
    names = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (package, *path.relative_to(folder).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def run_python(
    code: str, *arguments: str, path: tuple[Path, ...] = (), cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, with folders before everything else that it can import."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def packages() -> dict[str, Path]:
    return PACKAGES


@pytest.fixture(scope="session")
def modules() -> dict[str, Path]:
    return {name: path for package in PACKAGES for name, path in module_files(package).items()}


@pytest.fixture(scope="session")
def python():
    return run_python


@pytest.fixture(scope="session")
def needs_plugins(packages) -> None:
    if "visioncore_common" not in packages:
        pytest.skip("this copy of the tree has no plugins")
