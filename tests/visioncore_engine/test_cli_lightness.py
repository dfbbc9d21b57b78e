"""What needs no torch imports none: proved in fresh interpreters in which the heavy libraries cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "pytorch_lightning", "lightning_fabric", "numpy", "h5py", "rich", "matplotlib", "wandb")

SCRIPT = f"""
import sys

class Poison:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ImportError(f"{{name}} must not be imported")

sys.meta_path.insert(0, Poison())
from visioncore_engine.cli import main
code = main(sys.argv[1:])
loaded = sorted(set(sys.modules) & set({HEAVY!r}))
sys.exit(f"loaded: {{loaded}}" if loaded else code)
"""

COMMANDS = {
    "help": ["--help"],
    "plugins": ["plugins"],
    "plugins-json": ["plugins", "--json"],
    "show": ["show", "model", "cli_model"],
    "show-json": ["show", "model", "cli_model", "--json"],
    "show-kind": ["show", "sampler"],
    "lock": ["plugins", "--write-lock", "x.lock", "--used-by", "run.yaml"],
    "allow": ["check", "run.yaml", "--allow", "cli-lab"],
    "check": ["check", "run.yaml"],
    "explain": ["explain", "optimizer.lr", "run.yaml"],
    "schema": ["schema"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_no_heavy_library_is_imported(lab, site, tmp_path, arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site.folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_a_mistake_is_told_without_heavy_libraries_too(lab, site, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(site.folder)}
    command = [sys.executable, "-c", SCRIPT, "check", "run.yaml", "--set", "seed=x"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("config error: --set: seed: expected an integer")


def test_declaring_a_plugin_needs_not_even_pydantic():
    script = "import sys, visioncore_engine as v; v.Component, v.hookimpl; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
