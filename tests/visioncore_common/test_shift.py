from __future__ import annotations

import dataclasses

import pytest
import torch

from visioncore_common.options.transform import ShiftOptions
from visioncore_common.shift import Shift
from visioncore_engine.contracts import Batch, TransformFacts


@pytest.fixture
def group(group_spec, labelled):
    def make(shape=(2, 6, 7), size=200, name="m1"):
        inputs = torch.randn(size, *shape, generator=torch.Generator().manual_seed(0))
        return labelled([0] * size, group_spec(name), 0, inputs)

    return make


def shift(group, key=5, rows=2, columns=1):
    return Shift(ShiftOptions(rows=rows, columns=columns), TransformFacts(()))(Batch([group]), key).groups[0].inputs


def moved(image, down, right):
    """Edge-padded shift in the plainest way."""
    height, width = image.shape[-2:]
    rows = [min(max(row - down, 0), height - 1) for row in range(height)]
    columns = [min(max(column - right, 0), width - 1) for column in range(width)]
    return image[..., rows, :][..., columns]


def test_each_example_is_shifted_by_whole_pixels_all_channels_and_frames_alike(group):
    for shape in ((2, 6, 7), (2, 3, 6, 7)):
        given = group(shape, 60)
        found = shift(given)
        offsets = []
        for before, after in zip(given.inputs, found, strict=True):
            (offset,) = [
                (down, right)
                for down in range(-2, 3)
                for right in range(-1, 2)
                if torch.equal(moved(before, down, right), after)
            ]
            offsets.append(offset)
        assert len(set(offsets)) == 15, "every shift within the bounds occurs"


def test_an_examples_shift_does_not_depend_on_its_company(group):
    given = group()
    keep = torch.tensor([7, 100, 3])
    part = dataclasses.replace(given, inputs=given.inputs[keep], items=given.items[keep])
    assert torch.equal(shift(part), shift(given)[keep])


def test_keys_and_groups_draw_differently_and_repeat(group):
    given = group()
    other = dataclasses.replace(given, name="m2")
    assert torch.equal(shift(given), shift(given))
    assert not torch.equal(shift(given), shift(given, key=6))
    assert not torch.equal(shift(given), shift(other))
    assert torch.equal(shift(given, key=2**62 - 1), shift(given, key=2**62 - 1))


def test_the_batch_that_was_given_stays_as_it_was(group):
    given = group()
    before = given.inputs.clone()
    shift(given)
    assert torch.equal(given.inputs, before)


def test_a_shift_larger_than_the_image_repeats_the_border(group):
    given = group((1, 2, 2), 50)
    assert set(shift(given, rows=9, columns=9).flatten().tolist()) <= set(given.inputs.flatten().tolist())


def test_it_acts_in_training_only_and_refuses_to_do_nothing():
    assert Shift.training_only
    with pytest.raises(ValueError, match="nothing would move"):
        ShiftOptions(rows=0, columns=0)
