"""What components cost per step, on a clock that only they move: every delay that is put in comes out."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
import toy_parts
import toy_plugin
from torch import nn

from visioncore_engine import resolve, train
from visioncore_engine.cli import main
from visioncore_engine.component import Component
from visioncore_engine.display import format_profile
from visioncore_engine.options import Options, SamplerOptions, choose, watching
from visioncore_engine.profiling import Profile

RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 5}
model: toy_linear
loss: toy_squared
metrics: [toy_error]
regularizers: {shrink: {name: toy_l2, strength: 1.0e-3, match: "heads.*.weight"}}
optimizer: {name: toy_adamw, lr: 0.01, accumulate: 2}
scheduler: toy_halving
callbacks: [toy_events]
loggers: [toy_memory]
checkpoint: {monitor: val/toy_error}
loader: {prefetch: 0}
trainer: {max_epochs: 2, accelerator: cpu, log_every_n_steps: 1}
run: {dir: here}
"""
STEPS = 10


class Clock:
    """Stands still, but for what `delay` adds."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def delay(self, monkeypatch, owner, method, seconds):
        """Let every call of a method take so long."""
        original = getattr(owner, method)

        def slow(*arguments, **named):
            self.now += seconds
            return original(*arguments, **named)

        slow.__name__ = slow.__qualname__ = method
        monkeypatch.setattr(owner, method, slow)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(RUN)

    def resolved(*sets):
        return resolve("run.yaml", sets, plugin_files=[toy_plugin.__file__])

    return resolved


# Where a delay is put in: class, method, kind of the component, milliseconds of a call, calls in ten steps of two
# micro-batches of two groups, with a validation of two batches every five steps.
DELAYS = [
    ("ToySource", "gather", "dataset", 3.0, STEPS * 4 + 2 * 2),
    ("ToySampler", "batch", "sampler", 7.0, STEPS),
    ("ToyModel", "forward", "model", 11.0, STEPS * 2 + 2 * 2 + 2),
    ("ToySquared", "__call__", "loss", 5.0, STEPS * 4 + 2 * 2),
    ("ToyError", "update", "metric", 2.0, 2 * 2),
    ("ToyL2", "penalty", "regularizer", 13.0, STEPS),
    ("ToyHalving", "factor", "scheduler", 1.0, STEPS),
    ("ToyEvents", "on_train_batch_start", "callback", 17.0, STEPS),
]


def test_every_delay_is_found_at_its_component(run, clock, monkeypatch):
    for owner, method, _, milliseconds, _ in DELAYS:
        clock.delay(monkeypatch, getattr(toy_parts, owner), method, milliseconds / 1000)
    found = train(run(), quiet=True, profile=Profile(clock)).profile
    assert found["steps"] == STEPS
    costs = {row["kind"]: row for row in found["components"]}
    for _, _, kind, milliseconds, calls in DELAYS:
        assert costs[kind]["ms"] == pytest.approx(milliseconds * calls / STEPS, rel=0.1), kind
    assert {kind for kind, row in costs.items() if row["ms"] > 0} == {kind for _, _, kind, _, _ in DELAYS}
    assert found["engine_ms"] == pytest.approx(0.0, abs=1e-6)  # nothing else moves this clock
    assert found["plugins"]["toy_plugin"] == pytest.approx(sum(row["ms"] for row in found["components"]))
    assert json.loads(Path("here/record.json").read_text())["profile"] == found


def test_time_that_nobody_owns_is_that_of_the_engine(run, clock, monkeypatch):
    clock.delay(monkeypatch, torch.Tensor, "backward", 0.004)
    clock.delay(monkeypatch, toy_parts.ToySampler, "batch", 0.001)
    found = train(run(), quiet=True, profile=Profile(clock)).profile
    assert found["engine_ms"] == pytest.approx(4.0 * 2, rel=0.1)
    assert found["plugins"]["toy_plugin"] == pytest.approx(1.0, rel=0.1)


def test_a_profile_changes_no_result(run, clock):
    plain = train(run("run.dir=plain"), quiet=True)
    measured = train(run("run.dir=measured"), quiet=True, profile=Profile(clock))
    assert plain.scores == measured.scores
    assert plain.profile is None
    assert "profile" not in json.loads(Path("plain/record.json").read_text())


def test_what_reads_ahead_is_no_part_of_a_step(run):
    found = train(run("loader.prefetch=2"), quiet=True, profile=Profile()).profile
    costs = {row["kind"]: row for row in found["components"]}
    assert 0 < costs["sampler"]["beside_ms"] <= costs["sampler"]["ms"]
    assert 0 < costs["dataset"]["beside_ms"] < costs["dataset"]["ms"]  # validation is read in the training thread
    assert costs["model"]["beside_ms"] == 0


def test_the_command_shows_a_table(run, capsys):
    run()
    arguments = ["train", "run.yaml", "--plugin", toy_plugin.__file__]
    assert main([*arguments, "--profile-plugins"]) == 0
    told = capsys.readouterr().out
    for line in ("toy_plugin", "  sampler toy_random", "  callback toy_events", "the engine, with backward passes"):
        assert f"\n{line}" in told
    assert main([*arguments, "--set", "run.dir=other"]) == 0
    assert "the engine, with backward passes" not in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------------
# The arithmetic alone


def component(kind, made, clock, *, name="part"):
    """A component whose builder returns `made`."""
    declared = Component(name=name, summary="", build=f"{__name__}:nothing")
    return choose(kind, declared, SamplerOptions() if kind == "sampler" else Options(), plugin="lab")


class Stage(nn.Module):
    out_shape, history, burn_in = (1, 1, 1), 0, 0

    def __init__(self, clock, seconds, inner=None):
        super().__init__()
        self.clock, self.seconds, self.inner = clock, seconds, inner

    def forward(self, features):
        self.clock.now += self.seconds
        return features if self.inner is None else self.inner(features)


def watched(profile, kind, built, name="part"):
    profile.watch(component(kind, built, profile.clock, name=name), built)
    return built


def test_time_inside_another_component_counts_for_that_one_alone(clock):
    profile = Profile(clock)
    inner = watched(profile, "stage", Stage(clock, 0.002), "inner")
    outer = watched(profile, "stage", Stage(clock, 0.005, inner), "outer")
    outer(torch.zeros(1))  # before the measurement: not counted
    with profile.measuring():
        outer(torch.zeros(1))
        outer(torch.zeros(1))
        clock.now += 0.001
    found = profile.summary(2)
    assert {row["name"]: row["ms"] for row in found["components"]} == pytest.approx({"outer": 5.0, "inner": 2.0})
    assert {row["name"]: row["calls"] for row in found["components"]} == {"outer": 1.0, "inner": 1.0}
    assert found["engine_ms"] == pytest.approx(0.5)


def test_a_measured_object_is_still_what_it_was(clock):
    stage = watched(Profile(clock), "stage", Stage(clock, 0.0))
    assert isinstance(stage, Stage)
    assert type(stage).__qualname__ == "Stage"
    assert type(stage).__module__ == Stage.__module__
    assert list(nn.Sequential(stage).state_dict()) == []
    assert type(stage) is not Stage
    assert "forward" in vars(Stage)


def test_an_object_that_is_given_out_twice_is_measured_once(clock):
    profile = Profile(clock)
    stage = watched(profile, "stage", Stage(clock, 0.002))
    watched(profile, "stage", stage)
    with profile.measuring():
        stage(torch.zeros(1))
    (row,) = profile.summary(1)["components"]
    assert (row["calls"], row["ms"]) == (1, pytest.approx(2.0))


def test_a_failure_is_counted_and_passed_on(clock):
    class Failing:
        def steps_per_epoch(self):
            return 1

        def batch(self, position):
            clock.now += 0.003
            raise ValueError("it fails")

    profile = Profile(clock)
    sampler = watched(profile, "sampler", Failing())
    with profile.measuring(), pytest.raises(ValueError, match="it fails"):
        sampler.batch(None)
    assert profile.summary(1)["components"][0]["ms"] == pytest.approx(3.0)


def test_what_cannot_be_measured_is_said(clock):
    def transform(batch, key):
        return batch

    profile = Profile(clock)
    watched(profile, "transform", transform)
    found = profile.summary(1)
    assert found["unmeasured"] == ["transform 'part' of plugin 'lab'"]
    assert "not measured: transform 'part' of plugin 'lab'" in format_profile(found)


def test_threads_do_not_mix_up_whose_time_it_is(clock):
    profile = Profile(clock)
    stage = watched(profile, "stage", Stage(clock, 0.002))
    with profile.measuring():
        thread = threading.Thread(target=stage, args=(torch.zeros(1),))
        thread.start()
        thread.join()
        stage(torch.zeros(1))
    (row,) = profile.summary(1)["components"]
    assert (row["ms"], row["beside_ms"]) == pytest.approx((4.0, 2.0))


def nothing(options, facts):
    return None


def test_without_a_profile_nothing_is_watched(clock):
    seen = []
    with watching(lambda choice, built: seen.append(choice)):
        pass
    with pytest.raises(Exception, match="returned NoneType"):
        component("stage", None, clock).build(None)
    assert seen == []
