"""Penalties on outputs: divided like a loss, in time by a schedule, absent from scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toy_plugin
from engine_road import EngineRoad
from toy_options import ToyDataOptions
from toy_parts import ToyData, ToySquared

from visioncore_common.options.regularizer import ActivityOptions
from visioncore_common.regularizers.activity import Activity
from visioncore_engine.contracts import Batch, Clock, DatasetFacts, RegularizerFacts
from visioncore_engine.errors import ConfigError
from visioncore_engine.objective import Objective, OutputPenalty
from visioncore_engine.schedule import Schedule

RAMP = Schedule(schedule="ramp", start=0.0, stop=0.5, steps=10)


def objective(index_of, *, strength=0.5, match=("y",), norm="l1"):
    options = ActivityOptions(strength=strength, match=match, norm=norm)
    penalty = OutputPenalty("quiet", Activity(options, RegularizerFacts({})), match, strength)
    ones = [{"y": torch.ones(1)} for _ in index_of]
    return Objective(ToySquared(None, None), ones, penalties=[penalty])


@pytest.fixture
def groups():
    sources = ToyData(ToyDataOptions(num_groups=2), DatasetFacts(seed=3)).sources("train", 0)
    return [source.gather(np.arange(7)) for source in sources]


def outputs_of(groups):
    return [
        {"y": torch.sin(group.inputs.sum(dim=-1, keepdim=True) + torch.arange(group.targets["y"].shape[-1]))}
        for group in groups
    ]


def counted(group):
    return group.mask if group.mask.ndim < 2 else group.mask.any(dim=-1)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_loss_gets_strength_times_the_mean_over_all_predictions_however_the_batch_is_cut(groups, norm):
    made = objective(groups, norm=norm)
    values = [output["y"] for output in outputs_of(groups)]
    size = (lambda value: value.abs()) if norm == "l1" else (lambda value: value.square())
    total = sum(size(value)[counted(group)].sum() for value, group in zip(values, groups, strict=True))
    wanted = 0.5 * float(total) / sum(int(counted(group).sum()) for group in groups)
    for batches in ([Batch(groups)], [Batch([group]) for group in groups]):
        weights, found = made.weights(batches), 0.0
        for batch in batches:
            found += Objective.auxiliary_part(made.sums(outputs_of(batch.groups), batch), weights)["penalty/quiet"]
        assert found == pytest.approx(wanted, rel=1e-5)


def test_what_does_not_count_reaches_neither_the_penalty_nor_a_gradient(groups):
    made, group = objective(groups), groups[0]
    group.mask[2:4] = False
    value = outputs_of([group])[0]["y"].masked_fill(~counted(group)[:, None], float("nan")).requires_grad_()
    part = made.sums([{"y": value}], Batch([group]))[group.name, "penalty/quiet"]
    (gradient,) = torch.autograd.grad(part, value)
    assert torch.isfinite(part)
    assert torch.equal((gradient != 0).any(dim=-1), counted(group))


def test_the_strength_follows_its_schedule_and_scores_leave_it_out(groups):
    made, batch = objective(groups, strength=RAMP), Batch(groups)
    found = []
    for step in (0, 5, 10, 1000):
        made.at(Clock(step, 0.0, 0.0))
        found.append(
            Objective.auxiliary_part(made.sums(outputs_of(groups), batch), made.weights([batch]))["penalty/quiet"]
        )
    assert found == pytest.approx([0.0, found[2] / 2, found[2], found[2]])
    assert found[2] > 0
    assert (
        {term for _, term in made.scored().sums(outputs_of(groups), batch)}
        == {"y"}
        == set(made.scored().weights([batch]))
    )


def test_a_pattern_without_an_output_is_told_with_the_outputs_there_are(groups):
    made = objective(groups, match=("z*",))
    with pytest.raises(ConfigError, match=r"regularizers.quiet.match: pattern matches no output; outputs are: y"):
        made.sums(outputs_of(groups), Batch(groups))


RUN = """
seed: 5
data: {name: toy, num_groups: 2}
sampler: {name: toy_random, batch_size: 24, batches_per_epoch: 4}
model: toy_linear
loss: toy_squared
optimizer: {name: toy_adamw, lr: 0.01, accumulate: 2}
regularizers: {quiet: {name: activity, match: "y", norm: l2, strength: 3.0}}
loggers: []
trainer: {max_epochs: 2, precision: 64-true, accelerator: cpu}
"""


def test_l3_two_processes_learn_what_one_learns_and_without_it_something_else_is_learned(tmp_path):
    road = EngineRoad(tmp_path, RUN, (toy_plugin.__file__,))
    for name, sets, processes in (("one", (), 1), ("two", (), 2), ("none", ("regularizers.quiet.strength=0",), 1)):
        ended = road.train(name, *sets, processes=processes)
        assert ended.code == 0, ended
    one, two, none = (road.weights(name) for name in ("one", "two", "none"))
    for name, value in one.items():
        np.testing.assert_allclose(two[name].numpy(), value.numpy(), rtol=1e-9, atol=1e-12)
    assert any(not torch.allclose(one[name], none[name], rtol=1e-3) for name in one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("regularizers.quiet={name: l1, match: y, strength: 1.0, of: outputs}", "penalises parameters"),
        ("regularizers.quiet.match=z", "matches no output; outputs are: y"),
    ],
)
def test_mistakes_are_the_user_s(tmp_path, change, message):
    ended = EngineRoad(tmp_path, RUN, (toy_plugin.__file__,)).train("run", change)
    assert ended.code == 2, ended
    assert message in ended.err
