from __future__ import annotations

import pytest
import torch

from visioncore_common.cnn import CNN
from visioncore_common.names import module_name
from visioncore_common.options.model import CNNOptions
from visioncore_engine.contracts import Batch, ModelFacts
from visioncore_engine.errors import ConfigError

SMALL = CNNOptions(channels=(4, 6), grid=(2, 1))


@pytest.fixture
def model(group_spec):
    def make(specs=None, options=SMALL, seed=0):
        torch.manual_seed(seed)
        return CNN(options, ModelFacts(tuple(specs or [group_spec("m1"), group_spec("m2", 5)]), seed)).eval()

    return make


@pytest.fixture
def batch(group_spec, labelled):
    def make(sizes, shape=(1, 8, 8), seed=1):
        generator = torch.Generator().manual_seed(seed)
        groups = []
        for index, (name, size) in enumerate(sizes.items()):
            spec = group_spec(name, shape=shape)
            groups.append(labelled([0] * size, spec, index, torch.randn(size, *shape, generator=generator)))
        return Batch(groups)

    return make


def test_each_group_has_its_head_and_its_classes(model, batch):
    one, two = model()(batch({"m1": 3, "m2": 4}))
    assert (one["class"].shape, two["class"].shape) == ((3, 3), (4, 5))


def test_l7_a_model_runs_on_one_example(model, batch):
    assert model()(batch({"m1": 1}))[0]["class"].shape == (1, 3)


def test_l3_outputs_do_not_depend_on_what_else_is_in_the_batch(model, batch):
    built, whole = model(), batch({"m1": 6, "m2": 3})
    together = built(whole)
    alone = built(Batch([whole.groups[1]]))[0]
    assert torch.allclose(together[1]["class"], alone["class"], atol=1e-6)
    for row in range(6):
        part = whole.groups[0]
        single = labelled_row(part, row)
        assert torch.allclose(built(Batch([single]))[0]["class"][0], together[0]["class"][row], atol=1e-6)


def labelled_row(group, row):
    keep = slice(row, row + 1)
    return type(group)(
        group.name,
        group.index,
        group.inputs[keep],
        {"class": group.targets["class"][keep]},
        group.mask[keep],
        group.items[keep],
    )


def test_l8_a_head_that_no_example_uses_keeps_gradient_none(model, batch):
    built = model()
    built(batch({"m1": 2}))[0]["class"].sum().backward()
    untouched = {name for name, parameter in built.named_parameters() if parameter.grad is None}
    assert untouched == {"heads.m2.class.weight", "heads.m2.class.bias"}


def test_peers_1_a_heads_gradient_is_that_of_its_own_examples(model, batch):
    built, whole = model(), batch({"m1": 3, "m2": 4})

    def gradient(groups):
        built.zero_grad(set_to_none=True)
        sum(output["class"].square().sum() for output in built(Batch(groups))).backward()
        return built.heads["m1"]["class"].weight.grad.clone()

    assert torch.allclose(gradient(whole.groups), gradient(whole.groups[:1]), atol=1e-6)


@pytest.mark.parametrize("name", ["m1.a", "keys", "training", "a b/c", "*", "%", "ä"])
def test_groups_may_have_any_name(name, model, batch, group_spec):
    built = model([group_spec(name), group_spec("m2")])
    assert built(batch({name: 2}))[0]["class"].shape == (2, 3)
    assert any(parameter.startswith(f"heads.{module_name(name)}.") for parameter, _ in built.named_parameters())


def test_two_groups_never_share_a_head():
    names = ["m1.a", "m1%2Ea", "keys", "%6Beys", "m1", "M1", "type", "items"]
    assert len({module_name(name) for name in names}) == len(names)
    assert not any("." in module_name(name) for name in names)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 9), (2, 17, 5)])
def test_any_image_size_will_do(shape, model, batch, group_spec):
    options = CNNOptions(channels=(4, 4, 4, 4), pooling="average", norm="none")
    assert model([group_spec("m1", shape=shape)], options)(batch({"m1": 2}, shape))[0]["class"].shape == (2, 3)


def test_groups_of_different_shape_are_refused(group_spec):
    specs = (group_spec("m1", shape=(1, 8, 8)), group_spec("m2", shape=(1, 8, 9)))
    with pytest.raises(ConfigError, match=r"one shape.*\(1, 8, 9\) in 'm2'"):
        CNN(SMALL, ModelFacts(specs, 0))


def test_dropout_acts_in_training_only(model, batch):
    built, given = model(options=CNNOptions(channels=(8,), dropout=0.5)), batch({"m1": 4})
    assert torch.equal(built(given)[0]["class"], built(given)[0]["class"])
    built.train()
    assert not torch.equal(built(given)[0]["class"], built(given)[0]["class"])


def test_one_seed_gives_one_model_and_it_has_no_history(model):
    one, two = (model().state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert model().history == 0


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd"):
        CNNOptions(kernel_size=4)
