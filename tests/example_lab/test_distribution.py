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
from waiting import until

from visioncore_engine.component import KINDS

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "plugins" / "example-lab"
COMPONENTS = {
    ("adapter", "area_pool"),
    ("callback", "scoreboard"),
    ("dataset", "sheets"),
    ("evaluator", "residuals"),
    ("launcher", "detached"),
    ("logger", "status"),
    ("loss", "huber"),
    ("metric", "mean_absolute_error"),
    ("model", "linear"),
    ("modulator", "scalar_gain"),
    ("optimizer", "lion"),
    ("preparation", "z_score"),
    ("reader", "csv_sheet"),
    ("readout", "factorized"),
    ("regularizer", "orthogonal"),
    ("sampler", "bootstrap"),
    ("scheduler", "trapezoid"),
    ("stage", "divisive"),
    ("transform", "contrast_jitter"),
}
RUN_FILES = [CHECKOUT / "configs" / f"{name}.yaml" for name in ("example_lab", "example_lab_sheets")]


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


@pytest.mark.parametrize(
    "only",
    [
        pytest.param(["--deselect", "tests/test_laws.py"], id="what each promises"),
        pytest.param(["tests/test_laws.py"], id="laws of the kinds", marks=pytest.mark.slow),  # fast: tests/conformance
    ],
)
def test_its_own_tests_pass_against_the_installed_package(installed, only):
    done = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", *only, cwd=EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert only[0] == "--deselect" or f"{len(COMPONENTS)} components" in done.stdout


def test_installed_it_is_listed_like_a_built_in(installed):
    done = installed.visioncore("plugins", "--json")
    assert done.returncode == 0, done.stderr
    listing = json.loads(done.stdout)
    (plugin,) = [plugin for plugin in listing["plugins"] if plugin["name"] == "example_lab"]
    assert (plugin["distribution"], plugin["version"], plugin["status"]) == ("example-lab", "1.1.0", "loaded")
    offered = {(entry["kind"], entry["name"]) for entry in listing["components"] if entry["plugin"] == "example_lab"}
    assert offered == COMPONENTS


def test_each_component_is_shown(installed):
    """In one process, which imports what it needs once."""
    code = "import sys\nfrom visioncore_engine.cli import main\nfor words in sys.argv[1:]:\n    print(f'= {words}')\n"
    code += "    assert main(['show', *words.split()]) == 0\n"
    done = installed.run("-c", code, *(f"{kind} example_lab:{name}" for kind, name in sorted(COMPONENTS)))
    assert done.returncode == 0, done.stderr
    for told, (kind, name) in zip(done.stdout.split("\n= "), sorted(COMPONENTS), strict=True):
        heading, _, text = told.removeprefix("= ").partition("\n")
        assert heading == f"{kind} example_lab:{name}"
        assert name in text
        assert "example_lab" in text


def small(run_dir: Path) -> dict[str, list[str]]:
    """What makes the run files short, by the name of the run."""
    shared = {
        "sampler.batches_per_epoch": 4,
        "trainer.max_epochs": 2,
        "trainer.check_val_every_n_epoch": 1,
        "run.dir": run_dir,
    }
    own = {
        "example_lab": {"data.duration": 120, "data.num_units": 4, "scheduler.warmup_steps": 2},
        "example_lab_sheets": {"data.folder": EXAMPLE / "sheets"},
    }
    return {
        name: [word for key, value in {**shared, **more}.items() for word in ("--set", f"{key}={value}")]
        for name, more in own.items()
    }


def test_there_is_one_of_each_kind_and_the_run_files_name_them_all(installed):
    assert sorted(kind for kind, _ in COMPONENTS) == sorted(KINDS)
    named = set()
    for path in RUN_FILES:
        done = installed.visioncore("check", str(path), *small(installed.home)[path.stem])
        assert done.returncode == 0, done.stderr
        named |= {name for _, name in COMPONENTS if f" {name} (example_lab)" in done.stdout}
    assert named == {name for _, name in COMPONENTS} - {"detached"}  # with which nobody would see the others train


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN_FILES, ids=lambda path: path.stem)
def test_a_run_trains_with_them_by_name(installed, path):
    run_dir = installed.home / path.stem
    done = installed.visioncore("train", str(path), *small(run_dir)[path.stem])
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(",")[0] for line in (run_dir / "scoreboard.csv").read_text().splitlines()] == ["step", "4", "8"]
    assert json.loads((run_dir / "status.json").read_text())["step"] == 8
    assert (run_dir / "residuals.csv").read_text().startswith("split,group,column,")
    run = yaml.safe_load((run_dir / "run.yaml").read_text())
    assert (run["sampler"]["name"], run["scheduler"]["name"]) == ("bootstrap", "trapezoid")
    assert "example-lab" in (run_dir / "record.json").read_text()


@pytest.mark.slow
def test_a_detached_run_goes_on_by_itself(installed):
    run_dir = installed.home / "detached"
    words = small(run_dir)["example_lab_sheets"]
    done = installed.visioncore("train", str(RUN_FILES[1]), *words, "--set", "launch=detached")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"which prints to {run_dir / 'output.txt'}" in done.stdout

    def output() -> str:
        return (run_dir / "output.txt").read_text()

    until("the detached run has ended", lambda: "its report in" in output(), shown=output)
    assert json.loads((run_dir / "status.json").read_text())["step"] == 8
