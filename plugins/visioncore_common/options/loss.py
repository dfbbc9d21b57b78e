"""What a user may write for losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from visioncore_engine.options import LossOptions

__all__ = ["CrossEntropyOptions"]


class CrossEntropyOptions(LossOptions):
    """Cross-entropy of the labels under the softmax of the outputs."""

    label_smoothing: float = Field(0.0, ge=0, lt=1, description="part of the target spread evenly over all classes")
    class_weights: Literal["none", "inverse_frequency"] = Field(
        "none",
        description="what an example weighs: 1, or the inverse frequency of its class in the group's training set",
    )
