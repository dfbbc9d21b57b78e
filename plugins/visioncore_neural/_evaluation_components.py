"""Evaluators, callbacks and report sections that this plugin provides. Torch-free."""

from __future__ import annotations

from visioncore_engine.component import Command, Component

__all__ = ["COMMANDS", "COMPONENTS", "REPORT_SECTIONS"]

COMPONENTS: dict[str, tuple[Component, ...]] = {
    "evaluator": (
        Component(
            name="units",
            summary="a row per unit with its scores; the report's sections about units need it",
            options="visioncore_neural.options.evaluator:UnitsOptions",
            build="visioncore_neural.evaluators.units:Units",
        ),
        Component(
            name="ground_truth",
            summary="simulated data only: recovered receptive-field centres, and correlations against the true rate's",
            options="visioncore_neural.options.evaluator:GroundTruthOptions",
            build="visioncore_neural.evaluators.ground_truth:GroundTruth",
        ),
        Component(
            name="spike_triggered_average",
            summary="average stimulus before spikes and before predicted rates, by lag",
            options="visioncore_neural.options.evaluator:SpikeTriggeredAverageOptions",
            build="visioncore_neural.evaluators.spikes:SpikeTriggeredAverage",
        ),
        Component(
            name="saccade_triggered",
            summary="rates around saccades, measured and predicted",
            options="visioncore_neural.options.evaluator:SaccadeTriggeredOptions",
            build="visioncore_neural.evaluators.triggered:SaccadeTriggered",
        ),
        Component(
            name="grating_tuning",
            summary="what drifting gratings do to the model: preferred orientation and period, F1 over F0",
            options="visioncore_neural.options.evaluator:GratingTuningOptions",
            build="visioncore_neural.evaluators.gratings:GratingTuning",
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

COMMANDS: tuple[Command, ...] = (
    Command(
        name="compare",
        summary="paired differences between runs, unit by unit, with intervals",
        build="visioncore_neural.commands.compare:build",
    ),
)

REPORT_SECTIONS: tuple[str, ...] = tuple(
    f"visioncore_neural.report.{name}:section"
    for name in ("scores", "quality", "truth", "traces", "fields", "influence", "kernels")
)
