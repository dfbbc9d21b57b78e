"""What the tests of clusters add to the toys: a callback that waits for a signal. Declarations are torch-free."""

from __future__ import annotations

from visioncore_engine import Component, hookimpl


@hookimpl
def visioncore_callbacks():
    yield Component(
        name="toy_wait",
        summary="waits in a step until a signal comes",
        options="cluster_options:ToyWaitOptions",
        build="cluster_parts:ToyWait",
    )
