"""What a user may write for loggers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = ["WandbOptions"]


class WandbOptions(Options):
    """Weights & Biases. Credentials come from its own environment variables or netrc, never from the run file."""

    project: str = Field(
        "visioncore",
        pattern=r"^[^/\\#?%:]+$",
        description="project that the run is listed in, without / \\ # ? % :",
    )
    entity: str | None = Field(None, min_length=1, description="user or team; by default that of the account")
    mode: Literal["online", "offline", "disabled"] = Field(
        "online", description="'offline' needs no account and no network: `wandb sync` uploads the run later"
    )
    group: str | None = Field(None, min_length=1, description="runs that are shown together")
    tags: tuple[str, ...] = Field((), description="words to find the run by")
    timeout: float = Field(
        15.0, gt=0, le=120, description="seconds that the server may take to open or to close the run"
    )

    @model_validator(mode="after")
    def _tags_are_words(self) -> WandbOptions:
        if any(not 0 < len(tag) <= 64 for tag in self.tags):
            raise ValueError("a tag has 1 to 64 characters")
        return self
