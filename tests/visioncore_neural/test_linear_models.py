"""LN and GLM: equal to their formulas, and as good as the truth allows on data of their kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neural_models import batch, choice, model, recording
from neural_models import group as windows

from visioncore_common.names import module_name
from visioncore_engine.contracts import Batch, LossFacts
from visioncore_engine.errors import ConfigError, DataError
from visioncore_neural.models.rates import MIN_START_RATE

SIDE = {"behavior": 2}
SPECS = (
    recording("m1_a", 3, side={**SIDE, "previous_responses": 3}),
    recording("m2.b", 2, (2, 1, 4), side={**SIDE, "previous_responses": 2}, dt=0.02),
)
CASES = {
    "ln": ("ln", {"num_frames": 4}),
    "ln_of_rank_two": ("ln", {"num_frames": 4, "rank": 2, "activation": "elu1"}),
    "glm": ("glm", {"num_frames": 3, "num_lags": 5, "inputs": ["behavior"], "activation": "exp"}),
    "glm_coupled": ("glm", {"num_frames": 3, "num_lags": 2, "coupled": True, "baseline": 0.01}),
    "glm_without_responses": ("glm", {"num_frames": 3, "num_lags": 0, "inputs": ["behavior"]}),
}


def build(case, specs=SPECS):
    name, options = CASES[case]
    built = model(name, specs, **options)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return built


def drives(units, group, length, options):
    """Drive of a group from the formula, frame by frame."""
    x, num_frames, num_lags = group.inputs.numpy(), options["num_frames"], options.get("num_lags", 0)
    drive = np.zeros((len(x), length, len(units.bias))) + units.bias.detach().numpy()
    filters = units.filters().detach().numpy()
    last = x.shape[2] - length
    for frame in range(length):
        now = last + frame
        drive[:, frame] += np.einsum("bcthw,ncthw->bn", x[:, :, now - num_frames + 1 : now + 1], filters)
        if units.side is not None:
            drive[:, frame] += group.side["behavior"].numpy()[:, now] @ units.side.detach().numpy().T
        if num_lags:
            lags = group.side["previous_responses"].numpy()[:, now - num_lags + 1 : now + 1]
            weights = units.response.detach().numpy()
            drive[:, frame] += np.einsum("bkm,nmk->bn" if options.get("coupled") else "bkn,nk->bn", lags, weights)
    return drive


@pytest.mark.parametrize("case", CASES)
def test_linear_models_equal_their_formula(case):
    built, options = build(case), CASES[case][1]
    num_lags = options.get("num_lags", 0)
    assert built.history == max(options["num_frames"], num_lags) - 1
    some = batch(built, SPECS, (2, 3), length=4)
    for group, output, units in zip(some.groups, built(some), built.units.values(), strict=True):
        drive = drives(units, group, 4, options)
        if options.get("activation", "softplus") == "softplus":
            expected = np.log1p(np.exp(drive))
        elif case == "ln_of_rank_two":
            expected = np.where(drive > 0, drive + 1, np.exp(np.minimum(drive, 0)))
        else:
            expected = np.exp(drive)
        if options.get("baseline"):
            expected = expected + built.rates.baselines[module_name(group.name)].log_rate.exp().detach().numpy()
        np.testing.assert_allclose(output["robs"].detach().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_linear_models_keep_the_laws_of_models(case):
    built = build(case)
    some = batch(built, SPECS, (2, 3), length=4)
    outputs = built(some)
    # groups and windows do not see each other
    for index, group in enumerate(some.groups):
        assert torch.equal(built(Batch([group]))[0]["robs"], outputs[index]["robs"])
    # no later frame is seen
    inputs = some.groups[0].inputs.requires_grad_()
    for frame in range(4):
        (seen,) = torch.autograd.grad(built(some)[0]["robs"][:, frame].sum(), inputs)
        now, past = frame + built.history, CASES[case][1]["num_frames"] - 1
        energy = seen.abs().sum(dim=(0, 1, 3, 4))
        assert (energy > 0).tolist() == [now - past <= t <= now for t in range(len(energy))]
    # every parameter learns
    loss = choice_of_loss()
    sum(loss(o, g)["robs"].sum() for o, g in zip(built(some), some.groups, strict=True)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in built.parameters())
    # parameters are named by their recording
    assert {name.split(".")[1] for name in built.state_dict() if name.startswith("units.")} == {"m1_a", "m2%2Eb"}


def choice_of_loss():
    return choice("loss", "poisson").build(LossFacts(SPECS))


@pytest.mark.parametrize("case", CASES)
def test_rates_start_at_the_mean_responses_and_filters_at_nothing(case):
    specs = (recording("m1_a", 3, side={**SIDE, "previous_responses": 3}, mean=(0.02, 3.5, float("nan"))),)
    name, options = CASES[case]
    built = model(name, specs, **options)
    rates = built(batch(built, specs, (2,)))[0]["robs"]
    floor = MIN_START_RATE + options.get("baseline", 0.0)
    expected = torch.tensor([0.02, 3.5, floor], dtype=torch.float64).expand_as(rates)
    torch.testing.assert_close(rates, expected, rtol=1e-7, atol=0)


def test_a_glm_finds_the_filters_that_made_the_data():
    draw = np.random.default_rng(0)
    spec = recording("m1_a", 2, (1, 1, 3), side={"previous_responses": 2})
    true, own = draw.normal(size=(2, 1, 3, 1, 3)) * 0.2, np.array([[-0.4, -0.8], [0.1, -0.3]])
    frames = 6000
    x = draw.normal(size=(frames, 3))
    counts, previous = np.zeros((frames, 2)), np.zeros((frames, 2))
    for t in range(3, frames):
        previous[t] = counts[t - 1]
        drive = np.einsum("tw,ntw->n", x[t - 2 : t + 1], true[:, 0, :, 0]) - 0.7
        drive += own[:, 0] * previous[t - 1] + own[:, 1] * previous[t]
        counts[t] = draw.poisson(np.exp(drive))
    built = model("glm", [spec], num_frames=3, num_lags=2, activation="exp")
    some = windows(spec, 1, frames, frames - 2, dtype=torch.float64)
    some.inputs = torch.from_numpy(x[None, None, :, None, :])
    some.targets = {"robs": torch.from_numpy(counts[None, 2:])}
    some.mask = torch.ones(1, frames - 2, 1, dtype=torch.bool)
    some.side = {"previous_responses": torch.from_numpy(previous[None])}
    loss = choice("loss", "poisson").build(LossFacts((spec,)))
    optimizer = torch.optim.LBFGS(built.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(built(Batch([some]))[0], some)["robs"].sum() / frames
        value.backward()
        return value

    optimizer.step(closure)
    units = built.units["m1_a"]
    assert np.abs(units.filters().detach().numpy() - true).max() < 0.08
    assert np.abs(units.response.detach().numpy() - own).max() < 0.12


def test_what_a_linear_model_lacks_is_named():
    with pytest.raises(ConfigError, match="'previous_responses', which is missing in m9"):
        model("glm", [recording("m9", 2)])
    with pytest.raises(ConfigError, match=r"'behaviour', which is missing in m1_a; did you mean 'behavior'"):
        model("glm", SPECS, inputs=["behaviour"])
    built = build("glm")
    some = batch(built, SPECS, (1, 1))
    del some.groups[1].side["behavior"]
    with pytest.raises(DataError, match=r"m2\.b: the batch brings no side input 'behavior'"):
        built(some)
    with pytest.raises(DataError, match="longer than the model's history of 4 frames"):
        built(batch(built, SPECS, (1, 1), length=0))
