"""Experiments on a trained model agree with its evaluation, and find what a known unit is."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from neural_recordings import choice, dataset, make
from neural_truth import FieldModel, recorded, recordings
from torch import nn

from visioncore_engine import evaluate, resolve, train
from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.errors import RunError, UsageError
from visioncore_neural.data.folder import write_session
from visioncore_neural.evaluators import gratings
from visioncore_neural.insilico import Twin, exciting_input
from visioncore_neural.options.dataset import SyntheticOptions
from visioncore_neural.simulation.dataset import Synthetic

DATA = {
    "name": "synthetic_v1",
    "num_sessions": 2,
    "num_units": 3,
    "size": 12,
    "duration": 30.0,
    "trial": 3.0,
    "num_repeats": 2,
    "prepare": [{"name": "standardize", "of": ["stim", "behavior"]}],
    "window": {"length": 15},
}
RUN = {
    "seed": 3,
    "data": DATA,
    "sampler": {"name": "shuffled", "batch_size": 150, "batches_per_epoch": 2},
    "model": {
        "name": "encoder",
        "core": [{"name": "conv3d", "channels": [4], "kernel_size": [3, 5, 5]}],
        "modulator": {"name": "concat"},
        "readout": {"name": "gaussian"},
    },
    "loss": {"name": "poisson"},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "trainer": {"max_epochs": 1, "accelerator": "cpu"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    resolved = resolve({**RUN, "run": {"name": "tiny", "dir": str(folder)}})
    train(resolved, quiet=True)
    twin = Twin.load(folder / "checkpoints" / "last.ckpt")
    twin.folder = folder
    dataset = resolved.run.data.build(DatasetFacts(seed=3))
    options = SyntheticOptions(**{key: value for key, value in DATA.items() if key not in ("name", "prepare")})
    raw = {session.recording.name: session.recording for session in Synthetic(options, DatasetFacts(seed=3))._sessions}
    return twin, dataset, raw


EVALUATORS = ("units", "grating_tuning", "spike_triggered_average", "saccade_triggered", "ground_truth")


@pytest.fixture
def evaluated(trained):
    """Evaluates the run with some evaluators."""
    folder = trained[0].folder

    def evaluated(*names):
        return evaluate(folder, checkpoint="last", fresh=True, sets=[f"evaluate=[{', '.join(names)}]"])

    return evaluated


def test_b15_every_evaluator_works_on_a_finished_run_and_names_each_unit(evaluated, trained):
    found = evaluated(*EVALUATORS)["validation"]
    for name in EVALUATORS:
        (table,) = found[name].tables.values()
        units = dict.fromkeys((row["session"], row["unit"]) for row in table.rows)
        assert list(units) == [(session, f"u00{unit}") for session in sorted(trained[0].sessions) for unit in range(3)]


def test_b9_an_evaluator_that_fails_is_named_and_not_passed_over(evaluated, monkeypatch):
    monkeypatch.setattr(gratings, "drifting_grating", None)
    with pytest.raises(RunError, match=r"called as GratingTuning\.evaluate.*TypeError"):
        evaluated("grating_tuning")


def test_a_prediction_for_recorded_arrays_is_the_one_that_evaluation_scores(trained):
    twin, dataset, raw = trained
    session = twin.sessions[1]
    recording = raw[session]
    trial = np.where(np.asarray(recording.split) == 1, np.asarray(recording.trial), -1)
    rates = twin.predict(session, recording.stim, recording.behavior, trial=trial)
    source = dataset.sources("validation", twin.trained.history)[1]
    group = source.gather(np.arange(source.num_items))
    with torch.inference_mode():
        expected = twin.trained.model(SimpleNamespace(groups=[group]))[0]["robs"][:, -15:]
    frames = group.tags["frame"]
    kept = group.mask.any(-1) & (frames >= 0)
    np.testing.assert_allclose(rates[frames[kept].numpy()], expected[kept].double().numpy(), rtol=1e-5)
    assert kept.sum() > 50
    edges = np.flatnonzero(np.diff(trial, prepend=-2) != 0)
    assert np.isnan(rates[edges]).all()  # no history in their trial


def test_a23_a_missing_side_input_is_named(trained):
    twin, _, raw = trained
    session = twin.sessions[0]
    with pytest.raises(UsageError, match=r"the model needs behavior; give behavior="):
        twin.predict(session, raw[session].stim)
    with pytest.raises(UsageError, match="behavior"):
        twin.predict(session, raw[session].stim, np.zeros((raw[session].num_frames, 5)))


def test_a_run_that_chooses_behavior_by_name_is_asked_in_the_channels_that_were_recorded(tmp_path):
    """A split makes more channels of those that were recorded: the names of before are what preparations choose by."""
    recordings = {name: make(name, dt=0.01) for name in ("m1_a", "m2_b")}
    for name, recording in recordings.items():
        write_session(recording, tmp_path / name)
    prepare = [
        {"name": "standardize", "of": ["stim", "behavior"]},
        {"name": "split_relu", "channels": ["pupil"]},
    ]
    data = {"name": "sessions", "root": str(tmp_path), "sessions": "*", "prepare": prepare, "window": {"length": 8}}
    core = [{"name": "conv3d", "channels": [4], "kernel_size": [3, 3, 3]}]
    sampler = {"name": "shuffled", "batch_size": 32, "batches_per_epoch": 1}
    run = {**RUN, "data": data, "sampler": sampler, "model": {**RUN["model"], "core": core}}
    resolved = resolve({**run, "run": {"name": "named", "dir": str(tmp_path / "run")}})
    train(resolved, quiet=True)
    twin = Twin.load(tmp_path / "run" / "checkpoints" / "last.ckpt")
    recording = recordings["m2_b"]
    rates = twin.predict("m2_b", recording.stim, recording.behavior, trial=recording.trial)
    source = resolved.run.data.build(DatasetFacts(seed=3)).sources("validation", twin.trained.history)[1]
    group = source.gather(np.arange(source.num_items))
    with torch.inference_mode():
        expected = twin.trained.model(SimpleNamespace(groups=[group]))[0]["robs"][:, -8:]
    frames = group.tags["frame"]
    kept = group.mask.any(-1) & (frames >= 0)
    np.testing.assert_allclose(rates[frames[kept].numpy()], expected[kept].double().numpy(), rtol=1e-5)
    assert twin.behavior_names("m2_b") == ("running", "pupil")
    with pytest.raises(UsageError, match=r"\(T, 2\): running, pupil"):
        twin.predict("m2_b", recording.stim, recording.behavior[:, :1])


class Reads(nn.Module):
    """Each unit's rate is the sum of the behavior channels, weighed by 1, 10, …; nothing else is read."""

    history, side_inputs = 0, ("behavior",)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        (group,) = batch.groups
        weights = 10.0 ** torch.arange(group.side["behavior"].shape[-1]).to(group.side["behavior"])
        seen = self.weight * (group.side["behavior"] * weights).sum(-1, keepdim=True)
        return [{"robs": seen.expand(-1, -1, 3)}]


