"""What the tests of clusters add to the toys: a callback that waits in a step. Declarations are torch-free."""

from __future__ import annotations

from visioncore_engine import Component, hookimpl


@hookimpl
def visioncore_callbacks():
    yield Component(
        name="toy_wait",
        summary="waits in a step until a signal or a file comes",
        options="cluster_options:ToyWaitOptions",
        build="cluster_parts:ToyWait",
    )
