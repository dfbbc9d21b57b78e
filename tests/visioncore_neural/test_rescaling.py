"""Rescaled scores are fitted apart from what they score, and intervals come from blocks of time."""

from __future__ import annotations

import numpy as np
import pytest
from neural_truth import FieldModel, SimpleEvaluation, recorded, recordings
from torch import nn

from visioncore_engine.contracts import EvaluatorFacts
from visioncore_neural.analysis.resampling import bits_of, block_interval, block_sums, correlation_of
from visioncore_neural.analysis.rescaling import cross_rescaled, fit_affine, folds_of
from visioncore_neural.evaluators.units import Units
from visioncore_neural.options.evaluator import UnitsOptions


def drawn(num=4000, seed=0):
    draws = np.random.default_rng(seed)
    rates = draws.gamma(2.0, 0.3, (num, 3))
    counts = draws.poisson(np.array([0.5, 1.0, 2.0]) * rates + np.array([0.3, 0.0, 0.1])).astype(float)
    return rates, counts, draws.random((num, 3)) > 0.2


def likelihood(a, b, rates, counts):
    return float((counts * np.log(a * rates + b) - a * rates - b).sum())


def test_a_gain_and_an_offset_are_the_best_there_are():
    rates, counts, valid = drawn()
    a, b = fit_affine(rates, counts, valid)
    for unit in range(3):
        own = valid[:, unit]
        best = likelihood(a[unit], b[unit], rates[own, unit], counts[own, unit])
        for factor in (0.99, 1.01):
            assert likelihood(factor * a[unit], b[unit], rates[own, unit], counts[own, unit]) < best
            assert likelihood(a[unit], factor * b[unit] + 1e-4, rates[own, unit], counts[own, unit]) < best + 1e-6
    np.testing.assert_allclose(a, [0.5, 1.0, 2.0], rtol=0.1)
    np.testing.assert_allclose(b, [0.3, 0.0, 0.1], atol=0.08)


def test_values_under_the_mask_do_not_matter_to_the_fit():
    rates, counts, valid = drawn()
    hidden = np.where(valid, counts, np.nan)
    wild = np.where(valid, rates, np.nan)
    np.testing.assert_array_equal(fit_affine(wild, hidden, valid), fit_affine(rates, counts, valid))


def test_a_silent_unit_is_not_rescaled():
    rates, counts, valid = drawn()
    counts[:, 1] = 0
    a, b = fit_affine(rates, counts, valid)
    assert (a[1], b[1]) == (1.0, 0.0)


def test_a32_what_is_scored_takes_no_part_in_its_own_rescaling():
    rates, counts, valid = drawn()
    folds = folds_of(len(rates), 5, 50)
    before = cross_rescaled(rates, counts, valid, folds)
    changed = np.where((folds == 2)[:, None], counts + 7, counts)
    after = cross_rescaled(rates, changed, valid, folds)
    np.testing.assert_array_equal(after[folds == 2], before[folds == 2])
    assert not np.allclose(after[folds != 2], before[folds != 2])


def test_a32_a_rescaled_prediction_of_noise_gains_nothing():
    """Fitted on the scored frames themselves, noise seems to inform about noise."""
    draws = np.random.default_rng(1)
    rates, counts = draws.gamma(2.0, 0.5, (60, 400)), draws.poisson(1.0, (60, 400)).astype(float)
    valid = np.ones_like(rates, dtype=bool)

    def bits(rescaled):
        return bits_of({name: value[0] for name, value in block_sums(rescaled, counts, valid, 60).items()}).mean()

    a, b = fit_affine(rates, counts, valid)
    assert bits(a * rates + b) > 0.002
    assert bits(cross_rescaled(rates, counts, valid, folds_of(60, 5, 1))) < 0.0


def test_folds_are_blocks_that_take_turns():
    assert folds_of(10, 2, 3).tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1]


def test_the_interval_of_a_mean_like_score_is_that_of_its_blocks():
    draws = np.random.default_rng(2)
    values = draws.normal(size=(300, 2))
    sums = block_sums(values, values, np.ones_like(values, dtype=bool), 3)
    low, high = block_interval(sums, lambda own: own["x"] / own["n"], num_draws=4000, key=(1,))
    spread = sums["x"].std(0) / 3 / np.sqrt(100)
    np.testing.assert_allclose((high - low) / 2, 1.96 * spread, rtol=0.06)


def test_scores_from_blocks_are_the_scores():
    rates, counts, valid = drawn()
    whole = {name: value.sum(0) for name, value in block_sums(rates, counts, valid, 37).items()}
    for unit in range(3):
        own = valid[:, unit]
        expected = np.corrcoef(rates[own, unit], counts[own, unit])[0, 1]
        assert correlation_of(whole)[unit] == pytest.approx(expected)


class Softplus(FieldModel):
    def forward(self, batch):
        return [{"robs": nn.functional.softplus(output["robs"])} for output in super().forward(batch)]


def test_the_table_has_the_columns_that_are_asked_for():
    made = recorded(num_frames=2000)
    fields = {"m1_a": 0.2 * np.random.default_rng(8).normal(size=(3, 1, 4, 5, 6))}
    evaluation = SimpleEvaluation(recordings(made), Softplus(fields))
    options = UnitsOptions(rescale=True, num_draws=100, block=0.4)
    evaluator = Units(options, EvaluatorFacts(evaluation.dataset.groups))
    table = evaluator.evaluate(evaluation).tables["units"]
    for row in table.rows:
        for name in ("bits_per_spike", "single_trial_correlation"):
            assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
        # a random model is worse than the mean rate; a gain near 0 and an offset bring it back to it
        assert row["bits_per_spike"] < row["bits_per_spike_rescaled"] < 0.05
    assert set(table.columns) == set(table.rows[0])
    assert evaluator.evaluate(evaluation).tables["units"].rows == table.rows or np.isnan(table.rows[0]["feve"])