def reading(*prepare, **arrays):
    """A twin that reads the behavior of one session, and the velocities of what `prepare` names."""
    chosen = [choice("preparation", "velocity", of=of) for of in prepare]
    opened = dataset(make(**arrays), prepare=chosen)
    blocks = {block.id: {"name": block.name, **block.options.model_dump(mode="json")} for block in chosen}
    description = {"run": {"data": {"window": {"length": 4}, "prepare": blocks}}, "data_state": opened.state()}
    groups = {group.name: group for group in opened.groups}
    return Twin(SimpleNamespace(model=Reads(), groups=groups, description=description, history=0)), make(**arrays)


def test_behavior_that_is_made_of_eye_positions_alone_is_not_asked_for():
    twin, recording = reading("eyepos", behavior=None, behavior_names=())
    rates = twin.predict("m1_a", recording.stim, eyepos=recording.eyepos)
    velocity = np.diff(recording.eyepos.astype(np.float64), axis=0, prepend=recording.eyepos[:1]) / 0.01
    np.testing.assert_allclose(rates, np.repeat(velocity @ [[1.0], [10.0]], 3, axis=1), rtol=1e-4, atol=1e-3)
    with pytest.raises(UsageError, match=r"the model needs eyepos; give eyepos=$"):
        twin.predict("m1_a", recording.stim)


