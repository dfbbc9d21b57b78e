"""The data set `rendered_shapes`: no file, a pure function of its options and a seed."""

from __future__ import annotations

import math

import numpy as np

from visioncore_common.examples.dataset import ExampleDataset
from visioncore_common.examples.source import Examples
from visioncore_common.options.dataset import RenderedShapesOptions
from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.data import generator, uniforms

__all__ = ["SHAPES", "rendered_shapes"]

SHAPES = ("disk", "square", "triangle", "cross", "ring", "bar")


def rendered_shapes(options: RenderedShapesOptions, facts: DatasetFacts) -> ExampleDataset:
    """Render all groups."""
    seed = facts.seed if options.seed is None else options.seed
    groups = [_group(options, seed, number) for number in range(options.num_groups)]
    return ExampleDataset(options, groups, SHAPES[: options.num_classes], "groups", facts.state)


def _group(options: RenderedShapesOptions, seed: int, number: int) -> Examples:
    counts = (options.num_train, options.num_validation, options.num_test)
    total = sum(counts)
    draws = uniforms(np.arange(total), 6, "rendered_shapes", seed, number)
    labels = np.floor(draws[:, 0] * options.num_classes).astype(np.int64)
    radius = options.size * (0.16 + 0.12 * draws[:, 1])
    centre = options.size / 2 + (options.size / 2 - 1.2 * radius[:, None]) * (2 * draws[:, 2:4] - 1)
    angle = 2 * math.pi * draws[:, 4]
    polarity = 1.0 if number % 2 == 0 else -1.0  # groups differ, so that a head per group has something to learn
    images = polarity * (0.5 + 0.5 * draws[:, 5, None, None]) * _draw(labels, centre, radius, angle, options.size)
    noise = generator("rendered_shapes", seed, number).standard_normal(images.shape)
    inputs = (images + options.noise * noise).astype(np.float32)[:, None]
    return Examples(f"shapes_{number}", inputs, labels, np.repeat(np.arange(3, dtype=np.int64), counts))


def _draw(labels: np.ndarray, centre: np.ndarray, radius: np.ndarray, angle: np.ndarray, size: int) -> np.ndarray:
    """Shapes of contrast 1 with an edge one pixel wide, (N, size, size)."""
    rows, columns = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")
    down, right = rows - centre[:, 0, None, None], columns - centre[:, 1, None, None]
    cosine, sine = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    u, v = cosine * right + sine * down, cosine * down - sine * right
    r = radius[:, None, None]
    distance = np.zeros_like(u)
    for number, name in enumerate(SHAPES):
        mine = labels == number
        distance[mine] = _distance(name, u[mine], v[mine], r[mine])
    return np.asarray(np.clip(0.5 - distance, 0.0, 1.0))


def _distance(name: str, u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Signed distance in pixels to the outline of a shape of radius `r`, negative inside."""
    if name == "disk":
        return np.asarray(np.hypot(u, v) - r)
    if name == "ring":
        return np.asarray(np.abs(np.hypot(u, v) - 0.75 * r) - 0.2 * r)
    if name == "triangle":
        slanted = 0.5 * math.sqrt(3) * np.abs(u) - 0.5 * v
        return np.asarray(np.maximum(slanted, v) - 0.6 * r)
    if name == "cross":
        return np.asarray(np.minimum(_box(u, v, r, 0.25 * r), _box(u, v, 0.25 * r, r)))
    return _box(u, v, 0.8 * r, 0.8 * r) if name == "square" else _box(u, v, 1.2 * r, 0.25 * r)


def _box(u: np.ndarray, v: np.ndarray, width: np.ndarray, height: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.abs(u) - width, np.abs(v) - height))
