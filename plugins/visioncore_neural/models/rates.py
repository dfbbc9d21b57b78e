"""From the drive of units to their rates. B windows, L predicted frames, N units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visioncore_common.names import module_name
from visioncore_engine.contracts import GroupSpec
from visioncore_neural.models.activations import Exp, Sigmoid, make_activation
from visioncore_neural.models.baseline import Baseline
from visioncore_neural.options.model import RateOptions
from visioncore_neural.responses import response_task

__all__ = ["MIN_START_RATE", "Rates"]

MIN_START_RATE = 1e-3
"""Rate, in the target's unit per frame, that a unit starts with at least: one that is silent, or masked throughout the
training data, would otherwise start at minus infinity."""


class Rates(nn.Module):
    """Output nonlinearity, shared by all groups, and the baseline and dispersion of each group's units.

    Parameters
    ----------
    options
        What the user wrote.
    groups
        Specifications of the groups.
    """

    def __init__(self, options: RateOptions, groups: Sequence[GroupSpec]) -> None:
        super().__init__()
        self._activation = make_activation(options.activation, options.sharpness)
        self._start = options.baseline or 0.0
        self.baselines = nn.ModuleDict()
        if options.baseline is not None:
            for group in groups:
                size = response_task(group)[1].size
                self.baselines[module_name(group.name)] = Baseline(size, options.baseline)
        self.log_dispersions = nn.ParameterDict()
        if options.dispersion is not None:
            for group in groups:
                start = torch.full((response_task(group)[1].size,), math.log(options.dispersion))
                self.log_dispersions[module_name(group.name)] = nn.Parameter(start)

    def forward(self, task: str, group: str, drive: Tensor) -> dict[str, Tensor]:
        """Outputs of a group from its drive (B, L, N): the rates, and what else is known of them.

        ``<task>/log_rate`` or ``<task>/logit`` where that is the drive; ``<task>/log_dispersion`` where it is learned.
        """
        # In at least float32, also under autocast: a bfloat16 rate has two digits, its logarithm fewer.
        drive = drive.to(torch.promote_types(drive.dtype, torch.float32))
        rates = self._activation(drive)
        outputs = {task: rates}
        if self.baselines:
            outputs[task] = self.baselines[module_name(group)](rates)
        elif isinstance(self._activation, Exp | Sigmoid):
            outputs[f"{task}/{'log_rate' if isinstance(self._activation, Exp) else 'logit'}"] = drive
        if self.log_dispersions:
            outputs[f"{task}/log_dispersion"] = self.log_dispersions[module_name(group)].expand_as(drive)
        return outputs

    def start_at_means(self, groups: Sequence[GroupSpec], readouts: nn.ModuleDict) -> None:
        """Set each readout's bias so that a drive of that gives the mean of the unit's training responses."""
        for group in groups:
            _, target = response_task(group)
            if target.mean:
                # In this order a NaN mean (nothing valid) loses the comparison, and gets the floor too.
                drives = [self._activation.inverse(max(MIN_START_RATE, mean - self._start)) for mean in target.mean]
                bias = readouts.get_parameter(f"{module_name(group.name)}.bias")
                with torch.no_grad():
                    bias.copy_(bias.new_tensor(drives))
