"""Optimizers, schedulers, regularizers, generic data sets, callbacks, loggers and launchers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visioncore_engine import Component, hookimpl
from visioncore_engine.component import resolve_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from visioncore_engine.config.run import RunConfig
    from visioncore_engine.errors import Problem

__all__ = [
    "visioncore_callbacks",
    "visioncore_data_checks",
    "visioncore_datasets",
    "visioncore_launchers",
    "visioncore_loggers",
    "visioncore_losses",
    "visioncore_metrics",
    "visioncore_models",
    "visioncore_optimizers",
    "visioncore_regularizers",
    "visioncore_samplers",
    "visioncore_schedulers",
    "visioncore_transforms",
]


def _component(name: str, summary: str, build: str, options: str = "", logs: tuple[str, ...] = ()) -> Component:
    return Component(
        name=name,
        summary=summary,
        build=f"visioncore_common.{build}",
        options=f"visioncore_common.options.{options}" if options else "",
        logs=logs,
    )


@hookimpl
def visioncore_datasets() -> Iterator[Component]:
    """Labelled examples."""
    yield _component(
        "arrays",
        "labelled examples in .npz files or folders of .npy files",
        "examples.arrays:arrays",
        "dataset:ArraysOptions",
    )
    yield _component(
        "rendered_shapes",
        "simple shapes in noise, rendered in memory; needs no file",
        "examples.shapes:rendered_shapes",
        "dataset:RenderedShapesOptions",
    )


@hookimpl
def visioncore_samplers() -> Iterator[Component]:
    """Plans that look at nothing but the number of windows."""
    yield _component("sequential", "every window once per pass, in order", "samplers:Sequential")
    yield _component("shuffled", "every window once per pass, in a new order each time", "samplers:Shuffled")


@hookimpl
def visioncore_transforms() -> Iterator[Component]:
    """Augmentation of training examples."""
    yield _component("shift", "shift each training example by a few pixels", "shift:Shift", "transform:ShiftOptions")


@hookimpl
def visioncore_models() -> Iterator[Component]:
    """Models of single examples."""
    yield _component("cnn", "small convolutional network, a head per group", "cnn:CNN", "model:CNNOptions")


@hookimpl
def visioncore_losses() -> Iterator[Component]:
    """Losses of classes."""
    yield _component(
        "cross_entropy", "cross-entropy of class labels", "cross_entropy:CrossEntropy", "loss:CrossEntropyOptions"
    )


@hookimpl
def visioncore_metrics() -> Iterator[Component]:
    """Scores of classes."""
    yield _component(
        "accuracy",
        "part of the examples that are right, over all and over classes",
        "accuracy:Accuracy",
        "metric:AccuracyOptions",
        logs=("accuracy", "balanced_accuracy"),
    )


@hookimpl
def visioncore_regularizers() -> Iterator[Component]:
    """Penalties on any parameter."""
    yield _component("l1", "sum of absolute values", "regularizers.norms:L1")
    yield _component("l2", "sum of squares", "regularizers.norms:L2")
    yield _component(
        "group_lasso",
        "sum of the norms of groups: whole units, channels, filters or tensors go to zero",
        "regularizers.lasso:group_lasso",
        "regularizer:GroupLassoOptions",
    )
    yield _component(
        "proximal_l1",
        "soft threshold after each step: exact zeros",
        "regularizers.proximal:proximal_l1",
        "regularizer:ProximalL1Options",
    )
    yield _component(
        "laplacian", "smooth in space or time", "regularizers.laplacian:Laplacian", "regularizer:LaplacianOptions"
    )
    yield _component(
        "activity", "outputs that stay small", "regularizers.activity:Activity", "regularizer:ActivityOptions"
    )
    yield _component("orthogonality", "filters that differ", "regularizers.orthogonality:Orthogonality")
    yield _component("clamp", "bounds that may move in time", "regularizers.clamp:Clamp", "regularizer:ClampOptions")


@hookimpl
def visioncore_optimizers() -> Iterator[Component]:
    """Optimizers of torch."""
    yield _component("adamw", "Adam with decoupled weight decay", "optimizers:adamw", "optimizer:AdamWOptions")
    yield _component("sgd", "stochastic gradient descent with momentum", "optimizers:sgd", "optimizer:SGDOptions")


@hookimpl
def visioncore_schedulers() -> Iterator[Component]:
    """Factors on the learning rates."""
    yield Component(name="constant", summary="the base rate throughout", build="visioncore_common.schedulers:Constant")
    for name, summary, build in (
        ("cosine", "half a cosine down", "Cosine"),
        ("exponential", "a steady decay", "Exponential"),
        ("onecycle", "one rise, one fall", "OneCycle"),
        ("polynomial", "a power of what is left of the run", "Polynomial"),
        ("step", "multiplied now and then", "Step"),
        ("warmup_cosine", "linear rise, then half a cosine down", "WarmupCosine"),
        ("warmup_cosine_restarts", "linear rise, then cosines one after another", "WarmupCosineRestarts"),
    ):
        yield _component(name, summary, f"schedulers:{build}", f"scheduler:{build}Options")
    yield _component(
        "plateau", "multiplied when a score stops getting better", "plateau:Plateau", "scheduler:PlateauOptions"
    )


@hookimpl
def visioncore_callbacks() -> Iterator[Component]:
    """Callbacks of any training."""
    yield _component(
        "curriculum_log",
        "where the sampler's curriculum stands",
        "callbacks.curriculum_log:CurriculumLog",
        "callback:CurriculumLogOptions",
    )
    yield _component(
        "early_stopping",
        "stop when a score has stopped getting better",
        "callbacks.early_stopping:EarlyStopping",
        "callback:EarlyStoppingOptions",
    )
    yield _component(
        "epoch_summary",
        "a table of scores in the log after each validation",
        "callbacks.epoch_summary:EpochSummary",
        "callback:EpochSummaryOptions",
    )
    yield _component(
        "gradient_norms",
        "norms of the gradients of each part, before and after clipping",
        "callbacks.gradient_norms:GradientNorms",
        "callback:GradientNormsOptions",
    )
    yield _component(
        "time_budget", "end before time is up", "callbacks.time_budget:TimeBudget", "callback:TimeBudgetOptions"
    )
    yield _component("timings", "seconds of data, steps and validations", "callbacks.timings:Timings")
    yield _component("heartbeat", "a line now and then", "callbacks.heartbeat:Heartbeat", "callback:HeartbeatOptions")
    yield _component(
        "loss_spike",
        "warn of a loss far above the others, leave the step out, or roll back",
        "callbacks.loss_spike:LossSpike",
        "callback:LossSpikeOptions",
    )
    yield _component(
        "weight_average",
        "an exponential average of the weights, for validation and everything after training",
        "callbacks.weight_average:WeightAverage",
        "callback:WeightAverageOptions",
    )


@hookimpl
def visioncore_loggers() -> Iterator[Component]:
    """Where logged values go."""
    yield _component("csv", "metrics.csv: a row per logged step", "loggers.csv:CSV")
    yield _component("jsonl", "metrics.jsonl: an object per logged step", "loggers.jsonl:JSONL")
    yield _component("tensorboard", "scalars for TensorBoard (extra: tensorboard)", "loggers.tensorboard:TensorBoard")
    yield _component("wandb", "Weights & Biases, online or offline", "loggers.wandb:Wandb", "logger:WandbOptions")


@hookimpl
def visioncore_data_checks(config: RunConfig) -> Iterator[Problem]:
    """Look at the headers of files of examples."""
    if (config.data.plugin, config.data.name) == ("visioncore_common", "arrays"):
        yield from resolve_address("visioncore_common.examples.headers:problems")(config)  # which imports NumPy


@hookimpl
def visioncore_launchers() -> Iterator[Component]:
    """Where the processes of a run come from."""
    yield _component("local", "started here, one for each device", "launchers.local:local", "launcher:LocalOptions")
    yield _component(
        "slurm", "a job of SLURM: written, submitted, queued again", "launchers.slurm:Slurm", "launcher:SlurmOptions"
    )
    yield _component(
        "torchrun", "started by torchrun, on several hosts", "launchers.torchrun:Torchrun", "launcher:TorchrunOptions"
    )
