"""A mistake in a run file or an installed package is named with its place before anything begins."""

from __future__ import annotations

import sys

import pytest
from engine_road import RUN

LR, BATCH = "lr: 0.01", "batch_size: 24"
MISTAKES = {
    "C01": (RUN + "seed: 6\n", "duplicate key"),
    "C03": (RUN.replace(LR, "lr: fast"), "optimizer.lr"),
    "C04": (RUN.replace(LR, "lr: .nan"), "optimizer.lr"),
    "C05": (RUN.replace(LR, "lr: -1"), "optimizer.lr"),
    "C06": (RUN.replace(LR, "lr: true"), "optimizer.lr"),
    "C08": (RUN.replace("seed: 5", "seed: 010"), "octal-looking"),
    "C12": (RUN.replace(BATCH, "batch_sze: 24"), "did you mean 'batch_size'?"),
    "C13": (RUN.replace("metrics: [toy_error]", "").replace("loss: {name: toy_faulty, weighting: places}", ""), "loss"),
    "C15": ("- seed\n- data\n", "must be a mapping"),
    "C16": (RUN + "---\nseed: 1\n", "second document"),
    "C17": (RUN.replace("seed: 5", "\tseed: 5"), "tab"),
    "C19": (RUN.replace("seed: 5", "seed: !!python/object/apply:os.system ['touch executed']"), "tag"),
    "C24": (RUN.replace("model: {name: toy_linear", "model: {_target_: os.system, name: toy_linear"), "_target_"),
    "C25": (RUN.replace("name: toy_linear", "name: toy_lineer"), "did you mean 'toy_linear'?"),
}


def test_f37_fourteen_run_files_with_a_mistake_are_refused_one_by_one(road):
    said = set()
    for case, (text, expected) in MISTAKES.items():
        assert text != RUN, case
        (road.home / "run.yaml").write_text(text)
        ended = road.train(case)
        assert ended.code == 2, f"{case}: {ended}"
        assert expected in ended.err, f"{case}: {ended}"
        assert "run.yaml" in ended.err, f"{case}: {ended}"
        assert "Traceback" not in ended.err, f"{case}: {ended}"
        assert not (road.home / case).exists(), case
        said.add(ended.err)
    assert len(said) == len(MISTAKES) == 14
    assert not (road.home / "executed").exists()


def test_c02_a_rate_in_scientific_notation_is_a_number(road):
    (road.home / "run.yaml").write_text(RUN.replace(LR, "lr: 1e-3"))
    assert road.train().code == 0
    assert "lr: 0.001" in (road.home / "run" / "run.yaml").read_text()


STOLEN = """
from visioncore_engine import Component, hookimpl

@hookimpl
def visioncore_samplers():
    yield Component(name="toy_once", summary="stolen", build="os:system")
"""
PACKAGES = {
    "import-lab": "import no_such_module",
    "exit-lab": "import sys; sys.exit(0)",
    "typo-lab": "from visioncore_engine import hookimpl\n@hookimpl\ndef visioncore_smaplers(): yield",
    "thief-lab": STOLEN,
}


@pytest.fixture
def installed(road):
    """A folder of packages: each is a plugin of ours, and adds callbacks to any Trainer of Lightning's."""
    site = road.home / "site"
    for name, text in PACKAGES.items():
        module = name.replace("-", "_")
        folder = site / f"{module}-1.5.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        group = "pytorch_lightning.callbacks_factory" if road.stock else "visioncore_engine"
        (folder / "entry_points.txt").write_text(f"[{group}]\n{module} = {module}\n")
        (site / f"{module}.py").write_text(text)
    return lambda: sys.path.insert(0, str(site))


def test_f38_packages_that_fail_exit_misspell_or_steal_are_named(road, installed):
    ended = road.train(before=installed)
    assert ended.code == 2, ended
    assert "thief_lab:toy_once" in ended.err
    assert "thief-lab==1.5" in ended.err
    listed = road.command("plugins", before=installed)
    assert listed.code == 0, listed
    for name, reason in {
        "import-lab": "No module named 'no_such_module'",
        "exit-lab": "it tried to end the process (sys.exit(0))",
        "typo-lab": "visioncore_samplers",
        "thief-lab": "toy_once",
    }.items():
        assert name in listed.out, listed
        assert " ".join(reason.split()) in " ".join(listed.out.split()), listed
    ended = road.train("run", "sampler.name=fault_plugin:toy_once", before=installed)
    assert ended.code == 0, ended
