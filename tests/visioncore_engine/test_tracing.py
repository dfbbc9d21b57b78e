"""`VISIONCORE_TRACE=1` tells what is found, imported, built and called, with times and without secrets."""

from __future__ import annotations

import re
import sys

import pytest
import toy_plugin

from visioncore_engine import discover, resolve, tracing, train
from visioncore_engine.cli import main

SAMPLER = """
    from visioncore_engine import Component, hookimpl

    @hookimpl
    def visioncore_samplers():
        yield Component(name="traced", summary="one", build=":Builder")

    @hookimpl
    def visioncore_checks(config):
        return ()
"""
MS = r"\d+\.\d\d ms: "


@pytest.fixture
def tracing_on(monkeypatch):
    monkeypatch.setenv("VISIONCORE_TRACE", "1")


@pytest.fixture
def lines(capsys):
    """What was traced since the last call."""

    def lines():
        told = capsys.readouterr()
        return [line.removeprefix("visioncore: ") for line in told.err.splitlines() if line.startswith("visioncore: ")]

    return lines


def place(lines, pattern):
    """Place of the one line that matches."""
    (found,) = [number for number, line in enumerate(lines) if re.fullmatch(pattern, line)]
    return found


def test_a_check_is_told_in_its_order(lab, site, tracing_on, lines):
    site("traced-lab", "1.1", {"traced": "traced_module"}, traced_module=SAMPLER)
    assert main(["check", lab]) == 0
    told = lines()
    owner = r"plugin traced \(traced-lab==1\.1\)"
    order = [
        place(told, rf"discovered {owner} in module 'traced_module'"),
        place(told, rf"{MS}imported 'traced_module' of {owner}"),
        place(told, rf"{MS}called visioncore_samplers of {owner}"),
        place(told, rf"{owner}: loaded"),
        place(told, r"model 'cli_model': cli_lab \(cli-lab==1\.5\)"),
        place(told, rf"{MS}imported ':ModelOptions' of plugin cli_lab \(cli-lab==1\.5\)"),
        place(told, rf"{MS}called visioncore_checks of {owner}"),
    ]
    assert order == sorted(order)


def test_a_training_tells_what_it_builds(tmp_path, monkeypatch, tracing_on, lines):
    monkeypatch.chdir(tmp_path)
    text = "data: toy\nsampler: {name: toy_random, batches_per_epoch: 1}\nmodel: toy_linear\nloss: toy_squared\n"
    text += "metrics: [toy_error]\noptimizer: toy_sgd\nloggers: [toy_memory]\n"
    (tmp_path / "run.yaml").write_text(text + "trainer: {max_epochs: 1, accelerator: cpu}\n")
    train(resolve("run.yaml", plugin_files=[toy_plugin.__file__]), quiet=True)
    told = lines()
    for kind, name in (
        ("dataset", "toy"),
        ("sampler", "toy_random"),
        ("optimizer", "toy_sgd"),
        ("logger", "toy_memory"),
    ):
        title = f"{kind} '{name}' of plugin 'toy_plugin'"
        assert place(told, f"{MS}imported the builder of {title}") < place(told, f"{MS}built {title}")


def test_a_failure_is_told_with_the_time_until_then(site, installed, tracing_on, lines):
    site("traced-lab", "1.1", {"traced": "traced_module"}, traced_module="raise OSError('no')")
    discover(entry_points=installed())
    told = lines()
    place(told, rf"{MS}imported 'traced_module' of plugin traced \(traced-lab==1\.1\): OSError")
    place(told, r"plugin traced \(traced-lab==1\.1\): broken OSError: no .*")


def test_no_secret_is_told(site, installed, tracing_on, lines):
    text = "raise OSError('postgres://me:hunter22@host/x api_key=hunter22')"
    site("traced-lab", "1.1", {"traced": "traced_module"}, traced_module=text)
    discover(entry_points=installed())
    told = "\n".join(lines())
    assert "hunter22" not in told
    assert "postgres://<hidden>@host/x api_key=<hidden>" in told


@pytest.mark.parametrize("value", [None, "0", ""])
def test_without_it_nothing_is_said_or_measured(lab, monkeypatch, capsys, value):
    if value is None:
        monkeypatch.delenv("VISIONCORE_TRACE", raising=False)
    else:
        monkeypatch.setenv("VISIONCORE_TRACE", value)
    monkeypatch.setattr(tracing.time, "perf_counter", lambda: pytest.fail("a clock was read"))
    assert main(["check", lab]) == 0
    assert capsys.readouterr().err == ""


def test_no_step_of_a_training_looks_at_it(tmp_path, monkeypatch):
    """Whoever traces calls `trace` or `traced`: between the first and the last step nobody does."""
    monkeypatch.chdir(tmp_path)
    text = "data: toy\nsampler: {name: toy_random, batches_per_epoch: 4}\nmodel: toy_linear\nloss: toy_squared\n"
    text += "metrics: [toy_error]\noptimizer: toy_sgd\ncallbacks: [toy_events]\nloggers: [toy_memory]\n"
    text += "loader: {prefetch: 2}\n"  # `auto` tells once what it has chosen
    (tmp_path / "run.yaml").write_text(text + "trainer: {max_epochs: 1, accelerator: cpu, log_every_n_steps: 1}\n")
    import toy_parts

    calls, seen = [], []

    def watch(frame, event, argument):
        if event == "call" and frame.f_globals.get("__name__") == "visioncore_engine.tracing":
            calls.append(frame.f_code.co_name)

    def count(self, *arguments):
        seen.append(len(calls))
        sys.setprofile(watch)

    def stop(self, *arguments):
        sys.setprofile(None)

    monkeypatch.setattr(toy_parts.ToyEvents, "on_train_batch_start", count)
    monkeypatch.setattr(toy_parts.ToyEvents, "on_validation_end", stop)
    train(resolve("run.yaml", plugin_files=[toy_plugin.__file__]), quiet=True)
    sys.setprofile(None)
    assert len(seen) == 4
    assert calls == []
