"""A plugin with good and faulty components, for tests of the test kit."""

from __future__ import annotations

from visioncore_engine import Component, hookimpl

PARTS = "kit_parts"


def part(name, build, options=""):
    return Component(name=name, summary=f"the {name}", build=f"{PARTS}:{build}", options=options)


@hookimpl
def visioncore_schedulers():
    yield part("halving", "Halving", "kit_options:HalvingOptions")
    yield part("deaf", "Deaf", "kit_options:HalvingOptions")
    yield part("forgetful", "Forgetful", "kit_options:HalvingOptions")
    yield part("restless", "Restless")


@hookimpl
def visioncore_regularizers():
    yield part("squares", "Squares")
    yield part("detached", "Detached")


@hookimpl
def visioncore_callbacks():
    yield part("counter", "Counter")
    yield part("sleeper", "Sleeper")
