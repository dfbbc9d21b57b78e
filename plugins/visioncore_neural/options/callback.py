"""What a user may write for callbacks."""

from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options

__all__ = ["ModelLoggingOptions"]


class ModelLoggingOptions(Options):
    """Pictures of kernels and masks while a model learns, and what the run's evaluators find."""

    every: int = Field(5, ge=1, description="validations from one picture to the next")
    num_units: int = Field(12, ge=1, description="masks that are shown of each recording, from its first unit on")
    evaluate_every: int | None = Field(
        None,
        ge=1,
        description="validations from one evaluation of the weights to the next, by a process of its own on the CPU; "
        "what metrics and the run's evaluators find is logged as `snapshot/<name>`; off by default",
    )
    wait_minutes: float = Field(
        2.0, ge=0.0, allow_inf_nan=False, description="minutes that the end of training waits for the last evaluation"
    )
