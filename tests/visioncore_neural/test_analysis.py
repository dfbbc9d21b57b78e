from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from neural_models import choice, encoder, recording
from neural_truth import FieldModel, SimpleEvaluation, TrueModel, recorded, recordings

from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.errors import DataError
from visioncore_neural.analysis import gradients
from visioncore_neural.analysis.centres import field_centres
from visioncore_neural.analysis.gradients import rate_gradients, sensitivity_maps
from visioncore_neural.analysis.parts import spatial_masks, temporal_kernels
from visioncore_neural.analysis.traces import Trace, predicted_trace, smoothed
from visioncore_neural.options.dataset import SyntheticOptions
from visioncore_neural.simulation.dataset import Synthetic


def some_fields(*shape):
    return np.random.default_rng(3).normal(size=shape).astype(np.float64)


def blob(row, column, size=16, width=1.5):
    rows, columns = np.indices((size, size))
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))


@pytest.mark.parametrize("length", [1, 4, 20])
@pytest.mark.parametrize("num", [1, 7, 500])
def test_the_gradient_of_a_linear_unit_is_its_field(length, num):
    fields = some_fields(3, 1, 4, 5, 6)
    model = FieldModel({"m1_a": fields})
    source = recordings(recorded(), length=length).sources("validation", model.history)[0]
    found = rate_gradients(model, source, [2, 0], num_predictions=num, smoothing=0)
    np.testing.assert_allclose(found.mean, fields[[2, 0]], atol=1e-12)
    np.testing.assert_allclose(found.power, np.square(fields[[2, 0]]).sum((1, 2)), atol=1e-12)


def test_the_gradient_of_a_squared_unit_is_taken_at_valid_frames_of_the_recording():
    """d (w.x)^2 = 2 (w.x) w: its mean over the very frames that count, from NumPy."""
    fields = some_fields(1, 1, 3, 2, 2)
    made = recorded(num_units=1, shape=(1, 2, 2))
    model = FieldModel({"m1_a": fields}, power=2)
    source = recordings(made, length=6).sources("validation", model.history)[0]
    found = rate_gradients(model, source, [0], num_predictions=10**6)
    frames = [
        frame
        for frame in range(2, made.num_frames)
        if made.valid[frame, 0] and made.trial[frame - 2] == made.trial[frame] and made.split[frame] == 1
    ]
    clips = np.stack([made.stim[frame - 2 : frame + 1] for frame in frames]).transpose(0, 2, 1, 3, 4)
    seen = np.einsum("bckhw,ckhw->b", clips.astype(np.float64), fields[0])
    np.testing.assert_allclose(found.mean[0], 2 * seen.mean() * fields[0], rtol=1e-5)


def test_gradients_do_not_depend_on_how_predictions_are_cut(monkeypatch):
    model = FieldModel({"m1_a": some_fields(3, 1, 4, 5, 6)}, power=2)
    source = recordings(recorded()).sources("validation", model.history)[0]
    whole = sensitivity_maps(model, source, num_predictions=90)
    monkeypatch.setattr(gradients, "_CHUNK", 7)
    monkeypatch.setattr(gradients, "_BLOCK", 2)
    np.testing.assert_allclose(sensitivity_maps(model, source, num_predictions=90), whole, rtol=1e-10)


def test_gradients_need_a_window():
    model = FieldModel({"m1_a": some_fields(3, 1, 4, 5, 6)})
    source = recordings(recorded()).sources("test", model.history)[0]
    with pytest.raises(DataError, match="m1_a"):
        sensitivity_maps(model, source)


def test_an_encoder_with_all_its_parts_can_be_differentiated():
    spec = recording("m1_a", 3, (1, 5, 6))
    model = encoder(
        [spec],
        adapter=choice("adapter", "affine", grid_size=5),
        core=(choice("stage", "learnable_temporal", kernel_size=3),),
        recurrent=(choice("stage", "conv_gru", hidden_channels=3, burn_in=2),),
    )
    source = recordings(recorded()).sources("validation", model.history)[0]
    found = rate_gradients(model.eval().requires_grad_(requires_grad=False), source, [1], num_predictions=5)
    assert found.mean.shape == (1, 1, model.history + 1, 5, 6)
    assert np.isfinite(found.mean).all()
    assert found.power.max() > 0


@given(row=st.floats(5, 10), column=st.floats(5, 10), floor=st.floats(0, 5), height=st.floats(1e-3, 1e3))
def test_centres_are_found_between_pixels_above_any_floor(row, column, floor, height):
    found = field_centres(floor * height + height * blob(row, column)[None])
    np.testing.assert_allclose(found, [[row, column]], atol=0.02)


