"""What a plugin's modules do in a Python process of their own, asked once for each plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache

from visioncore_engine.registry import Registry
from visioncore_engine.testing.case import Case

__all__ = ["importing"]

_PROGRAM = """
import importlib, importlib.util, json, sys

class Poison:
    heavy = ()
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.heavy:
            raise ImportError(f"it imports {name.partition('.')[0]}")

sys.meta_path.insert(0, Poison())
home, source, rounds = json.loads(sys.stdin.read())

def load(name):
    if name == home and importlib.util.find_spec(name) is None:
        spec = importlib.util.spec_from_file_location(name, source)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return importlib.import_module(name)

failed = {}
for heavy, addresses in rounds:
    Poison.heavy = heavy
    for address in addresses:
        name, _, attribute = address.partition(":")
        try:
            module = load(name or home)
            if attribute:
                getattr(module, attribute)
        except Exception as error:
            failed[address] = f"{type(error).__name__}: {error}"
print("failed: " + json.dumps(failed))
"""
_DECLARATION = ("torch", "numpy", "pydantic", "pytorch_lightning")
_OPTIONS = ("torch", "numpy", "pytorch_lightning")
_TORCH = ("torch", "pytorch_lightning")


def importing(case: Case) -> Mapping[str, str]:
    """What went wrong when the addresses of a component's plugin were imported in a fresh process, by address.

    The declaration may import neither torch nor numpy nor pydantic, options neither torch nor numpy, launchers no
    torch, and what builds anything.
    """
    return _importing(case.plugins, case.entry.plugin.name, case.entry.home, case.entry.plugin.source)


@cache
def _importing(registry: Registry, plugin: str, home: str, source: str) -> Mapping[str, str]:
    entries = [entry for entry in registry.entries if entry.plugin.name == plugin and entry.home == home]
    options = [entry.component.options for entry in entries if entry.component.options]
    light = [entry.component.build for entry in entries if entry.kind == "launcher"]
    heavy = [entry.component.build for entry in entries if entry.kind != "launcher"]
    rounds = [(_DECLARATION, [f"{home}:"]), (_OPTIONS, options), (_TORCH, light), ((), heavy)]
    done = subprocess.run(  # noqa: S603 - this Python, and a program of ours
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps([home, source, rounds]),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("failed: ")]
    if not lines:
        return dict.fromkeys((f"{home}:", *options, *light, *heavy), done.stderr[-2000:] or "the process died")
    failed: dict[str, str] = json.loads(lines[-1].removeprefix("failed: "))
    return failed
