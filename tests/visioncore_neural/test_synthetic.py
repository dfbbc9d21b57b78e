"""Simulated recordings: the truth that they state is the truth that is in them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from neural_recordings import choice

from visioncore_engine.contracts import DatasetFacts
from visioncore_neural.data.audit import audit
from visioncore_neural.data.fingerprint import recording_fingerprint
from visioncore_neural.options.dataset import SyntheticOptions
from visioncore_neural.recording import SPLITS
from visioncore_neural.simulation.dataset import Synthetic
from visioncore_neural.simulation.session import session_name, simulate
from visioncore_neural.simulation.stimulus import DEGREES_PER_PIXEL, images


def options(**changes):
    return SyntheticOptions.model_validate_json(json.dumps(changes))


SMALL = {"num_sessions": 2, "num_units": 6, "duration": 100, "trial": 5, "num_repeats": 3}


@pytest.fixture(scope="module")
def demo():
    """One session of the default size."""
    return simulate(options(), 3, 0)


def test_a_session_is_a_pure_function_of_options_seed_and_number():
    one, truth = simulate(options(**SMALL), 7, 1)
    other, again = simulate(options(**SMALL | {"num_sessions": 9, "num_subjects": 2}), 7, 1)
    assert recording_fingerprint(one) == recording_fingerprint(other)
    np.testing.assert_array_equal(truth.rate, again.rate)
    for seed, index in ((8, 1), (7, 0)):
        assert recording_fingerprint(simulate(options(**SMALL), seed, index)[0]) != recording_fingerprint(one)


def test_the_seed_is_the_run_s_unless_the_options_give_one():
    def known(run_seed, **changes):
        return Synthetic(options(**SMALL, **changes), DatasetFacts(seed=run_seed)).fingerprints()

    assert known(1) == known(2, seed=1) != known(2)


def test_the_demo_is_what_it_promises(demo):
    recording, truth = demo
    valid = np.asarray(recording.valid)
    assert 1 - valid.any(1).mean() >= 0.10
    kinds = truth.population.kinds
    assert kinds.count("energy") == kinds.count("linear") == len(kinds) / 2
    rate = truth.rate.mean(0) / recording.dt
    assert (rate >= 2.0 - 1e-3).all()
    assert (rate <= 20.0 + 1e-3).all()
    np.testing.assert_allclose(rate, truth.population.mean_rate, rtol=1e-3)
    assert options().num_sessions * options().num_units >= 60
    assert {session_name(i, options().num_subjects) for i in range(3)} == {
        ("m1_a", "m1"),
        ("m2_a", "m2"),
        ("m1_b", "m1"),
    }


def test_counts_are_poisson_draws_of_the_stated_rate(demo):
    """Valid counts vary around the stated rate by its own size, for every unit."""
    recording, truth = demo
    for unit in range(recording.num_units):
        valid = np.asarray(recording.valid)[:, unit]
        observed, expected = np.asarray(recording.robs)[valid, unit], truth.rate[valid, unit].astype(float)
        assert abs(((observed - expected) ** 2).sum() / expected.sum() - 1) < 0.15
        assert abs(observed.sum() / expected.sum() - 1) < 5 / np.sqrt(expected.sum())


def test_what_is_masked_is_not_the_truth(demo):
    recording, truth = demo
    invalid = ~np.asarray(recording.valid)
    assert np.asarray(recording.robs)[invalid].mean() > truth.rate[invalid].mean() + 1


def spike_triggered(recording, truth, unit, lag):
    """Average stimulus before a spike, weighted by the true rate: no noise of the draw."""
    rate = truth.rate[lag:, unit] - truth.rate[lag:, unit].mean()
    stim = np.asarray(recording.stim)[: len(rate), 0].astype(np.float32) - 127
    return np.tensordot(rate, stim, 1) / len(rate)


def test_receptive_fields_lie_where_the_truth_says():
    """On white noise, reverse correlation finds centre, orientation and delay of the linear units."""
    recording, truth = simulate(options(stimulus="noise", behavior_channels=0, fixation=0.01, eye_drift=0.0), 0, 0)
    population, size = truth.population, recording.stim.shape[-1]
    row, column = np.mgrid[:size, :size]
    for unit in range(0, recording.num_units, 2):
        lags = [spike_triggered(recording, truth, unit, lag) for lag in range(5)]
        found = max(lags, key=np.linalg.norm)
        power = np.where(np.abs(found) > 0.3 * np.abs(found).max(), found**2, 0)
        centre = np.array([(power * row).sum(), (power * column).sum()]) / power.sum()
        assert np.linalg.norm(centre - population.centre[unit]) < 1.0
        filters = population.filters(size)[0, unit]
        assert (found * filters).sum() / np.linalg.norm(found) > 0.8
        best = int(np.argmax([(lag * filters).sum() for lag in lags]))
        assert abs(best - population.delay[unit] / recording.dt) <= 0.75


def test_energy_units_do_not_care_about_phase():
    """An energy unit's rate is the same for a grating and for its negative; a linear unit's is not."""
    from visioncore_neural.simulation.units import draw_population, responses

    rng = np.random.default_rng(0)
    population = draw_population(8, 20, gain=(0, 0.0), rates=(5.0, 5.0), rng=rng)
    stim = rng.integers(27, 228, (3000, 20, 20)).astype(np.uint8)
    within, behavior = np.arange(3000), np.zeros((3000, 0), np.float32)
    rate = responses(population, stim, behavior, 1 / 30, within)
    mirrored = responses(population, (254 - stim).astype(np.uint8), behavior, 1 / 30, within)
    for unit, kind in enumerate(population.kinds):
        same = np.corrcoef(rate[:, unit], mirrored[:, unit])[0, 1]
        assert same > 0.999 if kind == "energy" else same < 0.2


def test_delays_are_the_peaks_of_the_temporal_kernels(demo):
    _, truth = demo
    kernels = truth.population.kernels(0.001)
    np.testing.assert_allclose(kernels.argmax(1) * 0.001, truth.population.delay, atol=0.001)


def test_behavior_scales_rates_as_stated(demo):
    """The log rate of a repeated frame differs between presentations by the stated gain times behavior."""
    recording, truth = demo
    repeat = np.asarray(recording.repeat_frame)
    first = np.flatnonzero(repeat == 40)
    log_rate = np.log(truth.rate[first].astype(float))
    expected = np.asarray(recording.behavior)[first].astype(float) @ truth.population.gain.T
    np.testing.assert_allclose(log_rate - log_rate.mean(0), expected - expected.mean(0), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(truth.population.gain, axis=1), options().behavior_gain)


def test_every_presentation_of_a_clip_has_the_same_rate_from_its_first_frame_on():
    recording, truth = simulate(options(**SMALL, behavior_channels=0), 0, 0)
    repeat = np.asarray(recording.repeat_frame)
    for frame in (0, 1, 5, repeat.max()):
        rates = truth.rate[repeat == frame]
        np.testing.assert_allclose(rates, np.broadcast_to(rates[0], rates.shape), rtol=1e-5)


def test_repeats_show_one_clip_each_and_stay_in_one_split(demo):
    recording, _ = demo
    found = audit(recording, frames=50)
    assert not found.errors
    assert not found.warnings
    repeat, split = np.asarray(recording.repeat_frame), np.asarray(recording.split)
    for name in ("validation", "repeats"):
        frames = np.flatnonzero((repeat >= 0) & (split == SPLITS[name]))
        assert len(frames) == options().num_repeats * round(options().trial / options().dt)
    assert not ((repeat >= 0) & (split == SPLITS["train"])).any()


def test_eye_movements_move_the_image(demo):
    """Within a fixation, the image moves against the eye: shifting it back by the gaze undoes it."""
    recording, _ = demo
    gaze = np.asarray(recording.eyepos) / DEGREES_PER_PIXEL
    assert 0.5 < gaze.std() < 3
    stim = np.asarray(recording.stim)[:, 0].astype(float)
    moves = np.diff(gaze, axis=0)
    right = np.flatnonzero((np.abs(moves[:, 0] - 2) < 0.15) & (np.abs(moves[:, 1]) < 0.15))
    undone, kept = [], []
    for t in right:
        undone.append(np.abs(stim[t + 1, :, :-2] - stim[t, :, 2:]).mean())
        kept.append(np.abs(stim[t + 1] - stim[t]).mean())
    assert len(right) > 20
    assert np.median(undone) < 0.5 * np.median(kept)


def test_natural_images_have_a_spectrum_of_one_over_f_and_noise_a_flat_one():
    rng = np.random.default_rng(0)
    for kind, slope in (("natural_like", -2.0), ("noise", 0.0)):
        pictures = images(200, 20, kind, rng) - 127
        side = pictures.shape[-1]
        power = (np.abs(np.fft.fft2(pictures)) ** 2).mean(0)
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
        inside = (frequency > 0) & (frequency < 0.4)
        assert abs(np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0] - slope) < 0.1


def test_the_truth_follows_the_chosen_units():
    whole = Synthetic(options(**SMALL), DatasetFacts(seed=0))
    part = Synthetic(options(**SMALL, units=["*/u00[14]"]), DatasetFacts(seed=0))
    assert part.groups[0].targets["robs"].ids == ("u001", "u004")
    np.testing.assert_array_equal(part.truth("m1_a").rate, whole.truth("m1_a").rate[:, [1, 4]])
    facts, every = part.groups[0].facts["truth"], whole.groups[0].facts["truth"]
    assert facts["centre"] == [every["centre"][1], every["centre"][4]]
    assert facts["kind"] == ["energy", "linear"]


def test_the_truth_follows_units_that_were_chosen_while_preparing(tmp_path):
    units = Synthetic(options(**SMALL), DatasetFacts(seed=0)).groups[0].targets["robs"].ids
    (tmp_path / "units.csv").write_text(
        "\n".join(["session,unit,start,stop,missing_pct", *(f"m1_a,{unit},0,9,0" for unit in units)])
    )
    prepare = (
        choice("preparation", "select_units", ids={"m1_a": [units[1], units[4]]}),
        choice("preparation", "missing_pct", table=str(tmp_path / "units.csv")),
    )
    chosen = options(**{**SMALL, "num_sessions": 1, "num_subjects": 1}).model_copy(update={"prepare": prepare})
    part = Synthetic(chosen, DatasetFacts(seed=0))
    whole = Synthetic(options(**{**SMALL, "num_sessions": 1, "num_subjects": 1}), DatasetFacts(seed=0))
    np.testing.assert_array_equal(part.truth("m1_a").rate, whole.truth("m1_a").rate[:, [1, 4]])
    facts = [dataset.groups[0].facts["truth"]["centre"] for dataset in (part, whole)]
    np.testing.assert_array_equal(facts[0], np.asarray(facts[1])[[1, 4]])


def test_nothing_is_said_to_be_true_of_frames_that_were_put_together():
    prepare = (choice("preparation", "downsample", factor=2),)
    opened = Synthetic(options(**SMALL).model_copy(update={"prepare": prepare}), DatasetFacts(seed=0))
    assert all("truth" not in group.facts for group in opened.groups)


def test_batches_say_which_frame_of_the_truth_they_are():
    opened = Synthetic(options(**SMALL, window={"length": 16}), DatasetFacts(seed=0))
    source = opened.sources("test", 5)[1]
    group = source.gather(np.arange(source.num_items))
    rate = opened.truth(group.name).rate[group.tags["frame"].numpy()]
    mask = group.mask.numpy()
    assert np.corrcoef(rate[mask], group.targets["robs"].numpy()[mask])[0, 1] > 0.3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_sessions": 1, "num_subjects": 2}, "more than `num_sessions`"),
        ({"min_rate": 9.0, "max_rate": 3.0}, "less than `min_rate`"),
        ({"trial": 0.1}, "at least 20 frames"),
        ({"duration": 20.0}, "at least 10 trials"),
        ({"split": {"fractions": [0.8, 0.3, 0.1]}}, "split"),
        ({"num_unit": 3}, "num_unit"),
        ({"dt": 0.07}, "less than or equal to 0.06"),
    ],
)
def test_options_that_make_no_recording_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        options(**wrong)


def test_the_longest_frames_still_see_every_response():
    # The fastest unit's response has turned negative after 60.4 ms: longer frames would have no kernel left.
    recording, truth = simulate(options(**{**SMALL, "num_units": 300}, dt=0.06), 0, 0)
    assert truth.population.delay.min() < 0.0352
    assert np.isfinite(truth.population.kernels(recording.dt)).all()
    assert np.isfinite(truth.rate).all()


def test_no_behavior_and_no_masks_where_none_are_asked():
    recording, _ = simulate(options(**SMALL, behavior_channels=0, invalid=0.0), 0, 0)
    assert recording.behavior is None
    assert np.asarray(recording.valid).all()
    assert Synthetic(options(**SMALL, behavior_channels=0), DatasetFacts(seed=0)).groups[0].side == {}
