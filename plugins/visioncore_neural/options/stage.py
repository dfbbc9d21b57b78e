"""What a user may write for stages: frontends, convolutional cores, recurrent layers."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from visioncore_engine.options import Options

__all__ = [
    "Conv3dOptions",
    "ConvolutionOptions",
    "Densenet3dOptions",
    "KernelOptions",
    "LayerShape",
    "LayersOptions",
    "LearnableTemporalOptions",
    "Part",
    "Resnet3dOptions",
]

Count = Annotated[int, Field(ge=1)]
Kernel = tuple[Count, Count, Count]


Part = Literal["convolution", "norm", "activation", "dropout", "pool"]
PARTS: tuple[Part, ...] = ("convolution", "norm", "activation", "dropout", "pool")
FACTORS = ("max", "average", "blur", "learned", "attention")


class LayerShape(NamedTuple):
    """One entry of `ConvolutionOptions.channels`, with what belongs to it."""

    channels: int
    kernel: Kernel
    stride: int
    pool: int


class KernelOptions(Options):
    """How kernels come from their weights."""

    weight_norm: Literal["none", "unit", "gain"] = Field(
        "none",
        description="a filter is its weights ('none'), or their direction alone with norm 1 ('unit') or with a learned "
        "norm ('gain')",
    )
    window_power: float | None = Field(
        None, gt=0, description="exponent of the Hann window, by default 1: the larger, the smaller the borders"
    )


class LearnableTemporalOptions(KernelOptions):
    """Temporal filters over the last `kernel_size` frames, applied to every pixel."""

    kernel_size: int = Field(16, ge=1, description="frames that a filter sees")
    num_channels: int = Field(4, ge=1, description="filters")
    init: Literal["gaussian_derivatives", "biphasic", "identity", "random"] = Field(
        "gaussian_derivatives",
        description="what the filters are at the start: derivatives of a Gaussian, biphasic responses with peaks in "
        "milliseconds (needs the frame rate), copies of single frames (newest first), or noise",
    )
    bias: bool = Field(False, description="learn an offset per filter")
    window: Literal["none", "time"] = Field(
        "none", description="Hann window under the filters, against aliasing; they still start as `init` says"
    )
    bands: float | None = Field(
        None,
        gt=0,
        description="split every frame into a Gaussian blur of so many pixels and what is left, as magno- and "
        "parvocellular cells do, and learn `num_channels` filters of each: twice the channels",
    )

    @model_validator(mode="after")
    def _power_has_a_use(self) -> LearnableTemporalOptions:
        _power_needs_window(self.window, self.window_power)
        return self


class LayersOptions(KernelOptions):
    """Options that all convolutional stages have."""

    channels: tuple[Count, ...] = Field(min_length=1, description="output channels of each layer")
    kernel_size: Kernel | tuple[Kernel, ...] = Field(
        (3, 3, 3), description="[time, height, width] of the kernels; one for all layers, or one per layer"
    )
    separable: Literal["none", "space_time", "depthwise"] = Field(
        "none",
        description="one kernel over time and space, a spatial one and then a temporal one, or one of each channel by "
        "itself and then a mixture of channels",
    )
    window: Literal["none", "time", "space", "space_time"] = Field(
        "none", description="axes along which the kernels lie under a Hann window, against aliasing"
    )
    norm: Literal[
        "none", "frame_layer", "frame_group", "frame_instance", "frame_rms", "frame_response", "pixel_layer",
        "pixel_rms", "batch",
    ] = Field(
        "frame_layer",
        description="normalisation of each frame: over channels and pixels, the same in groups of channels, or of "
        "each channel over pixels; by the root mean square; of each channel's size by that of all (global response "
        "normalisation). Or of each pixel over its channels, without their mean or by their root mean square. Or over "
        "the batch (which makes a prediction depend on the batch it was in)",
    )  # fmt: skip
    num_groups: int | None = Field(
        None, ge=1, description="groups of channels; needed by `frame_group`, and only by it"
    )
    activation: Literal[
        "relu", "elu", "gelu", "silu", "softplus", "bsoftplus", "leaky_relu", "tanh", "split_relu", "identity"
    ] = Field(
        "elu",
        description="nonlinearity after each layer; 'split_relu' keeps both signs, in twice the channels; 'bsoftplus' "
        "is a softplus whose sharpness is learned per channel",
    )
    sharpness: float | None = Field(
        None, gt=0, description="'bsoftplus' only: s in softplus(s x) / s at the start, by default 1"
    )
    activation_gain: bool = Field(False, description="learn a gain per channel behind the nonlinearity, from 1 on")
    squeeze: int | None = Field(
        None,
        ge=1,
        description="squeeze and excitation after each layer: channels of a frame are scaled by a perceptron of their "
        "spatial averages, with one hidden value for so many channels",
    )
    pool: Literal["none", "max", "average", "blur", "learned", "attention", "adaptive_max", "adaptive_average"] = Field(
        "none",
        description="smaller pictures after each layer: by maximum, by average, by a triangular window (against "
        "aliasing), by a window per channel that starts as that and learns, or by local attention, an average under "
        "weights that depend on the features and start alike. Adaptive ones have a size to reach. Time is never pooled",
    )
    pool_to: tuple[Count, Count] | None = Field(
        None, description="height and width that an adaptive `pool` reaches; what is smaller stays as it is"
    )
    pool_size: Count | tuple[Count, ...] | None = Field(
        None,
        description="factor by which `pool` shrinks height and width, 2 by default; one for all layers, or one per "
        "layer (1 leaves a layer as it is)",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="probability that a value is dropped after each layer")
    order: tuple[Part, ...] = Field(
        PARTS,
        description="order of the parts of a layer, each once; gates of `squeeze` belong to the pooling",
    )

    @model_validator(mode="after")
    def _consistent(self) -> LayersOptions:
        for name, given in (("kernel_size", self.kernels), ("stride", self.strides), ("pool_size", self.pools)):
            if len(given) != len(self.channels):
                raise ValueError(f"`{name}` has {len(given)} entries for {len(self.channels)} layers in `channels`")
        for _, height, width in self.kernels:
            if height % 2 == 0 or width % 2 == 0:
                raise ValueError("the height and width of `kernel_size` must be odd: an even kernel shifts the picture")
        if (self.norm == "frame_group") != (self.num_groups is not None):
            raise ValueError("`num_groups` is needed by norm 'frame_group', and only by it")
        if self.num_groups and any(channels % self.num_groups for channels in self.channels):
            raise ValueError(f"every entry of `channels` must be a multiple of `num_groups` ({self.num_groups})")
        self._check_pool()
        if sorted(self.order) != sorted(PARTS):
            raise ValueError(f"`order` must name each of {', '.join(PARTS)} once")
        if self.sharpness is not None and self.activation != "bsoftplus":
            raise ValueError(f"`sharpness` belongs to activation 'bsoftplus', not to {self.activation!r}")
        _power_needs_window(self.window, self.window_power)
        return self

    def _check_pool(self) -> None:
        adaptive = self.pool.startswith("adaptive")
        if self.pool_size is not None and (adaptive or self.pool == "none"):
            raise ValueError("`pool_size` needs a `pool` that is not adaptive")
        if adaptive != (self.pool_to is not None):
            raise ValueError("`pool_to` is needed by an adaptive `pool`, and only by it")

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
        return (1,) * len(self.channels)

    @property
    def pools(self) -> tuple[int, ...]:
        """Factor of the pooling after each layer; 1 where there is none, or an adaptive one."""
        size = (2 if self.pool in FACTORS else 1) if self.pool_size is None else self.pool_size
        return (size,) * len(self.channels) if isinstance(size, int) else size

    @property
    def layers(self) -> tuple[LayerShape, ...]:
        """Shape of each layer."""
        return tuple(map(LayerShape, self.channels, self.kernels, self.strides, self.pools))


class ConvolutionOptions(LayersOptions):
    """Options of convolutional stages that may step over pixels."""

    stride: Count | tuple[Count, ...] = Field(
        1, description="step in space; one for all layers, or one per layer. There is no step in time"
    )

    @property
    def strides(self) -> tuple[int, ...]:
        """Spatial stride of each layer."""
        return (self.stride,) * len(self.channels) if isinstance(self.stride, int) else self.stride


class Conv3dOptions(ConvolutionOptions):
    """Convolutions over time and space, one after another."""


class Resnet3dOptions(ConvolutionOptions):
    """Residual blocks of two convolutions over time and space."""

    activate_sum: bool = Field(True, description="apply the nonlinearity to the sum of main path and shortcut too")
    zero_start: bool = Field(
        False, description="start the main path of each block at 0, so that the block is its shortcut; needs a norm"
    )

    @model_validator(mode="after")
    def _pools_last(self) -> Resnet3dOptions:
        _pool_stays_last(self.order)
        if self.zero_start and self.order.index("norm") < self.order.index("convolution"):
            raise ValueError("`zero_start` needs a norm behind the convolution")
        return self

    @model_validator(mode="after")
    def _norm_to_start_at_zero(self) -> Resnet3dOptions:
        if self.zero_start and self.norm in {"none", "frame_response"}:
            raise ValueError(f"`zero_start` starts the scale of a norm at 0, and norm {self.norm!r} has none")
        return self


class Densenet3dOptions(LayersOptions):
    """Layers that each append their channels to all that they were given, at their size."""

    @model_validator(mode="after")
    def _pools_last(self) -> Densenet3dOptions:
        _pool_stays_last(self.order)
        return self


def _pool_stays_last(order: tuple[Part, ...]) -> None:
    if order[-1] != "pool":
        raise ValueError("`order` must end with pool: what a layer makes is joined with its input before it is pooled")


def _power_needs_window(window: str, power: float | None) -> None:
    if window == "none" and power is not None:
        raise ValueError("`window_power` needs a `window`")