def test_behavior_that_was_recorded_is_asked_for_beside_what_is_added_to_it():
    twin, recording = reading("eyepos")
    with pytest.raises(UsageError, match=r"the model needs behavior, eyepos; give behavior=, eyepos="):
        twin.predict("m1_a", recording.stim)
    with pytest.raises(UsageError, match=r"the model needs behavior; give behavior="):
        twin.predict("m1_a", recording.stim, eyepos=recording.eyepos)
    of_behavior, recording = reading("behavior", eyepos=None)
    assert of_behavior.predict("m1_a", recording.stim, recording.behavior).shape == (240, 3)


def test_ablated_channels_have_their_names():
    twin, recording = reading(behavior_names=("running", "mean"))
    found = twin.ablation("m1_a", recording.stim, recording.behavior)
    assert list(found) == ["whole", "mean", "running", "channel_1"]  # what is called like another has its number
    one, ten = (np.asarray(recording.behavior[:, channel], dtype=np.float64) for channel in (0, 1))
    assert np.allclose(found["mean"], one.mean() + 10 * ten.mean(), rtol=1e-4)
    orders = [np.random.default_rng([0, channel]).permutation(240) for channel in (0, 1)]
    np.testing.assert_allclose(found["running"][:, 0], one[orders[0]] + 10 * ten, atol=1e-4)
    np.testing.assert_allclose(found["channel_1"][:, 0], one + 10 * ten[orders[1]], atol=1e-4)


def test_what_the_twin_does_not_know_is_told_with_what_it_knows(trained):
    twin, _, raw = trained
    session = twin.sessions[0]
    recording = raw[session]
    with pytest.raises(UsageError, match=f"sessions: {session}"):
        twin.predict("nobody", recording.stim)
    with pytest.raises(UsageError, match=r"frames \(C, H, W\) = \(1, 12, 12\)"):
        twin.predict(session, np.zeros((50, 1, 9, 9), dtype=np.uint8), np.zeros((50, 2)))
    with pytest.raises(UsageError, match="units: u000"):
        twin.place(session, "u9")


def test_shuffling_behavior_that_the_model_reads_changes_its_rates(trained):
    twin, _, raw = trained
    session = twin.sessions[0]
    recording = raw[session]
    found = twin.ablation(session, recording.stim[:200], np.asarray(recording.behavior)[:200])
    assert list(found) == ["whole", "mean", "channel_0", "channel_1"]
    known = ~np.isnan(found["whole"][:, 0])
    for name in ("mean", "channel_0", "channel_1"):
        assert np.abs(found[name][known] - found["whole"][known]).max() > 1e-6
    again = twin.ablation(session, recording.stim[:200], np.asarray(recording.behavior)[:200])
    np.testing.assert_array_equal(again["channel_1"], found["channel_1"])


class Softplus(FieldModel):
    side_inputs = ()

    def forward(self, batch):
        return [{"robs": nn.functional.softplus(output["robs"])} for output in super().forward(batch)]


@pytest.fixture
def known():
    """A twin whose unit u1 is one linear filter and a softplus."""
    made = recorded()
    dataset = recordings(made)
    fields = np.random.default_rng(1).normal(size=(3, 1, 4, 5, 6)).astype(np.float32)
    model = Softplus({"m1_a": fields})
    description = {"run": {"data": {"window": {"length": 4}}}, "data_state": {}}
    groups = {group.name: group for group in dataset.groups}
    return Twin(SimpleNamespace(model=model, groups=groups, description=description, history=3)), fields, made


