"""The run file as a typed object: what may stand at its top level."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from visioncore_engine.config.transfer import TransferOptions
from visioncore_engine.options import Choice, Options, Patterns, Slot

__all__ = [
    "CheckpointOptions",
    "LoaderOptions",
    "PluginOptions",
    "PolicyOptions",
    "RunConfig",
    "RunFolderOptions",
    "TrainerOptions",
]


class TrainerOptions(Options):
    """Arguments of the Lightning Trainer that a run may set, by their own names."""

    max_epochs: int | None = Field(None, ge=1, description="epochs to train")
    max_steps: int | None = Field(None, ge=1, description="optimizer steps to train")
    precision: Literal["32-true", "64-true", "bf16-mixed", "bf16-true"] = Field(
        "32-true", description="precision of the forward and backward pass"
    )
    accelerator: Literal["auto", "cpu", "gpu"] = Field("auto", description="what to train on")
    devices: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="how many devices; on a CPU, how many processes (auto: one)"
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads of torch; by default what torch chooses. Recorded: results depend on it"
    )
    check_val_every_n_epoch: int = Field(1, ge=1, description="epochs between two validations")
    log_every_n_steps: int = Field(50, ge=1, description="optimizer steps between two logged training values")
    compile: bool | Literal["graphs"] = Field(
        False,
        description="compile the parts of the model whose inputs have one shape in all steps (torch.compile), such "
        "as a shared core: worth it where a run takes hours. Results differ by rounding. `graphs` also records them as "
        "CUDA graphs, for models whose kernels are short; it needs a GPU",
    )
    matmul_precision: Literal["highest", "high", "medium"] = Field(
        "highest",
        description="precision of float32 products on a GPU: 'high' and 'medium' multiply in TensorFloat-32 or less",
    )
    deterministic: bool = Field(False, description="only deterministic kernels, an error where there is none")
    detect_anomaly: bool = Field(False, description="trace the operation that made a non-finite gradient (slow)")

    @model_validator(mode="after")
    def _has_an_end(self) -> TrainerOptions:
        if self.max_epochs is None and self.max_steps is None:
            raise ValueError("a run needs an end: set `max_epochs` or `max_steps`")
        return self


class CheckpointOptions(Options):
    """When checkpoints are written, and which are kept."""

    every_n_epochs: int = Field(1, ge=1, description="epochs between two checkpoints")
    every_n_steps: int | None = Field(None, ge=1, description="also every so many optimizer steps")
    keep: int = Field(1, ge=1, description="how many of the best checkpoints are kept")
    monitor: str = Field("val/loss", description="logged value that decides which checkpoint is best")
    mode: Literal["min", "max"] = Field("min", description="whether a smaller or a larger value is better")


class LoaderOptions(Options):
    """How windows reach the model."""

    evaluation_batch_size: int = Field(
        1024, ge=1, description="predicted frames (or examples) per batch in validation and evaluation"
    )
    validation_fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of each group's validation windows that is scored during training, the same ones each "
        "time; the end of training and `visioncore evaluate` score all of them",
    )
    dtype: Literal["stored", "bfloat16", "float32"] = Field(
        "stored",
        description="how inputs travel from memory to the device: as they are stored (8-bit frames stay 8-bit), or as "
        "values; models and transforms see float32 in any case",
    )
    home: Literal["auto", "device", "shared", "mapped"] = Field(
        "auto",
        description="where frames live: on the device, in memory that all processes of a host share, or where they "
        "were opened (files are memory-mapped); auto measures what is free and says what it chose",
    )
    gather: Literal["auto", "compiled", "torch"] = Field(
        "auto",
        description="how windows are read: by a library that is compiled once, where there is a C compiler, or by "
        "torch; the numbers are the same",
    )
    prefetch: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="training batches read ahead by a background thread; 0 reads in the step; auto measures the first "
        "ones, and reads in the step where that costs less than handing a batch from thread to thread, 2 ahead "
        "elsewhere; batches are the same",
    )


class RunFolderOptions(Options):
    """Where a run leaves what it makes."""

    name: str = Field(
        "", pattern=r"^[A-Za-z0-9_.+=-]*$", description="name of the run; by default that of the run file"
    )
    dir: str = Field("", description="the run folder itself; by default `runs/<name>/<time>`")


class PluginOptions(Options):
    """Which plugins a run may use."""

    allow: tuple[str, ...] = Field(
        (), description="the only plugins that are imported, by name or distribution; empty allows all"
    )
    block: tuple[str, ...] = Field((), description="plugins that are not even imported, by name or distribution")
    lock: str = Field(
        "",
        description="file of `visioncore plugins --write-lock`, relative to the working folder: its plugins must be "
        "here in the same versions, with the same code, and no other is imported",
    )


class PolicyOptions(Options):
    """What to do where a run meets something that is not plainly right or wrong."""

    data_changes: Literal["error", "warn"] = Field(
        "error", description="on resume and in `visioncore evaluate`, where the content of the data is not what it was"
    )
    plugin_changes: Literal["error", "warn", "ignore"] = Field(
        "error", description="what to do on resume where a plugin has another version or other code than before"
    )
    resume_changes: Patterns = Field(
        (), description="keys that may differ from the run that is resumed, e.g. 'optimizer.lr'"
    )
    non_finite: Literal["stop", "skip", "raise"] = Field(
        "stop",
        description="a loss or gradient that is not finite: end the run with its state saved, leave the step out, "
        "or end with a traceback",
    )
    max_skips: int = Field(10, ge=0, description="steps that `non_finite: skip` may leave out in the whole run")
    watchdog: Annotated[float, Field(gt=0)] | Literal["off"] = Field(
        600.0,
        description="seconds after which a run without a step, a validation batch or a checkpoint is ended as hanging",
    )


class RunConfig(Options):
    """A whole run. Blocks that name a component hold its options; everything else is the engine's."""

    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything that is drawn")
    data: Annotated[Choice, Slot("dataset")] = Field(description="what to train on")
    sampler: Annotated[Choice, Slot("sampler")] = Field(description="which windows make up each global batch")
    transforms: Annotated[tuple[Choice, ...], Slot("transform", many=True)] = Field((), description="batch to batch")
    model: Annotated[Choice, Slot("model")] = Field(description="what is trained")
    transfer: TransferOptions | None = Field(
        None, description="weights of a trained model that this one starts from, and what of them stays frozen"
    )
    loss: Annotated[Choice, Slot("loss")] = Field(description="what is minimised")
    metrics: Annotated[tuple[Choice, ...], Slot("metric", many=True)] = Field((), description="what is measured")
    regularizers: Annotated[tuple[Choice, ...], Slot("regularizer", many=True)] = Field(
        (), description="penalties and proximal steps on named parameters"
    )
    optimizer: Annotated[Choice, Slot("optimizer")] = Field(description="how parameters move")
    scheduler: Annotated[Choice | None, Slot("scheduler")] = Field(None, description="how rates change")
    callbacks: Annotated[tuple[Choice, ...], Slot("callback", many=True)] = Field((), description="Lightning callbacks")
    loggers: Annotated[tuple[Choice, ...], Slot("logger", many=True, default=("csv", "jsonl"))] = Field(
        description="where logged values go"
    )
    evaluate: Annotated[tuple[Choice, ...], Slot("evaluator", many=True)] = Field(
        (), description="tables and figures made on the validation split after training, and by `visioncore evaluate`"
    )
    checkpoint: CheckpointOptions = Field(default_factory=CheckpointOptions, description="what is saved, and when")
    trainer: TrainerOptions = Field(description="arguments of the Lightning Trainer")
    launch: Annotated[Choice | None, Slot("launcher")] = Field(
        None, description="where the processes come from; by default they are started here, one for each device"
    )
    loader: LoaderOptions = Field(default_factory=LoaderOptions, description="how windows reach the model")
    policies: PolicyOptions = Field(default_factory=PolicyOptions, description="what to do in doubtful cases")
    plugins: PluginOptions = Field(default_factory=PluginOptions, description="which plugins may be used")
    run: RunFolderOptions = Field(default_factory=RunFolderOptions, description="where the run leaves what it makes")
