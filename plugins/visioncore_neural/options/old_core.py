"""What a user may write for the core of a VisionCore model, whose weights were imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = ["OldCoreOptions", "OldFrontendOptions", "OldLayerOptions", "OldPoolOptions", "Triple"]

Count = Annotated[int, Field(ge=1)]
Triple = tuple[Count, Count, Count]
Border = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]


class OldFrontendOptions(Options):
    """What stands before the convolutions."""

    kind: Literal["temporal", "adaptation"] = Field(
        description="learned temporal filters, which see no frame beyond the window, or dynamical adaptation, which "
        "sees darkness beyond its newest frame"
    )
    kernel_size: int = Field(ge=1, description="frames of a filter")
    num_channels: int = Field(1, ge=1, description="'temporal': filters")
    bias: bool = Field(False, description="'temporal': an offset per filter")
    split: bool = Field(
        False,
        description="'temporal': the first half of the filters sees what a level of a Laplacian pyramid takes away, "
        "the other half what it leaves",
    )

    @model_validator(mode="after")
    def _of_its_kind(self) -> OldFrontendOptions:
        if self.kind == "adaptation" and (self.num_channels != 1 or self.bias or self.split):
            raise ValueError("`num_channels`, `bias` and `split` belong to `kind: temporal`")
        if self.split and self.num_channels % 2:
            raise ValueError("`split` needs an even number of filters in `num_channels`")
        return self


class OldPoolOptions(Options):
    """What makes a window of features smaller, in time too."""

    kind: Literal["max", "average", "adaptive_max", "adaptive_average", "soft", "blurred_soft"] = Field(
        description="maximum or average over time and space; the same with a size to reach; or an average under "
        "exponential weights over height and width and then a gate per channel and frame, with a blur before it or not"
    )
    kernel_size: Triple = Field((2, 2, 2), description="[time, height, width]; the size to reach where adaptive")
    stride: Triple = Field((2, 2, 2), description="[time, height, width]; the soft ones have the last for both axes")
    padding: Border = Field((0, 0, 0), description="[time, height, width], 'max' and 'average' only")
    soft: bool = Field(True, description="the soft ones: exponential weights, else equal ones")
    squeeze: int = Field(8, ge=1, description="the soft ones: channels per hidden value of the gate")

    def length(self, axis: int, length: int) -> int:
        """Steps (axis 0), height or width (1, 2) after pooling `length`."""
        if self.kind.startswith("adaptive"):
            return self.kernel_size[axis]
        if self.kind in ("soft", "blurred_soft"):
            return length if axis == 0 else (length - 2) // self.stride[2] + 1
        return (length + 2 * self.padding[axis] - self.kernel_size[axis]) // self.stride[axis] + 1


class OldLayerOptions(Options):
    """A layer: convolution, norm, nonlinearity, dropout, pooling."""

    channels: int = Field(ge=1, description="output channels of the convolution")
    kernel_size: Triple = Field((3, 3, 3), description="[time, height, width]")
    stride: Triple = Field((1, 1, 1), description="[time, height, width]")
    dilation: Triple = Field((1, 1, 1), description="[time, height, width]")
    pad_time: bool = Field(True, description="repeat the newest frame, so that the window keeps its length")
    padding: tuple[int, int] = Field((0, 0), description="[height, width] by which border pixels are repeated")
    bias: bool = Field(False, description="an offset per channel")
    norm: Literal["none", "batch", "pixel_rms", "pixel_layer", "window_response", "window_instance", "window_group"] = (
        Field(
            "none",
            description="over the batch; over the channels of each pixel; or, 'window_…', over all frames and pixels "
            "of a window: by the root mean square of a channel and an offset, of each channel, or of groups of them",
        )
    )
    num_groups: int = Field(1, ge=1, description="'window_group': groups of channels")
    eps: float = Field(1e-5, gt=0, description="small number of the norm")
    activation: Literal["relu", "elu", "gelu", "silu", "softplus", "leaky_relu", "tanh", "split_relu", "identity"] = (
        Field("relu", description="nonlinearity; 'split_relu' doubles the channels")
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="probability that a value is dropped")
    pool: OldPoolOptions | None = Field(None, description="pooling; none by default")
    shortcut_stride: Triple = Field((1, 1, 1), description="'residual': step of the shortcut")

    def length(self, axis: int, length: int) -> int:
        """Steps (axis 0), height or width (1, 2) after the layer, where there are `length` before it."""
        taps, step = self.kernel_size[axis], self.dilation[axis]
        around = 2 * self.padding[axis - 1] if axis else (step * (taps - 1) if self.pad_time else 0)
        after = (length + around - step * (taps - 1) - 1) // self.stride[axis] + 1
        return after if self.pool is None else self.pool.length(axis, after)

    @model_validator(mode="after")
    def _divisible(self) -> OldLayerOptions:
        if self.channels % self.num_groups:
            raise ValueError(f"`channels` must be a multiple of `num_groups` ({self.num_groups})")
        return self


class OldCoreOptions(Options):
    """Frontend and convolutions of a VisionCore model over windows of `num_lags` frames, each window on its own."""

    num_lags: int = Field(ge=1, description="frames of a window: those that its data served")
    frontend: OldFrontendOptions | None = Field(None, description="what stands before the convolutions")
    stem: OldLayerOptions | None = Field(None, description="a plain layer before the others")
    join: Literal["plain", "residual", "dense"] = Field(
        "plain", description="layers one after another, each with a shortcut around it, or appended to what they see"
    )
    layers: tuple[OldLayerOptions, ...] = Field((), description="the layers, first to last")
    sum_activation: Literal["relu", "elu", "gelu", "silu", "softplus", "leaky_relu", "tanh", "identity"] = Field(
        "identity", description="'residual': nonlinearity of the sum of a layer and its shortcut"
    )
    steps: Literal["oldest", "all"] = Field(
        "oldest",
        description="features of the oldest step of the window, which a readout sees, or of all, the newest first, as "
        "channels: what a recurrent layer with `compat: visioncore` takes",
    )

    @property
    def num_steps(self) -> int:
        """Steps of a window that are left after the last layer; less than 1 where windows are too short."""
        steps = self.num_lags
        if self.frontend is not None and self.frontend.kind == "temporal":
            steps -= self.frontend.kernel_size - 1
        if self.stem is not None:
            steps = self.stem.length(0, steps)
        for layer in self.layers:
            around = (steps - 1) // layer.shortcut_stride[0] + 1
            steps = layer.length(0, steps)
            steps = min(steps, around) if self.join == "residual" else steps
        return steps

    @property
    def num_channels(self) -> int:
        """Channels of a step."""
        channels = 1 if self.frontend is None else self.frontend.num_channels
        for layer in [*([] if self.stem is None else [self.stem]), *self.layers]:
            made = layer.channels * (2 if layer.activation == "split_relu" else 1)
            channels = channels + made if self.join == "dense" and layer is not self.stem else made
        return channels

    @model_validator(mode="after")
    def _joined(self) -> OldCoreOptions:
        if self.join != "residual" and self.sum_activation != "identity":
            raise ValueError("`sum_activation` belongs to `join: residual`")
        return self
