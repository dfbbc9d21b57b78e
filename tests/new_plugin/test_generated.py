"""What `visioncore new-plugin` writes is listed, trains, keeps the laws of its kind, and is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from clean import CHECKOUT, Budget, Clean, build_wheel
from unreported import train

from visioncore_engine import resolve
from visioncore_engine.cli import main
from visioncore_engine.component import KINDS

SMALL = ("sampler.batches_per_epoch=2", "trainer.max_epochs=1")
RECORDINGS = ("num_sessions=2", "num_subjects=1", "num_units=6", "size=12", "duration=120")
MACHINE_SECONDS = 120


def new(kind, folder, *words):
    assert main(["new-plugin", kind, "probe", "--dir", str(folder), *words]) == 0
    return folder / f"probe-{kind}"


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "recordings"
    assert main(["data", "demo", str(folder), *(word for one in RECORDINGS for word in ("--set", one))]) == 0
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_file_trains(kind, tmp_path, request):
    """The same code as in the package, without the time that an installation takes."""
    package = new(kind, tmp_path)
    new(kind, tmp_path, "--in-repo")
    sets = [*SMALL, f"run.dir={tmp_path / 'run'}"]
    if kind == "reader":
        sets.append(f"data.root={request.getfixturevalue('recordings')}")
    resolved = resolve([package / "run.yaml"], sets=sets, plugin_files=[str(tmp_path / f"probe_{kind}.py")])
    assert train(resolved).scores
    assert f"probe_{kind}" in (tmp_path / "run" / "record.json").read_text()


@pytest.fixture(scope="session")
def clean(tmp_path_factory):
    return Clean.make(tmp_path_factory.mktemp("clean"), build_wheel(CHECKOUT))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_generate_install_test_list_and_train_offline(clean):
    """Three at once: processes that only import torch take more time than what they are there for."""
    kinds = ("sampler", "regularizer", "modulator")
    budget = Budget(len(kinds) * MACHINE_SECONDS)
    for kind in kinds:
        clean.run(["visioncore", "new-plugin", kind, "lone"], seconds=budget.left)
    folders = [f"./lone-{kind}" for kind in kinds]
    clean.run(
        ["pip", "install", "--no-deps", "--no-build-isolation", "--no-index", *folders],
        seconds=budget.left,
    )
    told = clean.run(["python", "-m", "pytest", "-q", "--import-mode=importlib", *folders], seconds=budget.left).stdout
    assert f"conformance: {len(kinds)} components, " in told
    listing = json.loads(clean.run(["visioncore", "plugins", "--json"], seconds=budget.left).stdout)
    plugins = {plugin["name"]: plugin for plugin in listing["plugins"]}
    sets = [word for one in SMALL for word in ("--set", one)]
    for kind in kinds:
        plugin = plugins[f"lone_{kind}"]
        assert (plugin["distribution"], plugin["status"], plugin["warnings"]) == (f"lone-{kind}", "loaded", [])
        clean.run(["visioncore", "train", f"lone-{kind}/run.yaml", *sets], seconds=budget.left)


@pytest.mark.slow
@pytest.mark.rest
@pytest.mark.timeout(600)
def test_the_tests_of_every_kind_pass(clean):
    for kind in KINDS:
        clean.run(["visioncore", "new-plugin", kind, "probe", "--dir", "all"], seconds=60)
    folders = [f"./all/probe-{kind}" for kind in KINDS]
    clean.run(["pip", "install", "--no-deps", "--no-build-isolation", "--no-index", *folders], seconds=300)
    told = clean.run(["python", "-m", "pytest", "-q", "--import-mode=importlib", *folders], seconds=300).stdout
    assert f"conformance: {len(KINDS)} components, " in told


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_kind_is_typed(tmp_path, request):
    folders = [str(new(kind, tmp_path) / "src") for kind in KINDS]
    for kind in KINDS:
        new(kind, tmp_path / "single", "--in-repo")
    paths = [*folders, str(CHECKOUT), str(CHECKOUT / "plugins")]
    packages = [f"{folder}/probe_{kind}" for folder, kind in zip(folders, KINDS, strict=True)]
    cache = request.config.cache.mkdir("mypy")
    options = ["--strict", "--explicit-package-bases", "--config-file", "", "--cache-dir", cache]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *packages, tmp_path / "single"],
        env={**os.environ, "MYPYPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
