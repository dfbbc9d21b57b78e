"""Evaluators, callbacks and report sections that this plugin provides. Torch-free."""

from __future__ import annotations

from visioncore_engine import Component

__all__ = ["COMPONENTS", "REPORT_SECTIONS"]

COMPONENTS: dict[str, tuple[Component, ...]] = {
    "evaluator": (
        Component(
            name="units",
            summary="a row per unit with its scores; the report's sections about units need it",
            build="visioncore_neural.evaluators.units:Units",
        ),
        Component(
            name="ground_truth",
            summary="simulated data only: recovered receptive-field centres, and correlations against the true rate's",
            options="visioncore_neural.options.evaluator:GroundTruthOptions",
            build="visioncore_neural.evaluators.ground_truth:GroundTruth",
        ),
    ),
    "callback": (
        Component(
            name="model_logging",
            summary="pictures of kernels and masks while a model learns",
            options="visioncore_neural.options.callback:ModelLoggingOptions",
            build="visioncore_neural.callbacks.model_logging:ModelLogging",
        ),
    ),
}

REPORT_SECTIONS: tuple[str, ...] = tuple(
    f"visioncore_neural.report.{name}:section"
    for name in ("scores", "truth", "traces", "fields", "influence", "kernels")
)
