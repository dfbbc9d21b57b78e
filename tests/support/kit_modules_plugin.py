"""A plugin with the good and the faulty components of `kit_modules`."""

from __future__ import annotations

from visioncore_engine import Component, hookimpl


def parts(*names):
    for name in names:
        yield Component(name=name.lower(), summary=f"the {name}", build=f"kit_modules:{name}")


@hookimpl
def visioncore_stages():
    return parts("Window", "Foreseeing")


@hookimpl
def visioncore_modulators():
    return parts("Gain", "Averaged")


@hookimpl
def visioncore_readouts():
    return parts("Flat", "Rectified")


@hookimpl
def visioncore_adapters():
    return parts("Crop", "Constant")


@hookimpl
def visioncore_losses():
    return parts("Squared", "Mean")


@hookimpl
def visioncore_metrics():
    for name in ("Squares", "Optimistic"):
        yield Component(name=name.lower(), summary=name, build=f"kit_modules:{name}", logs=("error",))


@hookimpl
def visioncore_transforms():
    return parts("Scaled", "Careless")


@hookimpl
def visioncore_evaluators():
    return parts("Counted", "Batches")