@given(st.integers(-2, 2), st.integers(-2, 2))
def test_a_moved_field_has_a_moved_centre(down, right):
    lobes = np.abs(blob(7.3, 6.0) - blob(7.3, 9.4))  # two lobes; the centre lies between them
    moved = np.roll(lobes, (down, right), axis=(0, 1))
    np.testing.assert_allclose(field_centres(lobes[None]), [[7.3, 7.7]], atol=0.1)
    np.testing.assert_allclose(field_centres(moved[None]) - field_centres(lobes[None]), [[down, right]], atol=0.02)


def test_a_flat_map_has_no_centre_and_a_single_pixel_is_its_own():
    assert np.isnan(field_centres(np.ones((1, 4, 4)))).all()
    spike = np.zeros((1, 1, 9))
    spike[0, 0, 6] = 2.0
    np.testing.assert_allclose(field_centres(spike), [[0, 6]], atol=1e-9)


def test_the_centres_of_the_units_that_made_the_data_are_recovered():
    """The estimate knows nothing of the true centres: from the true model it must find them, of both kinds of unit."""
    options = SyntheticOptions(
        num_sessions=1, num_subjects=1, num_units=12, duration=60, trial=3, size=20, num_repeats=0
    )
    dataset = Synthetic(options, DatasetFacts(seed=4))
    (source,) = dataset.sources("validation", TrueModel(dataset).history)
    found = field_centres(sensitivity_maps(TrueModel(dataset), source, num_predictions=60))
    errors = np.linalg.norm(found - dataset.groups[0].facts["truth"]["centre"], axis=1)
    assert np.median(errors) < 0.2
    assert errors.max() < 0.6


def test_masks_and_kernels_are_read_by_their_names():
    specs = [recording("m1_a", 3, (1, 5, 6)), recording("m2.b", 2, (1, 5, 6))]
    stage = choice("stage", "learnable_temporal", kernel_size=5, num_channels=2, init="identity")
    model = encoder(specs, core=(stage,))
    masks = spatial_masks(model, "m2.b")
    assert masks.shape == (2, 5, 6)
    np.testing.assert_allclose(masks.sum((1, 2)), 1.0)
    (kernels,) = temporal_kernels(model)
    assert kernels.name == "core.0"
    # oldest first: 'identity' copies the newest frame, then the one before it
    np.testing.assert_array_equal(kernels.weights[:, 0], [[0, 0, 0, 0, 1], [0, 0, 0, 1, 0]])


def test_a_readout_without_space_and_a_model_without_readouts_have_no_mask():
    model = encoder([recording()], readout=choice("readout", "pooled"))
    assert spatial_masks(model, "m1_a") is None
    assert spatial_masks(torch.nn.Linear(1, 1), "m1_a") is None
    assert temporal_kernels(torch.nn.Linear(1, 1)) == []


@pytest.mark.parametrize("length", [1, 3, 20])
def test_a_trace_is_the_recording_in_order(length):
    made = recorded(poison=1e9)
    fields = some_fields(3, 1, 4, 5, 6)
    dataset = recordings(made, length=length)
    trace = predicted_trace(SimpleEvaluation(dataset, FieldModel({"m1_a": fields})), dataset.groups[0])
    assert (np.diff(trace.frames) > 0).all()
    np.testing.assert_array_equal(np.isnan(trace.rates), ~trace.valid)
    counted = made.valid & (made.split == 1)[:, None] & (np.arange(made.num_frames) % 20 >= 3)[:, None]
    assert trace.valid.sum() == counted.sum()
    rows, units = np.nonzero(trace.valid)
    frames = trace.frames[rows]
    np.testing.assert_array_equal(trace.responses[rows, units], made.robs[frames, units])
    clips = np.stack([made.stim[frame - 3 : frame + 1] for frame in frames]).transpose(0, 2, 1, 3, 4)
    expected = (clips.astype(np.float64) * fields[units]).sum((1, 2, 3, 4))
    np.testing.assert_allclose(trace.rates[rows, units], expected, rtol=1e-4, atol=1e-5)


def test_the_longest_stretch_has_no_gap():
    frames = np.array([3, 4, 10, 11, 12, 20])
    trace = Trace(frames, *(np.zeros((6, 1)),) * 2, np.ones((6, 1), dtype=bool))
    assert frames[trace.longest_stretch(9)].tolist() == [10, 11, 12]
    assert frames[trace.longest_stretch(2)].tolist() == [10, 11]


def test_smoothing_keeps_constants_and_gaps_and_looks_at_no_masked_value():
    values = np.full((50, 2), 3.0)
    values[10:20, 0] = np.nan
    found = smoothed(values, 2.5)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    np.testing.assert_allclose(found[~np.isnan(found)], 3.0)
    np.testing.assert_array_equal(smoothed(values, 0), values)


def test_smoothing_spreads_one_spike_as_a_gaussian():
    spike = np.zeros(101)
    spike[50] = 1.0
    found = smoothed(spike, 3.0)
    expected = np.exp(-0.5 * (np.arange(-50, 51) / 3.0) ** 2) / (3.0 * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(found, expected, atol=1e-4)
