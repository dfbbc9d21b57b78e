from __future__ import annotations

import numpy as np
import pytest
import torch

from visioncore_common.examples.shapes import SHAPES, rendered_shapes
from visioncore_common.options.dataset import RenderedShapesOptions
from visioncore_engine.contracts import DatasetFacts


def render(run_seed=0, **options):
    options = {"num_train": 60, "num_validation": 20, "num_test": 20, **options}
    return rendered_shapes(RenderedShapesOptions(**options), DatasetFacts(run_seed))


def everything(dataset, split="train", group=0):
    source = dataset.sources(split, 0)[group]
    return source.gather(np.arange(source.num_items))


def test_it_is_a_pure_function_of_options_and_seed():
    assert torch.equal(everything(render(3)).inputs, everything(render(3)).inputs)
    assert not torch.equal(everything(render(3)).inputs, everything(render(4)).inputs)
    assert render(3).fingerprints() == render(99, seed=3).fingerprints()


def test_splits_and_groups_have_the_sizes_and_the_shapes_that_were_asked_for():
    dataset = render(num_groups=3, num_classes=4, size=20)
    assert [group.name for group in dataset.groups] == ["shapes_0", "shapes_1", "shapes_2"]
    assert {split: everything(dataset, split).inputs.shape for split in ("train", "test")} == {
        "train": (60, 1, 20, 20),
        "test": (20, 1, 20, 20),
    }
    assert dataset.groups[0].targets["class"].ids == SHAPES[:4]
    assert not torch.equal(everything(dataset, group=0).inputs, everything(dataset, group=2).inputs)


def test_groups_are_bright_and_dark_in_turn():
    dataset = render(num_groups=2, noise=0.0, standardize="none")
    bright, dark = (everything(dataset, group=number).inputs for number in (0, 1))
    assert bright.min() == 0
    assert dark.max() == 0
    assert bright.amax(dim=(1, 2, 3)).min() >= 0.45


def test_a_shape_has_the_area_of_its_formula():
    """Without noise and at full contrast, the sum of a disk's pixels is its area, that of a square its side squared."""
    images = everything(render(noise=0.0, standardize="none", num_train=400, size=64))
    contrast = images.inputs.amax(dim=(1, 2, 3))
    area = images.inputs.sum(dim=(1, 2, 3)) / contrast
    for name, factor in (("disk", np.pi), ("square", 1.6**2), ("ring", np.pi * (0.95**2 - 0.55**2))):
        own = area[images.targets["class"] == SHAPES.index(name)]
        radius = (own / factor).sqrt()
        assert radius.min() > 0.155 * 64
        assert radius.max() < 0.285 * 64


def test_every_shape_lies_inside_the_image():
    images = everything(render(noise=0.0, standardize="none", num_train=300)).inputs[:, 0].abs()
    border = torch.cat([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], dim=1)
    assert (border > 0.5).float().mean() < 0.005


@pytest.mark.parametrize("options", [{"num_classes": 7}, {"num_groups": 0}, {"size": 4}, {"seed": -1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        RenderedShapesOptions(**options)
