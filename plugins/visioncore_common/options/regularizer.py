"""What a user may write for regularizers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from visioncore_engine.options import RegularizerOptions

__all__ = ["GroupLassoOptions"]


class GroupLassoOptions(RegularizerOptions):
    """Sum over groups of the Euclidean norm of each group: whole groups go to zero (Yuan & Lin 2006)."""

    groups: Literal["unit", "channel", "tensor"] = Field(
        "unit",
        description="what is one group: a slice along the first axis ('unit': all weights of one output), along the "
        "second ('channel': all weights from one input), or the whole parameter ('tensor')",
    )
    size_scaled: bool = Field(
        False, description="weigh each norm by the root of the group's size, so that large groups are not spared"
    )
