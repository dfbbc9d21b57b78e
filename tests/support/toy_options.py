from __future__ import annotations

from pydantic import Field

from visioncore_engine.options import Options


class ToyDataOptions(Options):
    num_groups: int = Field(3, ge=1, description="groups")
    num_items: int = Field(40, ge=0, description="training examples of the first group; each further one has 10 more")
    num_columns: int = Field(4, ge=1, description="columns of the first group; each further one has 1 more")
    masked: float = Field(0.2, ge=0, le=1, description="fraction of masked values")
    poison: str | None = Field(None, description="what stands under the mask; by default the true value")


class ToyModelOptions(Options):
    width: int = Field(6, ge=1, description="features of the shared layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout of the features")
    auxiliary: float = Field(0.0, ge=0, description="weight of a loss of the model's own, the size of its features")


class ToyCallbackOptions(Options):
    fail_at: int | None = Field(None, ge=0, description="step at which to raise")
    signal_at: int | None = Field(None, ge=0, description="step in which the process of the last rank signals itself")
    signal_name: str = Field("SIGTERM", description="with which signal")
    stop_at: int | None = Field(None, ge=0, description="step at whose start training is cut off")
