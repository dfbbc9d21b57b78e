"""What penalties and proximal steps cost, as a share of an AdamW step (foreach).

88 tensors, of which the features of 20 readouts are penalised, 128 thousand values; one thread. A penalty of the engine
is `Regularization.add_gradients`, a proximal step `proximal_steps`.

    python benchmarks/penalties.py [--json] [--no-write]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from figure import Figure, command
from old_penalty import PENALTIES, OldPenalty, old_soft_threshold
from side_by_side import interleave
from torch import nn

from visioncore_common.options.regularizer import GroupLassoOptions
from visioncore_common.regularizers.lasso import GroupLasso
from visioncore_common.regularizers.norms import L1, L2
from visioncore_common.regularizers.proximal import ProximalL1
from visioncore_engine.contracts import Regularizer, RegularizerFacts
from visioncore_engine.options import RegularizerOptions
from visioncore_engine.regularization import ActiveRegularizer, Regularization
from visioncore_engine.schedule import Clock

__all__ = ["Sizes", "features_of", "measure", "network", "regularization"]

STRENGTH = 1e-4
CLOCK = Clock(0, 0.0, 0.0)


@dataclass(frozen=True)
class Sizes:
    """How many tensors of which size."""

    readouts: int = 20
    units: int = 100
    channels: int = 64
    rounds: int = 9
    steps: int = 20


def network(sizes: Sizes) -> nn.Module:
    """Eight tensors of a core, and four of each readout, with gradients."""
    torch.manual_seed(0)
    core = [nn.Parameter(torch.randn(sizes.channels, sizes.channels)) for _ in range(8)]
    shapes = ((sizes.units, sizes.channels), (sizes.units, 2), (sizes.units, 2), (sizes.units,))
    heads = [[nn.Parameter(torch.randn(shape)) for shape in shapes] for _ in range(sizes.readouts)]
    model = nn.Module()
    model.core = nn.ParameterList(core)
    model.readouts = nn.ModuleList([nn.ParameterList(head) for head in heads])
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


def features_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The first tensor of each readout, by name."""
    return {
        name: value for name, value in model.named_parameters() if name.startswith("readouts") and name.endswith(".0")
    }


def regularization(name: str, parameters: dict[str, nn.Parameter]) -> Regularization:
    """One regularizer of the engine on some parameters."""
    facts, match = RegularizerFacts(parameters), ("*",)
    options = RegularizerOptions(strength=STRENGTH, match=match)
    built: dict[str, Callable[[], Regularizer]] = {
        "l1": lambda: L1(options, facts),
        "l2": lambda: L2(options, facts),
        "group_lasso": lambda: GroupLasso(GroupLassoOptions(strength=STRENGTH, match=match, groups="tensor"), facts),
        "proximal_l1": lambda: ProximalL1(options, facts),
    }
    return Regularization([ActiveRegularizer(name, built[name](), parameters, STRENGTH)])


def _groups(model: nn.Module) -> list[dict[str, object]]:
    """Four parameter groups, as the old optimizer had them."""
    parameters = list(model.parameters())
    return [{"params": parameters[start::4]} for start in range(4)]


def measure(sizes: Sizes = Sizes()) -> list[Figure]:
    """Measure the row."""
    torch.set_num_threads(1)
    model = network(sizes)
    features = features_of(model)
    # A rate of 1e-9: the values must not drift into subnormal numbers while the clock runs.
    optimizer = torch.optim.AdamW(_groups(model), lr=1e-9, weight_decay=0.0, foreach=True)
    optimizer.step()
    rates = dict.fromkeys(features, 1e-9)
    proximal = regularization("proximal_l1", features)
    methods: dict[str, Callable[[], object]] = {
        "step": optimizer.step,
        "proximal": lambda: proximal.proximal_steps(CLOCK, rates),
        "old proximal": lambda: old_soft_threshold(optimizer, list(features.values()), STRENGTH * 1e-9),
    }
    for name in PENALTIES:
        ours, old = regularization(name, features), OldPenalty(name, list(features.values()), STRENGTH)
        methods[name] = lambda ours=ours: ours.add_gradients(CLOCK)  # type: ignore[misc]  # bound now
        methods[f"old {name}"] = lambda old=old: old.loss().backward()  # type: ignore[misc]  # bound now
    timed = {name: (_repeated(work, sizes.steps), sizes.steps) for name, work in methods.items()}
    times = interleave(timed, sizes.rounds)
    detail = {f"{name} us": round(1e6 * times.median(name), 1) for name in methods}
    figures = [
        Figure(
            f"{name} over an AdamW step", times.ratio(name, "step"), "less", 0.05, detail=detail if name == "l1" else {}
        )
        for name in PENALTIES
    ]
    figures += [Figure("proximal step over an AdamW step", times.ratio("proximal", "step"), "less", 0.1)]
    figures += [
        Figure(
            f"check of the baseline: old {name} over an AdamW step (was {was})",
            times.ratio(f"old {name}", "step"),
            "less",
        )
        for name, was in (("l1", "0.24"), ("l2", "0.26"), ("group_lasso", "0.30"), ("proximal", "3.2"))
    ]
    return figures


def _repeated(work: Callable[[], object], num: int) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(num):
            work()

    return repeated


if __name__ == "__main__":
    sys.exit(command("penalties", measure, __doc__))
