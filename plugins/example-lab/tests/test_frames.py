"""Parts of models of frames: `area_pool`, `divisive`, `factorized`; and `contrast_jitter`, which changes frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from example_lab.adapter import AreaPool
from example_lab.options import AreaPoolOptions, ContrastJitterOptions, DivisiveOptions, FactorizedOptions
from example_lab.readout import Factorized
from example_lab.stage import Divisive
from example_lab.transform import ContrastJitter
from visioncore_engine.contracts import (
    AdapterFacts,
    Batch,
    Group,
    GroupSpec,
    ReadoutFacts,
    StageFacts,
    TargetSpec,
    TransformFacts,
)

SPEC = GroupSpec("m1", {}, (2, 6, 9), {"y": TargetSpec("counts", 4)})


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.randn(3, 2, 5, 6, 9, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def test_pooling_is_the_mean_under_each_pixel(frames: torch.Tensor) -> None:
    adapter = AreaPool(AreaPoolOptions(grid_size=3), AdapterFacts(in_shape=(2, 6, 9), group=SPEC))
    assert adapter.out_shape == (2, 3, 3)
    expected = frames.reshape(3, 2, 5, 3, 2, 3, 3).mean(dim=(4, 6))
    torch.testing.assert_close(adapter(frames), expected)


def test_divisive_is_its_formula_and_bounds_what_comes_out(frames: torch.Tensor) -> None:
    stage = Divisive(DivisiveOptions(sigma=0.5), StageFacts(in_shape=(2, 6, 9), dt=0.1)).double()
    pool = frames.abs().mean(1, keepdim=True)
    torch.testing.assert_close(stage(frames), frames / (0.5 + pool))
    assert stage(frames * 1e6).abs().max() <= 2  # as many as there are channels
    stage(frames).sum().backward()
    assert stage.log_sigma.grad.abs().min() > 0


def test_factorized_is_a_map_times_weights(frames: torch.Tensor) -> None:
    readout = Factorized(FactorizedOptions(), ReadoutFacts((2, 6, 9), SPEC, SPEC.targets["y"])).double()
    torch.nn.init.normal_(readout.bias)
    space = readout.space.view(4, 6, 9)
    expected = torch.einsum("bcthw,nhw,nc->btn", frames, space, readout.features) + readout.bias
    torch.testing.assert_close(readout(frames), expected)


def test_a_factor_belongs_to_its_window_and_epoch(frames: torch.Tensor) -> None:
    jitter = ContrastJitter(ContrastJitterOptions(max_factor=2.0), TransformFacts((SPEC,)))

    def factors(items: list[int], key: int) -> torch.Tensor:
        size = len(items)
        group = Group("m1", 0, torch.ones(size, 1, 1, 1, 1), {}, torch.ones(size), torch.tensor(items))
        return jitter(Batch([group]), key).groups[0].inputs.flatten()

    assert jitter.training_only
    assert torch.equal(factors([4, 2], 7), factors([2, 4, 9], 7)[[1, 0]])
    assert not torch.equal(factors([4, 2], 7), factors([4, 2], 8))
    many = factors(list(range(20_000)), 7).double().log2().numpy()
    assert np.abs(many).max() <= 1
    assert np.abs(np.quantile(many, [0.25, 0.5, 0.75]) - [-0.5, 0, 0.5]).max() < 0.03  # uniform in the logarithm
