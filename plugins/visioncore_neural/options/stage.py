"""What a user may write for stages: frontends, convolutional cores, recurrent layers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = ["Conv3dOptions", "ConvGRUOptions", "ConvolutionOptions", "LearnableTemporalOptions", "Resnet3dOptions"]

Count = Annotated[int, Field(ge=1)]
Kernel = tuple[Count, Count, Count]


class LearnableTemporalOptions(Options):
    """Temporal filters over the last `kernel_size` frames, applied to every pixel."""

    kernel_size: int = Field(16, ge=1, description="frames that a filter sees")
    num_channels: int = Field(4, ge=1, description="filters")
    init: Literal["gaussian_derivatives", "biphasic", "identity", "random"] = Field(
        "gaussian_derivatives",
        description="what the filters are at the start: derivatives of a Gaussian, biphasic responses with peaks in "
        "milliseconds (needs the frame rate), copies of single frames (newest first), or noise",
    )
    bias: bool = Field(False, description="learn an offset per filter")


class ConvolutionOptions(Options):
    """Options that all convolutional stages have."""

    channels: tuple[Count, ...] = Field(min_length=1, description="output channels of each layer")
    kernel_size: Kernel | tuple[Kernel, ...] = Field(
        (3, 3, 3), description="[time, height, width] of the kernels; one for all layers, or one per layer"
    )
    stride: Count | tuple[Count, ...] = Field(
        1, description="step in space; one for all layers, or one per layer. There is no step in time"
    )
    norm: Literal["none", "frame_layer", "frame_group", "batch"] = Field(
        "frame_layer",
        description="normalisation: over channels and pixels of each frame, the same in groups of channels, or over "
        "the batch (which makes a prediction depend on the batch it was in)",
    )
    num_groups: int | None = Field(
        None, ge=1, description="groups of channels; needed by `frame_group`, and only by it"
    )
    activation: Literal["relu", "elu", "gelu", "silu", "softplus", "identity"] = Field(
        "elu", description="nonlinearity after each layer"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="probability that a value is dropped after each layer")

    @model_validator(mode="after")
    def _consistent(self) -> ConvolutionOptions:
        for name, given in (("kernel_size", self.kernels), ("stride", self.strides)):
            if len(given) != len(self.channels):
                raise ValueError(f"`{name}` has {len(given)} entries for {len(self.channels)} layers in `channels`")
        for _, height, width in self.kernels:
            if height % 2 == 0 or width % 2 == 0:
                raise ValueError("the height and width of `kernel_size` must be odd: an even kernel shifts the picture")
        if (self.norm == "frame_group") != (self.num_groups is not None):
            raise ValueError("`num_groups` is needed by norm 'frame_group', and only by it")
        if self.num_groups and any(channels % self.num_groups for channels in self.channels):
            raise ValueError(f"every entry of `channels` must be a multiple of `num_groups` ({self.num_groups})")
        return self

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Kernel size of each layer."""
        first = self.kernel_size[0]
        if isinstance(first, int):
            return (self.kernel_size,) * len(self.channels)  # type: ignore[return-value]  # a Kernel: its first is an int
        return self.kernel_size  # type: ignore[return-value]  # a tuple of Kernel: its first is not an int

    @property
    def strides(self) -> tuple[int, ...]:
        """Spatial stride of each layer."""
        return (self.stride,) * len(self.channels) if isinstance(self.stride, int) else self.stride


class Conv3dOptions(ConvolutionOptions):
    """Convolutions over time and space, one after another."""


class Resnet3dOptions(ConvolutionOptions):
    """Residual blocks of two convolutions over time and space."""


class ConvGRUOptions(Options):
    """Convolutional gated recurrent unit over time."""

    hidden_channels: int = Field(32, ge=1, description="channels of the hidden state, and of the output")
    kernel_size: int = Field(3, ge=1, description="odd size of the kernels in space; axes with a single pixel get 1")
    burn_in: int = Field(16, ge=1, description="frames that it runs over before its output is used")
    unroll: Literal["stream", "per_prediction"] = Field(
        "stream",
        description="'stream' carries the state on through the window (fast; a prediction depends on where its window "
        "began), 'per_prediction' starts anew `burn_in` frames before every prediction. Two different models",
    )

    @model_validator(mode="after")
    def _odd(self) -> ConvGRUOptions:
        if self.kernel_size % 2 == 0:
            raise ValueError("`kernel_size` must be odd: an even kernel shifts the picture")
        return self
