"""What a training on a CPU asks of the C library."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

COUNT = """
import resource, sys, torch
from visioncore_engine.devices import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    torch.ones(16 * 2**20)  # 64 MB, freed at once

step()
step()
before = faults()
for _ in range(4):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_memory_that_a_step_frees_is_not_faulted_in_again():
    def run(mode):
        return int(subprocess.run([sys.executable, "-c", COUNT, mode], capture_output=True, check=True).stdout)

    given_back, kept = run("give back"), run("keep")
    assert given_back > 100
    assert kept < given_back / 2
