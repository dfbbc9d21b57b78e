"""Components whose hooks a test writes itself, see `unruly_parts`. Declarations are torch-free."""

from __future__ import annotations

from visioncore_engine import Component, hookimpl

PARTS = "unruly_parts"


@hookimpl
def visioncore_callbacks():
    yield Component(name="unruly", summary="does what a test says", build=f"{PARTS}:Unruly")


@hookimpl
def visioncore_losses():
    yield Component(name="unruly", summary="squared error as a test wants it", build=f"{PARTS}:UnrulyLoss")


@hookimpl
def visioncore_models():
    yield Component(
        name="unruly",
        summary="toy model with running statistics",
        options="toy_options:ToyModelOptions",
        build=f"{PARTS}:UnrulyModel",
    )


@hookimpl
def visioncore_loggers():
    yield Component(name="unruly", summary="logs to a test", build=f"{PARTS}:UnrulyLogger")
    yield Component(name="unruly_at_once", summary="logs to a test at once", build=f"{PARTS}:UnrulyAtOnce")
