"""The modulator `scalar_gain` starts as the identity, stays within its bounds and keeps frames apart."""

from __future__ import annotations

import pytest
import torch

from example_lab.modulator import ScalarGain
from example_lab.options import ScalarGainOptions
from visioncore_engine.contracts import ModulatorFacts
from visioncore_engine.errors import ConfigError

FACTS = ModulatorFacts(in_shape=(2, 3, 3), side={"behavior": 4})


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(5, 2, 6, 3, 3, generator=generator), torch.randn(5, 6, 4, generator=generator)


def test_identity_at_start_with_a_gradient(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    features, side = inputs
    modulator = ScalarGain(ScalarGainOptions(), FACTS)
    out = modulator(features, {"behavior": side})
    assert modulator.identity_at_start
    assert modulator.out_shape == FACTS.in_shape
    torch.testing.assert_close(out, features)
    out.square().sum().backward()
    assert modulator.weight.grad.abs().min() > 0


def test_gain_follows_its_own_frame_within_bounds(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    features, side = inputs
    modulator = ScalarGain(ScalarGainOptions(max_gain=2.0), FACTS)
    torch.nn.init.normal_(modulator.weight, std=10)
    out = modulator(features, {"behavior": side})
    expected = torch.pow(2.0, torch.tanh(torch.einsum("btk,k->bt", side, modulator.weight)))
    torch.testing.assert_close(out, torch.einsum("bcthw,bt->bcthw", features, expected))
    ratio = out / features
    assert ratio.min() >= 0.5 - 1e-6
    assert ratio.max() <= 2.0 + 1e-6


def test_a_missing_side_input_is_named() -> None:
    with pytest.raises(ConfigError, match=r"side: .*all have: behavior.*got 'behaviour'.*did you mean 'behavior'"):
        ScalarGain(ScalarGainOptions(side="behaviour"), FACTS)
