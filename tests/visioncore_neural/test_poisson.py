"""The Poisson loss: its formula, its weights, and masks that mean it. B windows, L frames, N units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_models import choice, recording

from visioncore_engine.contracts import Group, LossFacts
from visioncore_engine.errors import DataError


def build(num_units=3, kind="counts", **options):
    return choice("loss", "poisson", **options).build(LossFacts((recording(num_units=num_units, kind=kind),)))


def scene(seed=0, shape=(4, 5, 3), per_unit=True, dtype=torch.float64):
    """Rates, and a group with counts and a mask."""
    draw = np.random.default_rng(seed)
    mask = draw.random(shape if per_unit else (*shape[:2], 1)) < 0.6
    group = Group(
        name="m1_a",
        index=0,
        inputs=torch.empty(shape[0], 1, shape[1], 1, 1),
        targets={"robs": torch.from_numpy(draw.poisson(1.5, shape)).to(dtype)},
        mask=torch.from_numpy(mask),
        items=torch.arange(shape[0]),
    )
    return torch.from_numpy(draw.gamma(2.0, 0.5, shape)).to(dtype), group


@pytest.mark.parametrize("per_unit", [True, False])
@pytest.mark.parametrize("eps", [0.0, 1e-8, 0.1])
def test_sums_and_gradients_equal_their_formulas(per_unit, eps):
    rates, group = scene(per_unit=per_unit)
    rates.requires_grad_()
    loss = build(eps=eps)
    sums = loss({"robs": rates}, group)["robs"]
    sums.sum().backward()
    r, k = rates.detach().numpy(), group.targets["robs"].numpy()
    valid = np.broadcast_to(group.mask.numpy(), r.shape)
    np.testing.assert_allclose(sums.detach(), ((r - k * np.log(r + eps)) * valid).sum((0, 1)), rtol=1e-13)
    np.testing.assert_allclose(rates.grad, (1 - k / (r + eps)) * valid, rtol=1e-13, atol=1e-15)
    weights = loss.weights(group)["robs"]
    assert weights.dtype == torch.float64
    np.testing.assert_array_equal(weights, valid.sum((0, 1)))


def test_the_log_rate_is_taken_where_the_model_gives_it_and_has_a_gradient_at_any_rate():
    rates, group = scene()
    drive = rates.log().detach().requires_grad_()
    loss = build(eps=0.0)
    sums = loss({"robs": drive.exp(), "robs/log_rate": drive}, group)["robs"]
    torch.testing.assert_close(sums, loss({"robs": rates}, group)["robs"], rtol=1e-12, atol=1e-12)
    group.targets["robs"].fill_(2.0)
    faint = torch.full_like(drive, -200.0).float().requires_grad_()  # the rate is 0 in float32
    build()({"robs": faint.exp(), "robs/log_rate": faint}, group)["robs"].sum().backward()
    assert torch.equal(faint.grad, torch.where(group.mask, -2.0, 0.0).float())
    drive = torch.where(group.mask, drive.detach(), float("nan")).requires_grad_()
    sums = loss({"robs": rates, "robs/log_rate": drive}, group)["robs"]
    sums.sum().backward()
    assert torch.isfinite(sums).all()
    assert torch.equal(drive.grad == 0, ~group.mask)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    per_unit=st.booleans(),
    bad=st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e9, -1e9, 0.0]),
    where=st.sampled_from(["rates", "counts", "both"]),
)
def test_values_under_a_false_mask_change_no_bit_of_the_loss_or_its_gradient(seed, per_unit, bad, where):
    rates, group = scene(seed, per_unit=per_unit, dtype=torch.float32)
    loss = build()
    hidden = ~group.mask.expand_as(rates)

    def evaluate(rates, counts):
        rates = rates.clone().requires_grad_()
        altered = Group(**{**vars(group), "targets": {"robs": counts}})
        sums = loss({"robs": rates}, altered)["robs"]
        sums.sum().backward()
        return sums.detach(), rates.grad, loss.weights(altered)["robs"]

    counts = group.targets["robs"]
    clean = evaluate(rates, counts)
    dirty = evaluate(
        rates.masked_fill(hidden, bad) if where != "counts" else rates,
        counts.masked_fill(hidden, bad) if where != "rates" else counts,
    )
    assert all(torch.equal(a, b) for a, b in zip(clean, dirty, strict=True))


def test_a18_one_mask_for_all_units_weighs_like_a_mask_per_unit():
    rates, group = scene(per_unit=False)
    spread = Group(**{**vars(group), "mask": group.mask.expand_as(rates).contiguous()})
    loss = build()
    assert torch.equal(loss({"robs": rates}, group)["robs"], loss({"robs": rates}, spread)["robs"])
    assert torch.equal(loss.weights(group)["robs"], loss.weights(spread)["robs"])
    assert loss.weights(group)["robs"].shape == (3,)


def test_doubling_windows_frames_or_units_leaves_the_mean_alone():
    rates, group = scene()
    loss = build()

    def mean(rates, group, loss):
        return loss({"robs": rates}, group)["robs"].sum() / loss.weights(group)["robs"].sum()

    once = mean(rates, group, loss)
    for dim in (0, 1, 2):
        twice = Group(
            **{
                **vars(group),
                "targets": {"robs": torch.cat([group.targets["robs"]] * 2, dim)},
                "mask": torch.cat([group.mask] * 2, dim),
            }
        )
        torch.testing.assert_close(mean(torch.cat([rates] * 2, dim), twice, build(6 if dim == 2 else 3)), once)


def test_a_group_without_a_valid_value_adds_nothing():
    rates, group = scene()
    rates.requires_grad_()
    empty = Group(**{**vars(group), "mask": torch.zeros_like(group.mask)})
    sums = build()({"robs": rates}, empty)["robs"]
    sums.sum().backward()
    assert torch.equal(sums.detach(), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(rates.grad, torch.zeros_like(rates))
    assert torch.equal(build().weights(empty)["robs"], torch.zeros(3, dtype=torch.float64))


def test_frames_before_the_predicted_ones_are_left_out():
    rates, group = scene()
    early = torch.cat([torch.full((4, 2, 3), 7.0, dtype=torch.float64), rates], dim=1)
    assert torch.equal(build()({"robs": early}, group)["robs"], build()({"robs": rates}, group)["robs"])


def test_low_precision_is_raised_before_the_logarithm():
    rates, group = scene(dtype=torch.float32)
    low = rates.bfloat16()
    sums = build()({"robs": low}, group)["robs"]
    assert sums.dtype == torch.float32
    assert torch.equal(sums, build()({"robs": low.float()}, group)["robs"])


def test_the_least_loss_is_the_mean():
    _, group = scene(shape=(50, 4, 3))
    valid = group.mask.expand_as(group.targets["robs"])
    mean = (group.targets["robs"] * valid).sum((0, 1)) / valid.sum((0, 1))
    best = build(eps=0.0)({"robs": mean.expand_as(group.targets["robs"])}, group)["robs"]
    for factor in (0.9, 1.1):
        assert torch.all(build()({"robs": (mean * factor).expand_as(valid)}, group)["robs"] > best)


def test_only_counts_and_rates_are_taken():
    build(kind="rates")
    with pytest.raises(DataError, match=r"m1_a: targets.robs: rates are predicted for targets of kind counts or rates"):
        build(kind="classes")
