"""Losses of responses against torch's distributions and closed forms. B windows, L frames, N units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neural_models import batch, choice, model, recording
from torch import distributions

from visioncore_engine.contracts import Group, LossFacts
from visioncore_engine.errors import ConfigError
from visioncore_engine.objective import predict

MEANS = (0.5, 2.0, 0.001)


def build(name, mean=MEANS, **options):
    return choice("loss", name, **options).build(LossFacts((recording(mean=mean),)))


def scene(shape=(4, 5, 3), seed=0):
    draw = np.random.default_rng(seed)
    group = Group(
        name="m1_a",
        index=0,
        inputs=torch.empty(shape[0], 1, shape[1], 1, 1),
        targets={"robs": torch.from_numpy(draw.poisson(1.5, shape)).double()},
        mask=torch.from_numpy(draw.random(shape) < 0.6),
        items=torch.arange(shape[0]),
    )
    return torch.from_numpy(draw.gamma(2.0, 0.5, shape)).requires_grad_(), group


def per_unit(values, group):
    return torch.where(group.mask, values, 0.0).sum((0, 1))


def likelihood(name, rates, counts):
    """Negative log-likelihoods by torch's own distributions."""
    if name == "gaussian":
        return -2.0 * distributions.Normal(rates, torch.ones_like(rates)).log_prob(counts)
    if name == "bernoulli":
        return -distributions.Bernoulli(1.0 - torch.exp(-rates)).log_prob((counts > 0).double())
    if name == "negative_binomial":  # r + a r² is the variance of torch's with 1 / a failures and odds of a r
        return -distributions.NegativeBinomial(
            torch.tensor(1 / 0.3, dtype=torch.float64), probs=0.3 * rates / (1 + 0.3 * rates)
        ).log_prob(counts)
    return -distributions.Poisson(rates).log_prob(counts)


OPTIONS = {
    "gaussian": {},
    "bernoulli": {"eps": 0.0},
    "negative_binomial": {"eps": 0.0, "dispersion": 0.3},
    "poisson": {"eps": 0.0},
}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_up_to_what_no_rate_changes_it_is_the_negative_log_likelihood(name):
    rates, group = scene()
    loss, other = build(name, **OPTIONS[name]), torch.full_like(rates, 0.7)
    counts = group.targets["robs"]
    found = loss({"robs": rates}, group)["robs"] - loss({"robs": other}, group)["robs"]
    wanted = per_unit(likelihood(name, rates, counts) - likelihood(name, other, counts), group)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    (gradient,) = torch.autograd.grad(found.sum(), rates)
    (expected,) = torch.autograd.grad(wanted.sum(), rates)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(loss.weights(group)["robs"], group.mask.sum((0, 1)).double())


def test_a_variance_is_the_unit_s_training_mean_and_has_a_floor():
    rates, group = scene()
    plain = build("gaussian")({"robs": rates}, group)["robs"]
    scaled = build("gaussian", variance="mean", rate_floor=0.1)({"robs": rates}, group)["robs"]
    torch.testing.assert_close(scaled, plain / torch.tensor([0.5, 2.0, 0.1]).double())


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_inverse_rates_weigh_sums_and_weights_alike_with_a_floor(name):
    rates, group = scene()
    plain, weighed = build(name), build(name, unit_weights="inverse_rate", rate_floor=0.1)
    factors = torch.tensor([1 / 0.5, 1 / 2.0, 1 / 0.1]).double()
    torch.testing.assert_close(weighed({"robs": rates}, group)["robs"], plain({"robs": rates}, group)["robs"] * factors)
    torch.testing.assert_close(weighed.weights(group)["robs"], plain.weights(group)["robs"] * factors)


def test_a_unit_without_a_valid_training_value_gets_the_floor():
    loss = build("poisson", mean=(1.0, float("nan"), 1.0), unit_weights="inverse_rate", rate_floor=0.1)
    assert loss.weights(scene()[1])["robs"][1] == scene()[1].mask[..., 1].sum() / 0.1


@pytest.mark.parametrize("options", [{"unit_weights": "inverse_rate"}, {"variance": "mean"}])
def test_means_that_the_data_do_not_say_are_asked_for(options):
    with pytest.raises(ConfigError, match=f"loss.{next(iter(options))}.*do not say the mean of robs in m1_a"):
        build("gaussian", mean=(), **options)


def test_logits_are_taken_where_the_model_gives_them():
    drive, group = scene()
    loss = build("bernoulli")({"robs": torch.sigmoid(drive), "robs/logit": drive}, group)["robs"]
    wanted = -distributions.Bernoulli(logits=drive).log_prob((group.targets["robs"] > 0).double())
    torch.testing.assert_close(loss, per_unit(wanted, group))
    far = torch.where(group.targets["robs"] > 0, -2000.0, 2000.0).requires_grad_()  # certain, and wrong
    build("bernoulli")({"robs": torch.sigmoid(far), "robs/logit": far}, group)["robs"].sum().backward()
    assert torch.equal(far.grad.abs(), group.mask.float())


def test_negative_binomial_without_dispersion_is_poisson():
    rates, group = scene()
    found = build("negative_binomial", dispersion=1e-7)({"robs": rates}, group)["robs"]
    torch.testing.assert_close(found, build("poisson")({"robs": rates}, group)["robs"], rtol=1e-5, atol=1e-5)


def test_a_learned_dispersion_has_the_gradient_of_the_whole_likelihood():
    rates, group = scene()
    log_dispersion = torch.linspace(-2.0, 1.0, 3).double().requires_grad_()
    outputs = {"robs": rates, "robs/log_dispersion": log_dispersion.expand_as(rates)}
    (found,) = torch.autograd.grad(build("negative_binomial", eps=0.0)(outputs, group)["robs"].sum(), log_dispersion)
    dispersion = log_dispersion.exp()
    law = distributions.NegativeBinomial((1 / dispersion).expand_as(rates), logits=(rates * dispersion).log())
    (wanted,) = torch.autograd.grad(-per_unit(law.log_prob(group.targets["robs"]), group).sum(), log_dispersion)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_a_model_learns_its_dispersion_and_says_its_log_rates_and_logits():
    spec = recording(mean=MEANS)
    built = model("ln", [spec], num_frames=3, activation="exp", dispersion=0.2)
    windows = batch(built, [spec], [4])
    (outputs,) = predict(built, windows)
    assert set(outputs) == {"robs", "robs/log_rate", "robs/log_dispersion"}
    assert outputs["robs/log_dispersion"].exp().unique().tolist() == pytest.approx([0.2])
    build("negative_binomial")(outputs, windows.groups[0])["robs"].sum().backward()
    gradients = {name: value.grad for name, value in built.named_parameters()}
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values())
    assert "rates.log_dispersions.m1_a" in gradients
    likely = model("ln", [spec], num_frames=3, activation="sigmoid")
    (outputs,) = predict(likely, windows)
    torch.testing.assert_close(torch.sigmoid(outputs["robs/logit"]), outputs["robs"])
    assert outputs["robs"].mean((0, 1))[1] > 0.9  # the mean is 2: as near to 1 as a probability starts
    with pytest.raises(ValueError, match="above 1"):
        choice("model", "ln", num_frames=3, activation="sigmoid", baseline=0.1)
