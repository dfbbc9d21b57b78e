"""What code trained a run is in its record and checkpoints; a run goes on with other code only where it may."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from visioncore_engine import __version__, discover, resolve, train
from visioncore_engine.checkpoint import read_checkpoint
from visioncore_engine.cli import main
from visioncore_engine.component import KINDS
from visioncore_engine.errors import PluginError
from visioncore_engine.record import _code
from visioncore_engine.resume import check_plugins

HOOKS = ("datasets", "samplers", "models", "losses", "metrics", "optimizers", "loggers")
MODULE = f"from toy_plugin import {', '.join(f'visioncore_{hook}' for hook in HOOKS)}\n"
RUN = """
seed: 5
data: {name: toy, num_groups: 1}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 2}
model: toy_linear
loss: toy_squared
metrics: [toy_error]
optimizer: {name: toy_adamw, lr: 0.01}
loggers: [toy_memory]
checkpoint: {monitor: val/toy_error}
trainer: {max_epochs: 1, accelerator: cpu}
run: {dir: here}
"""
LAST = "here/checkpoints/last.ckpt"


@pytest.fixture
def release(site):
    """Install a release of `train-lab`, in place of an older one."""

    def release(version, text=MODULE):
        for old in site.folder.glob("train_lab-*.dist-info"):
            shutil.rmtree(old)
        sys.modules.pop("train_lab", None)
        site("train-lab", version, {"train_lab": "train_lab"}, train_lab=text)

    return release


@pytest.fixture
def trained(release, write):
    """A run of one epoch, trained with release 1.0."""
    release("1.0")
    train(resolve(write(run=RUN)), quiet=True)
    return "run.yaml"


def longer(run, *sets):
    return train(resolve(run, ["trainer.max_epochs=2", *sets]), resume=True, quiet=True)


def test_record_and_checkpoint_say_whose_code_it_was(trained):
    for record in (json.loads(Path("here/record.json").read_text()), read_checkpoint(LAST)["visioncore"]["record"]):
        assert record["engine"]["distribution"] == "visioncore-engine"
        assert record["engine"]["version"] == __version__
        assert record["engine"]["hash"].startswith("sha256:")
        assert record["contracts"] == {kind.name: kind.version for kind in KINDS.values()}
        rows = {row["name"]: row for row in record["plugins"]}
        lab = rows["train_lab"]
        assert (lab["distribution"], lab["version"], lab["used"], lab["editable"]) == ("train-lab", "1.0", True, False)
        assert lab["hash"].startswith("sha256:")
        assert all(row["hash"] is None for row in rows.values() if not row["used"])  # their files are not read
        for part in record["components"]:
            assert (part["distribution"], part["distribution_version"]) == ("train-lab", "1.0")
            assert part["contract_version"] == 1
            assert all(part["sources"].values())


def test_the_working_tree_of_an_editable_plugin_is_recorded(site, installed):
    editable = '{"url": "file:///x", "dir_info": {"editable": true}}'
    site("tree-lab", "0.1", {"tree_lab": "tree_lab"}, editable, tree_lab=MODULE)

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *arguments], cwd=site.folder, check=True, capture_output=True)

    git("init")
    git("add", "tree_lab.py")
    git("commit", "-m", "one")
    (plugin,) = discover(entry_points=installed()).plugins
    clean = _code(plugin)
    assert clean["git"]["changed"] == []
    assert len(clean["git"]["commit"]) == 40
    (site.folder / "tree_lab.py").write_text(MODULE + "# edited\n")
    dirty = _code(plugin)
    assert dirty["git"]["changed"] == ["tree_lab.py"]
    assert dirty["hash"] != clean["hash"]


def test_another_version_is_refused_on_resume_with_both(trained, release):
    release("2.0")
    with pytest.raises(PluginError) as refused:
        longer(trained)
    assert str(refused.value) == (
        f"plugin error: {LAST}: the checkpoint was written with train-lab==1.0, and this is train-lab==2.0 (plugin "
        "'train_lab'); install train-lab==1.0, or accept it: --set policies.plugin_changes=warn"
    )
    assert read_checkpoint(LAST)["global_step"] == 2


def test_a_policy_allows_it(trained, release, capsys):
    release("2.0")
    longer(trained, "policies.plugin_changes=warn")
    told = f"warning: {LAST}: the checkpoint was written with train-lab==1.0, and this is train-lab==2.0"
    assert capsys.readouterr().err.count(told) == 1
    saved = read_checkpoint(LAST)
    assert saved["global_step"] == 4
    assert {row["version"] for row in saved["visioncore"]["record"]["plugins"] if row["used"]} == {"2.0"}
    longer(trained, "trainer.max_epochs=3")  # the same release again: nothing to allow, and what was stays recorded
    for record in (json.loads(Path("here/record.json").read_text()), read_checkpoint(LAST)["visioncore"]["record"]):
        assert len(record["warnings"]) == 1
        assert "train-lab==1.0, and this is train-lab==2.0" in record["warnings"][0]
    assert "this is train-lab==2.0" in Path("here/report.html").read_text()


def test_ignoring_says_nothing(trained, release, capsys):
    release("2.0")
    longer(trained, "policies.plugin_changes=ignore")
    assert "train-lab" not in capsys.readouterr().err
    assert read_checkpoint(LAST)["global_step"] == 4


def test_other_code_of_the_same_version_counts_too(trained, release):
    release("1.0", MODULE + "\n# another line\n")
    with pytest.raises(PluginError, match=r"the code of plugin 'train_lab' \(train-lab==1\.0\) is another one"):
        longer(trained)
    release("1.0")
    longer(trained)


def test_a_checkpoint_tells_what_it_holds_when_its_plugin_is_gone(trained, release, site, capsys):
    shutil.rmtree(site.folder / "train_lab-1.0.dist-info")
    sys.modules.pop("train_lab", None)
    assert main(["checkpoint", "inspect", LAST]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "train_lab train-lab 1.0" in told
    assert "sampler train_lab:toy_random" in told
    assert main(["checkpoint", "inspect", LAST, "--json"]) == 0
    (plugin,) = json.loads(capsys.readouterr().out)["plugins"]
    assert plugin["version"] == "1.0"
    assert plugin["hash"].startswith("sha256:")


# ---------------------------------------------------------------------------------------------------------------
# The comparison alone


def row(name="lab", version="1.0", code="sha256:a", used=True):
    return {
        "name": name,
        "distribution": f"{name}-x" if version else "",
        "version": version,
        "hash": code,
        "used": used,
    }


def part(key="sampler", name="random", plugin="lab"):
    return {"key": key, "kind": "sampler", "name": name, "plugin": plugin}


def said(good_run, then, now, parts=((), ())):
    """What is refused, each without its place and remedy."""
    saved, here = ({"plugins": rows, "components": list(found)} for rows, found in zip((then, now), parts, strict=True))
    try:
        assert check_plugins(good_run, saved, here, "x") == ""
    except PluginError as error:
        return [problem.what for problem in error.problems]
    return []


@pytest.fixture
def good_run(write, good, registry):
    return resolve(write(run=good), registry=registry)


def test_what_is_compared(good_run):
    assert said(good_run, [row()], [row()]) == []
    assert said(good_run, [row()], [row(version="2.0", used=False)]) == []  # not used now
    assert said(good_run, [row(version="0.9", used=False)], [row()]) == []  # not used then
    assert said(good_run, [row(code=None)], [row()]) == []  # a checkpoint of before hashes were kept
    assert said(good_run, [], [row()]) == []
    (told,) = said(good_run, [row(version="", code="a")], [row(version="", code="b")])
    assert "the code of plugin 'lab' (the file of plugin 'lab') is another one" in told
    (told,) = said(good_run, [row(), row("other")], [row(), row("other", version="1.1")])
    assert "other-x==1.0, and this is other-x==1.1" in told
    (told,) = said(good_run, [], [], ([part()], [part(plugin="fork")]))
    assert told == "sampler 'random' was that of plugin 'lab', and is that of 'fork' now"
    assert said(good_run, [], [], ([part()], [part(name="other", plugin="fork")])) == []  # told as another component


def test_one_distribution_that_holds_several_plugins_is_told_once(good_run):
    def rows(version):
        return [{**row(name, version), "distribution": "both-x"} for name in ("one", "two")]

    assert len(said(good_run, rows("1.0"), rows("2.0"))) == 1