def cosine(one, other):
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("jitter", [0, 1])
def test_the_most_exciting_input_of_a_linear_unit_is_its_filter(known, jitter):
    twin, fields, _ = known
    found = exciting_input(twin, "m1_a", "u1", norm=2.0, steps=150, jitter=jitter)
    assert np.linalg.norm(found.stim) == pytest.approx(2.0, rel=1e-4)
    assert found.rates[-1] > found.rates[0]
    if not jitter:
        assert cosine(found.stim, fields[1]) > 0.999
    np.testing.assert_array_equal(
        exciting_input(twin, "m1_a", "u1", norm=2.0, steps=150, jitter=jitter).stim, found.stim
    )
    assert not np.array_equal(
        exciting_input(twin, "m1_a", "u1", norm=2.0, steps=150, jitter=jitter, seed=1).stim, found.stim
    )


@pytest.mark.parametrize("order", [1.5, 4.0, math.inf])
def test_the_most_exciting_input_of_an_lp_norm_is_the_one_of_holders_inequality(known, order):
    """Of all x with one p-norm, ``<f, x>`` is largest for ``sign(f) |f|^(1/(p-1))``, and is then the dual norm of f."""
    twin, fields, _ = known
    found = exciting_input(twin, "m1_a", "u1", norm=2.0, order=order, steps=300)
    assert np.linalg.norm(found.stim.ravel(), order) == pytest.approx(2.0, rel=1e-4)
    dual = 1 / (1 - 1 / order)
    reached = float((found.stim * fields[1]).sum())
    assert reached == pytest.approx(2.0 * np.linalg.norm(fields[1].ravel(), dual), rel=2e-3)
    assert cosine(found.stim, np.sign(fields[1]) * np.abs(fields[1]) ** (1 / (order - 1))) > 0.99


def test_with_blurred_gradients_the_most_exciting_input_of_a_linear_unit_is_its_blurred_filter(known):
    twin, fields, _ = known
    found = exciting_input(twin, "m1_a", "u1", norm=2.0, steps=200, blur=0.8)

    def kernel(size):
        weights = np.exp(-0.5 * (np.subtract.outer(np.arange(size), np.arange(size)) / 0.8) ** 2)
        return weights / np.exp(-0.5 * (np.arange(-50, 51) / 0.8) ** 2).sum()

    blurred = np.einsum("ij,ckjl,lm->ckim", kernel(5), fields[1], kernel(6))
    assert cosine(found.stim, blurred) > 0.999
    assert cosine(found.stim, fields[1]) < 0.95


@pytest.mark.parametrize(("wrong", "message"), [({"order": 1.0}, "order: must be above 1"), ({"blur": -1.0}, "blur: ")])
def test_no_norm_and_no_blur_are_refused(known, wrong, message):
    with pytest.raises(UsageError, match=message):
        exciting_input(known[0], "m1_a", "u1", **wrong)


def test_pixels_stay_within_their_bounds_and_variation_is_paid_for(known):
    twin, _, _ = known
    found = exciting_input(twin, "m1_a", "u0", norm=5.0, bounds=(-0.3, 0.2), steps=40)
    assert found.stim.min() >= np.float32(-0.3)
    assert found.stim.max() <= np.float32(0.2)

    def variation(stim):
        return np.abs(np.diff(stim, axis=2)).sum() + np.abs(np.diff(stim, axis=3)).sum()

    free = exciting_input(twin, "m1_a", "u0", norm=5.0, steps=40)
    smooth = exciting_input(twin, "m1_a", "u0", norm=5.0, steps=40, variation=1.0)
    assert variation(smooth.stim) < 0.7 * variation(free.stim)


def test_the_receptive_field_of_a_linear_unit_is_its_filter(known):
    twin, fields, made = known
    found = twin.receptive_fields("m1_a", made.stim, units=["u2", "u0"], num_predictions=40)
    for place, unit in enumerate((2, 0)):
        assert cosine(found.mean[place], fields[unit]) == pytest.approx(1.0, abs=1e-5)
