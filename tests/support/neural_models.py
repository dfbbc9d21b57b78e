"""Parts of an encoding model and small batches for them, as a run file and a data set would make them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from visioncore_engine import choose
from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.contracts import Batch, Group, GroupSpec, ModelFacts, StageFacts, TargetSpec
from visioncore_engine.options import Choice
from visioncore_neural._model_components import COMPONENTS
from visioncore_neural.options.model import EncoderOptions

__all__ = ["batch", "choice", "double", "encoder", "group", "model", "recording", "stage"]


@contextmanager
def double() -> Iterator[None]:
    """Build in float64 from the first number on, as a run with precision 64 does."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def choice(kind: str, name: str, **options: Any) -> Choice:
    """Block of a run file, its options validated as YAML is."""
    component = next(component for component in COMPONENTS[kind] if component.name == name)
    model = resolve_address(component.options or KINDS[kind].options)
    return choose(kind, component, model.model_validate_json(json.dumps(options)))


def stage(name: str, shape: tuple[int, int, int], dt: float | None = 0.01, **options: Any) -> nn.Module:
    built: nn.Module = choice("stage", name, **options).build(StageFacts(shape, dt))
    return built


def recording(
    name: str = "m1_a",
    num_units: int = 3,
    shape: tuple[int, ...] = (1, 5, 6),
    *,
    mean: Sequence[float] = (),
    side: Mapping[str, int] | None = None,
    num_repeat_frames: int = 0,
    kind: str = "counts",
    dt: float | None = 0.01,
) -> GroupSpec:
    return GroupSpec(
        name=name,
        labels={"sessions": name, "subjects": name.partition("_")[0]},
        input_shape=shape,
        targets={"robs": TargetSpec(kind=kind, size=num_units, columns="units", mean=tuple(mean))},
        side=dict(side or {}),
        tags={"repeat_frame": num_repeat_frames} if num_repeat_frames else {},
        dt=dt,
    )


def group(
    spec: GroupSpec,
    num_windows: int,
    num_frames: int,
    length: int,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Group:
    """Random windows of a recording: `num_frames` input frames, the last `length` of them predicted."""
    draw = torch.Generator().manual_seed(seed)
    return Group(
        name=spec.name,
        index=0,
        inputs=torch.randn(
            num_windows, spec.input_shape[0], num_frames, *spec.input_shape[1:], generator=draw, dtype=dtype
        ),
        targets={
            "robs": torch.poisson(torch.full((num_windows, length, spec.targets["robs"].size), 0.7), generator=draw)
        },
        mask=torch.rand(num_windows, length, 1, generator=draw) < 0.8,
        items=torch.arange(num_windows),
        side={
            name: torch.randn(num_windows, num_frames, size, generator=draw, dtype=dtype)
            for name, size in spec.side.items()
        },
    )


def batch(model: nn.Module, specs: Sequence[GroupSpec], sizes: Sequence[int], length: int = 3) -> Batch:
    """Random micro-batch for a model, in the model's dtype."""
    frames, dtype = int(model.history) + length, next(model.parameters()).dtype
    return Batch(
        [
            group(spec, size, frames, length, seed=seed, dtype=dtype)
            for seed, (spec, size) in enumerate(zip(specs, sizes, strict=True))
        ]
    )


def model(name: str, specs: Sequence[GroupSpec], *, seed: int = 0, **options: Any) -> nn.Module:
    """Model in float64, its options validated as YAML is."""
    torch.manual_seed(seed)
    with double():
        built: nn.Module = choice("model", name, **options).build(ModelFacts(groups=tuple(specs), seed=seed))
    return built


def encoder(specs: Sequence[GroupSpec], *, seed: int = 0, **parts: Any) -> nn.Module:
    """Encoder in float64, with a small core unless `parts` say otherwise."""
    parts.setdefault("core", (choice("stage", "conv3d", channels=[4], kernel_size=[3, 3, 3]),))
    parts.setdefault("readout", choice("readout", "gaussian"))
    torch.manual_seed(seed)
    with double():
        built: nn.Module = choose("model", COMPONENTS["model"][0], EncoderOptions(**parts)).build(
            ModelFacts(groups=tuple(specs), seed=seed)
        )
    return built
