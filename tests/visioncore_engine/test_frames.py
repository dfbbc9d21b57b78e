"""Windows out of an array of frames: the definition, and the roads that must keep to it, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from roads import road

from visioncore_engine.contracts import Encoding
from visioncore_engine.data import window_frames, window_values

DTYPES = ("uint8", "int8", "int16", "uint16", "int32", "float16", "float32")


@st.composite
def cases(draw):
    num, channels, length = draw(st.integers(3, 30)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    shape = (num, channels, *draw(st.sampled_from([(), (1,), (3, 5), (51,)])))
    chance = np.random.default_rng(draw(st.integers(0, 2**16)))
    frames = (chance.normal(size=shape) * 90 + 40).astype(draw(st.sampled_from(DTYPES)))
    first = chance.integers(0, num, draw(st.integers(0, 9)))  # some windows reach past the end
    tail = (1,) * (len(shape) - 2)
    per = draw(st.sampled_from([1, channels]))
    scale, offset = (torch.tensor(chance.normal(size=(1, per, 1, *tail)), dtype=torch.float32) for _ in range(2))
    blank = draw(st.sampled_from([None, chance.random((len(first), length)) < 0.4]))
    return frames, first, length, Encoding(scale, offset), blank


def bits(values: np.ndarray | torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint8)


def defined(frames, first, length):
    """Window by window, frame by frame: (B, C, T, …)."""
    rows = [[frames[min(start + step, len(frames) - 1)] for step in range(length)] for start in first]
    taken = np.array(rows, frames.dtype).reshape(len(first), length, *frames.shape[1:])
    return np.ascontiguousarray(np.swapaxes(taken, 1, 2))


@settings(max_examples=150, deadline=None)
@given(cases())
@pytest.mark.parametrize("mode", ["torch", "compiled", "tensor"])
def test_both_roads_give_the_bits_of_the_definition(mode, case):
    frames, first, length, encoding, blank = case
    expected = defined(frames, first, length)
    values = expected.astype(np.float32) * encoding.scale.numpy() + encoding.offset.numpy()
    if blank is not None:
        values[np.broadcast_to(blank.reshape(len(first), 1, length, *(1,) * (frames.ndim - 2)), values.shape)] = 0.0
    with road("torch" if mode == "tensor" else mode):
        given_frames = torch.from_numpy(frames) if mode == "tensor" else frames
        if mode == "tensor" and frames.dtype == np.uint16:
            return  # torch cannot index them; they are never kept as tensors
        stored = window_frames(given_frames, first, length)
        made = window_values(given_frames, first, length, encoding, blank)
    assert stored.shape == made.shape == expected.shape
    assert made.dtype == torch.float32
    np.testing.assert_array_equal(bits(stored), bits(expected))
    np.testing.assert_array_equal(bits(made), bits(values))


@pytest.mark.parametrize("mode", ["torch", "compiled"])
def test_l1_what_is_blank_is_not_looked_at(mode):
    frames = np.full((9, 2, 3), np.nan, np.float32)
    frames[4] = 2.0
    blank = np.ones((1, 3), bool)
    blank[0, 1] = False
    encoding = Encoding(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
    with road(mode):
        made = window_values(frames, np.array([3]), 3, encoding, blank)
    np.testing.assert_array_equal(made[0, 0, :, 0], [0, 2, 0])
    assert torch.isfinite(made).all()


def test_what_the_library_cannot_read_is_read_by_torch():
    frames = np.arange(24, dtype=">i2").reshape(6, 1, 4).astype(np.int16)[:, :, ::2]
    code = Encoding(torch.rand(1, 1, 1, 2), torch.zeros(1, 1, 1, 1))  # a scale per pixel, frames with gaps
    with road("compiled"):
        one = window_values(frames, np.array([1, 2]), 3, code), window_frames(frames, np.array([5]), 2)
    with road("torch"):
        other = window_values(frames, np.array([1, 2]), 3, code), window_frames(frames, np.array([5]), 2)
    assert all(map(torch.equal, one, other))
