"""The wheels hold what they should, and a package that a stranger installs is a plugin like any other."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "plugins" / "example-lab"
COMPONENTS = {
    ("sampler", "bootstrap"),
    ("regularizer", "orthogonal"),
    ("modulator", "scalar_gain"),
    ("scheduler", "trapezoid"),
    ("callback", "scoreboard"),
}


def contents(wheel: Path) -> tuple[set[str], dict[str, dict[str, str]]]:
    """Files of a wheel without its metadata, and its entry points by group."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        points = ConfigParser()
        points.read_string(archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode())
    return {name for name in names if ".dist-info/" not in name}, {
        group: dict(points[group]) for group in points.sections()
    }


def sources(root: Path, *packages: str) -> set[str]:
    """Files of packages in the checkout, relative to `root`, that git would keep."""
    found = (path for package in packages for path in (root / package).rglob("*"))
    return {
        path.relative_to(root).as_posix()
        for path in found
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def test_the_engines_wheel_holds_the_engine_and_the_built_in_plugins_only(installed):
    files, points = contents(installed.engine)
    plugins = sources(CHECKOUT / "plugins", "visioncore_common", "visioncore_neural")
    assert files == sources(CHECKOUT, "visioncore_engine") | plugins
    assert points == {
        "console_scripts": {"visioncore": "visioncore_engine.cli:main"},
        "pytest11": {"visioncore_engine": "visioncore_engine.testing.plugin"},
        "visioncore_engine": {name: name for name in ("visioncore_common", "visioncore_neural")},
    }


def test_the_examples_wheel_holds_its_package_only(installed):
    files, points = contents(installed.example)
    assert files == sources(EXAMPLE / "src", "example_lab")
    assert points == {"visioncore_engine": {"example_lab": "example_lab"}}


def test_it_is_not_importable_where_it_is_not_installed(tmp_path):
    if any(d.name == "example-lab" for d in importlib.metadata.distributions()):
        pytest.skip("example-lab is installed in this environment")
    done = subprocess.run(
        [sys.executable, "-c", "import example_lab"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "No module named 'example_lab'" in done.stderr


def test_its_own_tests_pass_against_the_installed_package(installed):
    done = installed.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLE), str(EXAMPLE / "tests")
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_installed_it_is_listed_like_a_built_in(installed):
    done = installed.visioncore("plugins", "--json")
    assert done.returncode == 0, done.stderr
    listing = json.loads(done.stdout)
    (plugin,) = [plugin for plugin in listing["plugins"] if plugin["name"] == "example_lab"]
    assert (plugin["distribution"], plugin["version"], plugin["status"]) == ("example-lab", "1.0.0", "loaded")
    offered = {(entry["kind"], entry["name"]) for entry in listing["components"] if entry["plugin"] == "example_lab"}
    assert offered == COMPONENTS


@pytest.mark.parametrize(("kind", "name"), sorted(COMPONENTS))
def test_each_component_is_shown(installed, kind, name):
    done = installed.visioncore("show", kind, name)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    assert "example_lab" in done.stdout


def test_a_run_file_names_all_five(installed):
    done = installed.visioncore("check", str(CHECKOUT / "configs" / "example_lab.yaml"))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_run_trains_with_all_five_by_name(installed):
    run_dir = installed.home / "run"
    small = {
        "data.duration": 120,
        "data.num_units": 4,
        "sampler.batches_per_epoch": 4,
        "scheduler.warmup_steps": 2,
        "trainer.max_epochs": 2,
        "trainer.check_val_every_n_epoch": 1,
        "run.dir": run_dir,
    }
    sets = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    done = installed.visioncore("train", str(CHECKOUT / "configs" / "example_lab.yaml"), *sets)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(",")[0] for line in (run_dir / "scoreboard.csv").read_text().splitlines()] == ["step", "4", "8"]
    run = yaml.safe_load((run_dir / "run.yaml").read_text())
    assert (run["sampler"]["name"], run["scheduler"]["name"]) == ("bootstrap", "trapezoid")
    assert "example-lab" in (run_dir / "record.json").read_text()
