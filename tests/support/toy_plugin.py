"""A whole family of tiny components, so that the engine's tests need no other plugin. Declarations are torch-free."""

from __future__ import annotations

from visioncore_engine import Component, hookimpl

PARTS = "toy_parts"
OPTIONS = "toy_options"


@hookimpl
def visioncore_datasets():
    yield Component(
        name="toy", summary="linear targets with noise", options=f"{OPTIONS}:ToyDataOptions", build=f"{PARTS}:ToyData"
    )


@hookimpl
def visioncore_samplers():
    yield Component(name="toy_random", summary="random windows", build=f"{PARTS}:ToySampler")


@hookimpl
def visioncore_models():
    yield Component(
        name="toy_linear",
        summary="shared layer, a head per group",
        options=f"{OPTIONS}:ToyModelOptions",
        build=f"{PARTS}:ToyModel",
    )


@hookimpl
def visioncore_losses():
    yield Component(name="toy_squared", summary="masked squared error", build=f"{PARTS}:ToySquared")


@hookimpl
def visioncore_metrics():
    yield Component(
        name="toy_error", summary="mean squared error", build=f"{PARTS}:ToyError", logs=("toy_error", "toy_count")
    )


@hookimpl
def visioncore_regularizers():
    yield Component(name="toy_l2", summary="sum of squares", build=f"{PARTS}:ToyL2")


@hookimpl
def visioncore_optimizers():
    yield Component(name="toy_adamw", summary="AdamW", build=f"{PARTS}:toy_adamw")
    yield Component(name="toy_sgd", summary="plain SGD", build=f"{PARTS}:toy_sgd")


@hookimpl
def visioncore_schedulers():
    yield Component(name="toy_halving", summary="halves when the loss stalls", build=f"{PARTS}:ToyHalving")


@hookimpl
def visioncore_callbacks():
    yield Component(
        name="toy_events",
        summary="writes down what happens",
        options=f"{OPTIONS}:ToyCallbackOptions",
        build=f"{PARTS}:ToyEvents",
    )


@hookimpl
def visioncore_loggers():
    yield Component(name="toy_memory", summary="keeps what is logged", build=f"{PARTS}:ToyMemory")


@hookimpl
def visioncore_evaluators():
    yield Component(name="toy_table", summary="a row per group", build=f"{PARTS}:ToyTable")
