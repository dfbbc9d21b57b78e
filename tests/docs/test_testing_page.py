"""docs/testing-plugins.md: its tests run as they stand there, and its table of laws is that of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from testing_page import PAGE, generated, laws

from visioncore_engine.testing import FakeDistribution

WRITTEN = re.compile(r"^<!-- write: (\S+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SLOW = ("test_processes.py",)  # its processes import torch anew; tests/testing has the same


def test_the_table_of_laws_is_that_of_the_code():
    assert generated("laws", laws()), "stale: run this test with VISIONCORE_WRITE_TABLES=1, and look at the difference"


def test_every_test_of_the_page_passes(tmp_path):
    files = dict(WRITTEN.findall(PAGE.read_text(encoding="utf-8")))
    modules = {name.removesuffix(".py"): text for name, text in files.items() if name.startswith("my_lab")}
    lab = FakeDistribution(tmp_path / "site", "my-lab", modules=modules, entry_points={"my_lab": "my_lab"})
    tests = {name: text for name, text in files.items() if name not in SLOW and name.startswith("test_")}
    assert len(tests) == 7
    home = tmp_path / "home"
    home.mkdir()
    beside = {name: text for name, text in files.items() if name.startswith("lab_")}
    for name, text in (tests | beside).items():
        (home / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not import and not light"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(lab.folder), "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^conformance: 2 components, \d+ checks$", done.stdout, re.MULTILINE)
