"""Words of VisionCore's model files that mean the same wherever they are read."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ACTIVATIONS"]

ACTIVATIONS: Mapping[str, str] = {
    "none": "identity", "identity": "identity", "relu": "relu", "elu": "elu", "gelu": "gelu", "silu": "silu",
    "swish": "silu", "softplus": "softplus", "leakyrelu": "leaky_relu", "leaky_relu": "leaky_relu", "tanh": "tanh",
    "splitrelu": "split_relu",
}  # fmt: skip
"""Nonlinearities, in the words of our stages."""
