"""What compares numbers (`huber`, `mean_absolute_error`, `residuals`), and `linear`, which predicts them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from example_lab.evaluator import Residuals
from example_lab.loss import Huber
from example_lab.metric import MeanAbsoluteError
from example_lab.model import Linear
from example_lab.options import HuberOptions, LinearOptions, ResidualsOptions
from visioncore_engine.contracts import (
    Batch,
    EvaluatorFacts,
    Group,
    GroupSpec,
    LossFacts,
    MetricFacts,
    ModelFacts,
    TargetSpec,
)
from visioncore_engine.errors import DataError
from visioncore_engine.options import Options

SPEC = GroupSpec("m1.a", {}, (2,), {"y": TargetSpec("values", 3, "columns", ("a", "b", "c"), (1.0, 2.0, 3.0))})
CLASSES = GroupSpec("m2", {}, (2,), {"y": TargetSpec("classes", 3)})


def batch(poison: float, *, frames: int | None = None) -> tuple[dict[str, torch.Tensor], Group]:
    """Seven rows, or windows of `frames`, with a mask; the third column has no valid value."""
    draws = np.random.default_rng(7)
    shape = (7, 3) if frames is None else (7, frames, 3)
    mask = draws.random(shape) < 0.7
    mask[..., 2] = False
    values, outputs = 2 * draws.normal(size=shape), 2 * draws.normal(size=shape)
    values[~mask] = poison
    inputs = torch.from_numpy(draws.normal(size=(7, 2)))
    group = Group("m1.a", 0, inputs, {"y": torch.from_numpy(values)}, torch.from_numpy(mask), torch.arange(7))
    return {"y": torch.from_numpy(outputs).requires_grad_()}, group


@pytest.mark.parametrize("frames", [None, 4])
def test_huber_is_its_formula_and_nothing_under_the_mask_counts(frames: int | None) -> None:
    loss = Huber(HuberOptions(delta=0.7), LossFacts((SPEC,)))
    gradients = []
    for poison in (0.0, math.nan, 1e9):
        outputs, group = batch(poison, frames=frames)
        (total,) = loss(outputs, group).values()
        errors = np.abs((outputs["y"].detach() - group.targets["y"]).numpy())
        straight = 0.7 * (errors - 0.35)
        expected = np.where(group.mask, np.where(errors <= 0.7, errors**2 / 2, straight), 0.0)
        np.testing.assert_allclose(total.detach(), expected.reshape(-1, 3).sum(0))
        np.testing.assert_array_equal(loss.weights(group)["y"], group.mask.numpy().reshape(-1, 3).sum(0))
        total.sum().backward()
        gradients.append(outputs["y"].grad)
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


def test_outputs_may_begin_before_the_target() -> None:
    outputs, group = batch(0.0, frames=4)
    longer = {"y": torch.cat([torch.full((7, 2, 3), 99.0), outputs["y"]], dim=1)}
    loss = Huber(HuberOptions(), LossFacts((SPEC,)))
    torch.testing.assert_close(loss(longer, group), loss(outputs, group))


def test_the_metric_adds_up_over_any_cut_and_scores_no_empty_column() -> None:
    metric = MeanAbsoluteError(Options(), MetricFacts((SPEC,)))
    outputs, group = batch(math.nan)
    state = metric.state(SPEC)
    for rows in (slice(0, 1), slice(1, 7)):
        part = Group(
            "m1.a", 0, group.inputs[rows], {"y": group.targets["y"][rows]}, group.mask[rows], group.items[rows]
        )
        metric.update(state, {"y": outputs["y"][rows].detach()}, part)
    result = metric.compute({"m1.a": state})
    errors = np.abs((outputs["y"].detach() - group.targets["y"]).numpy())
    expected = [errors[group.mask.numpy()[:, column], column].mean() for column in (0, 1)]
    np.testing.assert_allclose(result.columns["m1.a"], [*expected, np.nan])
    assert result.scalars["mean_absolute_error"] == pytest.approx(np.mean(expected))
    assert math.isnan(metric.compute({"m1.a": metric.state(SPEC)}).scalars["mean_absolute_error"])


def test_residuals_are_moments_over_any_cut() -> None:
    outputs, group = batch(math.nan)
    parts = []
    for rows in (slice(0, 2), slice(2, 3), slice(3, 7)):
        part = Group(
            "m1.a", 0, group.inputs[rows], {"y": group.targets["y"][rows]}, group.mask[rows], group.items[rows]
        )
        parts.append((Batch([part]), [{"y": outputs["y"][rows].detach()}]))
    evaluation = SimpleNamespace(batches=lambda: iter(parts))
    result = Residuals(ResidualsOptions(table="left"), EvaluatorFacts((SPEC,))).evaluate(evaluation)
    rows = result.tables["left"].rows
    errors = (outputs["y"].detach() - group.targets["y"]).numpy()
    for column in (0, 1):
        own = errors[group.mask.numpy()[:, column], column]
        assert rows[column]["num_valid"] == len(own)
        assert rows[column]["bias"] == pytest.approx(own.mean())
        assert rows[column]["deviation"] == pytest.approx(own.std())
    assert (rows[2]["column"], rows[2]["num_valid"], math.isnan(rows[2]["bias"])) == ("c", 0, True)


def test_what_holds_no_numbers_is_refused() -> None:
    with pytest.raises(DataError, match=r"m2: needs one target of numbers.*got y: classes"):
        Huber(HuberOptions(), LossFacts((SPEC, CLASSES)))


def test_linear_starts_at_the_mean_and_is_a_product() -> None:
    model = Linear(LinearOptions(), ModelFacts((SPEC,), seed=1)).double()
    _, group = batch(0.0)
    (started,) = model(Batch([group]))
    assert started["y"].tolist() == [[1.0, 2.0, 3.0]] * 7
    (head,) = model.heads.values()
    torch.nn.init.normal_(head.weight)
    (outputs,) = model(Batch([group]))
    torch.testing.assert_close(outputs["y"], group.inputs @ head.weight.T + head.bias)
    assert Linear(LinearOptions(bias=False), ModelFacts((SPEC,), seed=1)).heads["of_m1%2Ea"].bias is None
