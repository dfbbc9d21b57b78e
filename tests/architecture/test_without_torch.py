"""Where no torch is installed, plugins are listed and shown, run files checked, and the schema made."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

# What the engine needs to answer without torch; a package more here is a package more to load on every call.
TORCH_FREE = ("importlib-metadata", "pluggy", "pydantic", "pyyaml")
HEAVY = ("torch", "pytorch_lightning", "numpy", "h5py", "matplotlib", "rich", "wandb")
VISIONCORE = "import sys; from visioncore_engine.cli import main; sys.exit(main())"


def with_dependencies(names: tuple[str, ...]) -> set[str]:
    """Names of distributions and of all that they need."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop().lower()
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    return found


@pytest.fixture(scope="module")
def bare(root, needs_plugins, tmp_path_factory):
    """A folder with the engine as it installs, and links to its torch-free dependencies."""
    folder = tmp_path_factory.mktemp("bare")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(folder), str(root)], check=True)
    for name in with_dependencies(TORCH_FREE):
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(installed.locate_file(top))))
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with nothing but its standard library and the folder (-S leaves site-packages out)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_heavy_is_there(bare):
    code = f"import importlib.util; print([name for name in {HEAVY} if importlib.util.find_spec(name)])"
    assert run(bare, "-c", code).stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["plugins"],
        ["plugins", "--json"],
        ["show", "sampler", "shuffled"],
        ["show", "model", "encoder"],
        ["schema"],
        ["check", "configs/demo.yaml"],
        ["explain", "optimizer.lr", "configs/demo.yaml"],
        ["train", "--help"],
        ["data", "--help"],
    ],
    ids=" ".join,
)
def test_the_command_answers(bare, root, arguments):
    words = [str(root / word) if word.startswith("configs/") else word for word in arguments]
    done = run(bare, "-c", VISIONCORE, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "broken" not in done.stdout


def test_a_mistake_is_told_there_too(bare, root):
    done = run(bare, "-c", VISIONCORE, "check", str(root / "configs" / "demo.yaml"), "--set", "optimizer.lr=fast")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "optimizer.lr" in done.stderr
