from __future__ import annotations

import pytest
import torch
from torch import nn

from visioncore_engine.contracts import Clock
from visioncore_engine.errors import ConfigError
from visioncore_engine.options import OptimizerOptions
from visioncore_engine.parameters import group_parameters, match_parameters
from visioncore_engine.regularization import ActiveRegularizer, Regularization


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.core = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
        self.readouts = nn.ModuleDict({"1": nn.Linear(4, 2), "10": nn.Linear(4, 2)})


def options(**values):
    return OptimizerOptions.model_validate_json(__import__("json").dumps(values))


def test_a28_a_pattern_for_readout_1_does_not_match_readout_10():
    parameters = dict(Net().named_parameters())
    assert set(match_parameters(["readouts.1.*"], parameters, "here")) == {"readouts.1.weight", "readouts.1.bias"}


def test_a_pattern_that_matches_nothing_names_the_nearest_parameter():
    with pytest.raises(
        ConfigError, match=r"here: pattern matches no parameter \(got 'core.0.wieght'\).*'core.0.weight'"
    ):
        match_parameters(["core.0.wieght"], dict(Net().named_parameters()), "here")


def test_every_trainable_parameter_is_in_exactly_one_group_with_its_rate_and_decay():
    net = Net()
    net.core[0].bias.requires_grad_(requires_grad=False)
    groups = group_parameters(
        net,
        options(
            lr=0.1,
            weight_decay=0.01,
            no_decay=["readouts.10.weight"],
            groups={
                "core": {"match": "core.*", "lr_scale": 0.5},
                "heads": {"match": ["readouts.*"], "weight_decay": 0.2},
            },
        ),
    )
    found = [(group.name, name, group.lr, group.weight_decay) for group in groups for name in group.parameters]
    assert sorted(found) == [
        ("core", "core.0.weight", 0.05, 0.01),
        ("core", "core.1.weight", 0.05, 0.01),
        ("core/no_decay", "core.1.bias", 0.05, 0.0),
        ("heads", "readouts.1.weight", 0.1, 0.2),
        ("heads/no_decay", "readouts.1.bias", 0.1, 0.0),
        ("heads/no_decay", "readouts.10.bias", 0.1, 0.0),
        ("heads/no_decay", "readouts.10.weight", 0.1, 0.0),
    ]


def test_a3_exclusion_from_decay_really_excludes():
    net = Net()
    groups = group_parameters(net, options(lr=0.1, weight_decay=0.5, no_decay=["core.0.weight"]))
    from visioncore_engine.contracts import OptimizerFacts

    optimizer = torch.optim.AdamW(OptimizerFacts(groups, fused=False).torch_groups(), lr=0.1)
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    for value in net.parameters():
        value.grad = torch.zeros_like(value)
    optimizer.step()
    moved = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {"core.1.weight", "readouts.1.weight", "readouts.10.weight"}


def test_a_parameter_in_two_groups_is_an_error():
    with pytest.raises(ConfigError, match="matched by the groups 'a' and 'b'"):
        group_parameters(Net(), options(lr=0.1, groups={"a": {"match": "core.*"}, "b": {"match": "*.weight"}}))


class Squares:
    def penalty(self, parameters):
        return torch.stack([value.square().sum() for value in parameters.values()]).sum()

    def proximal(self, parameters, strength, rates):
        for name, value in parameters.items():
            value.sub_(rates[name] * strength)


def test_l8_a_penalty_reaches_only_parameters_that_this_step_touches():
    net = Net()
    parameters = {name: value for name, value in net.named_parameters() if name.startswith("readouts")}
    regularization = Regularization([ActiveRegularizer("x", Squares(), parameters, 0.5)])
    touched = net.readouts["1"].weight
    touched.grad = torch.zeros_like(touched)
    regularization.add_gradients(Clock(0, 0.0, 0.0))
    torch.testing.assert_close(touched.grad, touched.detach())
    assert all(value.grad is None for value in net.parameters() if value is not touched)
    before = net.readouts["10"].weight.detach().clone()
    kept = touched.detach().clone()
    regularization.proximal_steps(Clock(0, 0.0, 0.0), dict.fromkeys(parameters, 0.1))
    torch.testing.assert_close(touched.detach(), kept - 0.05)
    assert torch.equal(net.readouts["10"].weight, before)
