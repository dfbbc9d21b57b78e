"""Every module imports by itself, and whatever listing, checking and recording need imports without torch."""

from __future__ import annotations

import json
import tomllib

import pytest

# The heavy packages are imported once; each module then gets a forked interpreter that knows nothing of ours.
ALONE = """
import gc, importlib, json, os, sys, traceback
import h5py, matplotlib.figure, numpy, pydantic, pytorch_lightning, rich.console, torch
gc.disable()  # a collection in a child would copy every page of what they share
failed = {}
for name in json.loads(sys.argv[1]):
    assert name not in sys.modules
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if text:
        failed[name] = text
print(json.dumps(failed))
"""

POISON = """
import importlib, json, sys

class Poison:
    heavy = {"torch", "pytorch_lightning", "lightning", "numpy", "h5py", "matplotlib", "rich", "wandb", "tensorboard"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.heavy:
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Poison())
"""

BELOW_THE_LINE = """
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
"""

DISCOVER = """
from visioncore_engine import discover
from visioncore_engine.component import KINDS, resolve_address
registry = discover()
found = {"plugins": {}, "options": 0, "commands": 0}
for plugin in registry.plugins:
    found["plugins"][plugin.name] = [plugin.status, plugin.error, *plugin.warnings]
for entry in registry.entries:
    resolve_address(entry.component.options or KINDS[entry.kind].options, entry.home)
    found["options"] += 1
for command in registry.commands():
    command.load()
    found["commands"] += 1
found["heavy"] = sorted(Poison.heavy & set(sys.modules))
print(json.dumps(found))
"""


def test_every_module_imports_alone(modules, packages, python):
    sources = {folder.parent for folder in packages.values()}
    done = python(ALONE, json.dumps(sorted(modules)), path=tuple(sorted(sources)))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}


def test_below_the_torch_line_nothing_heavy_is_imported(modules, root, python):
    """Torch, numpy and what draws or stores raise when imported: not one module of these needs them."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["id"] == "torch-free-engine"]
    # The command line imports what needs torch inside its functions, which a contract cannot tell from the top.
    layers = [name.split(".")[1] for name in contract["source_modules"]] + ["cli"]
    names = [name for name in modules if name.startswith("visioncore_engine.") and name.split(".")[1] in layers]
    done = python(POISON + BELOW_THE_LINE, json.dumps(["visioncore_engine", *sorted(names)]))
    assert done.returncode == 0, done.stderr


def test_installed_plugins_are_listed_and_their_options_read_without_anything_heavy(packages, python):
    sources = tuple({folder.parent for folder in packages.values()})
    done = python(POISON + DISCOVER, path=sources)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert {name: state for name, state in found["plugins"].items() if state != ["loaded", ""]} == {}


@pytest.mark.parametrize("module", ["visioncore_engine", "visioncore_engine.component", "visioncore_engine.hookspecs"])
def test_a_declaration_pays_for_neither_pydantic_nor_yaml(python, module):
    code = f"import sys, {module}; print(sorted({{'pydantic', 'yaml', 'torch', 'numpy'}} & set(sys.modules)))"
    done = python(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
