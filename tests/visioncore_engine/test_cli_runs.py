"""Commands about runs: `check`, `explain`, `schema`, `doctor`, and what `train`, `evaluate` and `report` hand on."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator

from visioncore_engine import resolve
from visioncore_engine.cli import main
from visioncore_engine.launch import Place


def told(capsys):
    found = capsys.readouterr()
    return found.out, found.err


def test_check_says_what_was_chosen(lab, capsys):
    assert main(["check", lab]) == 0
    out, err = told(capsys)
    assert err == ""
    assert out.startswith("run.yaml: no mistake found\n")
    assert "model.core.cli_stage  cli_stage (cli_lab)" in out


def test_check_tells_every_mistake_on_standard_error(lab, capsys):
    assert main(["check", lab, "--set", "seed=-1", "--set", "loss=none", "--set", "model.core.cli_stage.stps=1"]) == 2
    out, err = told(capsys)
    assert out == ""
    assert len(err.splitlines()) == 3
    assert "Traceback" not in err


def test_check_lays_overlays_and_sets_over_the_run(lab, capsys, tmp_path):
    (tmp_path / "over.yaml").write_text("seed: 5\nsampler: {batch_size: 6}\n")
    assert main(["check", lab, "over.yaml", "--set", "seed=9", "--print"]) == 0
    out, _ = told(capsys)
    assert "seed: 9  # --set\n" in out
    assert "batch_size: 6  # over.yaml:2\n" in out
    (tmp_path / "printed.yaml").write_text(out)
    assert resolve("printed.yaml").run == resolve([lab, "over.yaml"], ["seed=9"]).run


def test_check_blocks_and_adds_plugins(lab, capsys, tmp_path):
    assert main(["check", lab, "--block", "cli-lab"]) == 2
    assert "might provide it: blocked" in told(capsys)[1]
    text = "from visioncore_engine import Component, hookimpl\n@hookimpl\ndef visioncore_losses():\n"
    (tmp_path / "extra_lab.py").write_text(f"{text}    yield Component(name='extra', summary='s', build=':B')\n")
    assert main(["check", lab, "--plugin", "extra_lab.py", "--set", "loss=extra"]) == 0
    assert main(["check", lab, "--plugin", "none.py"]) == 2


def test_check_build_goes_on_to_build(lab, capsys, monkeypatch):
    built = []
    monkeypatch.setitem(
        sys.modules,
        "visioncore_engine.run",
        SimpleNamespace(dry_build=lambda resolved: built.append(resolved) or "12 parameters"),
    )
    assert main(["check", lab, "--build"]) == 0
    assert built[0].run.loss.name == "cli_loss"
    assert told(capsys)[0].endswith("12 parameters\n")


def test_schema_is_printed_or_written(lab, capsys, tmp_path):
    assert main(["schema"]) == 0
    printed = json.loads(told(capsys)[0])
    Draft202012Validator.check_schema(printed)
    assert "cli_sampler" in json.dumps(printed)
    assert main(["schema", "--write"]) == 0
    assert "# yaml-language-server: $schema=.visioncore/schema.json\n" in told(capsys)[0]
    assert json.loads((tmp_path / ".visioncore" / "schema.json").read_text()) == printed


def test_check_says_where_the_schema_is_stale(lab, capsys, tmp_path, site):
    assert main(["schema", "--write"]) == 0
    assert main(["check", lab]) == 0
    assert "note:" not in told(capsys)[0]
    site("other-lab", "1", {"other": "other_module"}, other_module="")
    assert main(["check", lab]) == 0
    assert "run `visioncore schema --write`" in told(capsys)[0]
    (tmp_path / ".visioncore" / "schema.json").write_text("damaged")
    assert main(["check", lab]) == 0
    assert "run `visioncore schema --write`" in told(capsys)[0]


def test_a_schema_that_cannot_be_written_is_a_failure_of_storage(lab, capsys, tmp_path):
    (tmp_path / ".visioncore").write_text("a file where a folder should be")
    assert main(["schema", "--write"]) == 74
    assert told(capsys)[1].startswith("storage failed: .visioncore: cannot be read or written: ")


def test_explain_shows_the_chain_and_what_holds(lab, capsys, tmp_path):
    (tmp_path / "over.yaml").write_text("\noptimizer: {lr: 0.5}\n")
    assert main(["explain", "optimizer.lr", lab, "over.yaml", "--set", "optimizer.lr=3"]) == 0
    lines = [line.split() for line in told(capsys)[0].splitlines()]
    default = ["default", "of", "optimizer", "cli_optimizer", "0.001"]
    assert lines == [
        ["optimizer.lr"],
        default,
        ["run.yaml:5", "0.01"],
        ["over.yaml:2", "0.5"],
        ["--set", "3", "(holds)"],
    ]
    assert main(["explain", "optimizer", lab]) == 0
    out, _ = told(capsys)
    assert "lr            0.01 (run.yaml:5)" in out
    assert "accumulate    1 (default)" in out
    assert main(["explain", "optimizer.clp", lab]) == 2
    assert "there is no 'clp'; did you mean 'clip'?" in told(capsys)[1]


def test_doctor_looks_at_everything(lab, capsys, monkeypatch, site):
    monkeypatch.setitem(
        sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 3, cuda=SimpleNamespace(device_count=lambda: 0))
    )
    site("bad-lab", "1", {"bad": "bad_module"}, bad_module="1 / 0")
    assert main(["doctor"]) == 0
    flat = " ".join(told(capsys)[0].split())
    for part in ("torch threads 3", "devices cpu", "can be written", "plugin cli_lab cli-lab==1.5: loaded",
                 "!! broken: ZeroDivisionError"):  # fmt: skip
        assert part in flat


@pytest.mark.parametrize(
    ("torch", "text"),
    [(None, "unknown, because torch is not installed"), (SimpleNamespace(), "!! torch cannot be used: AttributeError")],
    ids=["absent", "broken"],
)
def test_doctor_works_where_torch_does_not(lab, capsys, monkeypatch, torch, text):
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert main(["doctor"]) == 0
    assert text in " ".join(told(capsys)[0].split())


def test_doctor_says_where_the_folder_cannot_be_written(lab, capsys, monkeypatch):
    def refuse(**_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    assert main(["doctor"]) == 0
    assert "cannot be written: Permission denied" in " ".join(told(capsys)[0].split())


@pytest.mark.parametrize("flag", [False, True])
def test_train_hands_the_resolved_run_on(lab, capsys, monkeypatch, flag):
    calls = []

    def enter(resolved, *, resume, quiet, count_gpus, flags):
        calls.append(("enter", resolved.run.seed, resume, quiet))
        return SimpleNamespace(handed_to="", place=None)

    def train_entered(resolved, entry, *, quiet, profile):
        calls.append(("train", resolved.run.seed, quiet))
        return SimpleNamespace(run_dir=Path("runs/x"), scores={"val/loss": 0.25}, profile=profile)

    monkeypatch.setattr("visioncore_engine.launch.entry.enter", enter)
    monkeypatch.setitem(sys.modules, "visioncore_engine.run", SimpleNamespace(train_entered=train_entered))
    assert main(["train", lab, "--set", "seed=3", *(["--resume", "--quiet"] if flag else [])]) == 0
    assert calls == [("enter", 3, flag, flag), ("train", 3, flag)]
    out, _ = told(capsys)
    assert "the run lies in runs/x" in out.splitlines()[-1]
    assert ("0.25" in out) is not flag


def test_only_the_first_process_tells_what_all_of_them_did(lab, capsys, monkeypatch):
    entry = SimpleNamespace(handed_to="", place=Place(rank=1, world_size=2))
    result = SimpleNamespace(run_dir=Path("runs/x"), scores={})
    monkeypatch.setattr("visioncore_engine.launch.entry.enter", lambda *_, **__: entry)
    monkeypatch.setitem(sys.modules, "visioncore_engine.run", SimpleNamespace(train_entered=lambda *_, **__: result))
    assert main(["train", lab]) == 0
    assert told(capsys)[0] == ""


def test_a_run_that_is_handed_to_others_needs_no_torch(lab, capsys, monkeypatch):
    entry = SimpleNamespace(handed_to="submitted as job 3", place=None)
    monkeypatch.setattr("visioncore_engine.launch.entry.enter", lambda *_, **__: entry)
    monkeypatch.setitem(sys.modules, "visioncore_engine.run", None)  # importing it would fail
    assert main(["train", lab]) == 0
    assert told(capsys)[0].strip() == "submitted as job 3"


def test_train_never_starts_with_a_mistake(lab, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "visioncore_engine.run", None)  # importing it would fail
    assert main(["train", lab, "--set", "seed=-3"]) == 2
    assert "seed: expected an integer" in told(capsys)[1]


@pytest.fixture
def evaluated(monkeypatch):
    calls = []

    def evaluate(run_dir, **options):
        calls.append((run_dir, options))
        result = SimpleNamespace(scalars={"error": 0.5, "error/m1": math.nan})
        return {split: {"error": result} for split in options["splits"]}

    monkeypatch.setitem(sys.modules, "visioncore_engine.evaluation", SimpleNamespace(evaluate=evaluate))
    return calls


def test_evaluate_prints_scores(evaluated, capsys):
    assert main(["evaluate", "runs/x", "--set", "data.root=there"]) == 0
    asked = {"checkpoint": "best", "splits": ("validation",), "sets": ["data.root=there"], "registry": None}
    asked["fresh"] = False
    assert evaluated == [("runs/x", asked)]
    words = told(capsys)[0].split()
    assert {"validation", "error", "0.5"} <= set(words)


def test_evaluate_as_json_has_null_where_nothing_could_be_scored(evaluated, capsys):
    arguments = ["evaluate", "runs/x", "--checkpoint", "last", "--split", "validation", "test", "--json"]
    assert main(arguments) == 0
    scores = {"error": 0.5, "error/m1": None}
    assert json.loads(told(capsys)[0]) == {"validation": scores, "test": scores}
    assert evaluated[0][1]["checkpoint"] == "last"


def test_report_and_evaluate_use_the_plugins_that_are_named(lab, evaluated, capsys, monkeypatch):
    calls = []
    written = SimpleNamespace(write=lambda run_dir, registry: calls.append(registry) or Path(run_dir) / "report.html")
    monkeypatch.setitem(sys.modules, "visioncore_engine.report", written)
    assert main(["report", "runs/x"]) == 0
    assert told(capsys)[0] == "runs/x/report.html\n"
    assert main(["report", "runs/x", "--block", "cli_lab"]) == 0
    assert main(["evaluate", "runs/x", "--block", "cli_lab"]) == 0
    assert calls[0] is None
    for registry in (calls[1], evaluated[0][1]["registry"]):
        assert {plugin.status for plugin in registry.plugins if plugin.name == "cli_lab"} == {"blocked"}
