"""Components that fail on demand or watch closely, beside the toy family. Declarations are torch-free."""

from __future__ import annotations

from visioncore_engine import Component, hookimpl

PARTS = "fault_parts"


@hookimpl
def visioncore_samplers():
    yield Component(name="toy_weighted", summary="windows drawn by their weight", build=f"{PARTS}:ToyWeighted")
    yield Component(name="toy_once", summary="every window once per epoch, shuffled", build=f"{PARTS}:ToyOnce")


@hookimpl
def visioncore_transforms():
    yield Component(name="toy_noise", summary="noise keyed by epoch and item", build=f"{PARTS}:ToyNoise")


@hookimpl
def visioncore_losses():
    yield Component(name="toy_faulty", summary="squared error that can fail", build=f"{PARTS}:ToyFaulty")


@hookimpl
def visioncore_callbacks():
    yield Component(name="toy_witness", summary="writes down what a step saw", build=f"{PARTS}:ToyWitness")
    yield Component(name="toy_faults", summary="lets what is armed happen", build=f"{PARTS}:ToyFaults")


@hookimpl
def visioncore_loggers():
    yield Component(name="toy_tracker", summary="a tracker that can fail", build=f"{PARTS}:ToyTracker")
