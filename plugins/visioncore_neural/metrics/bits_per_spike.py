"""Bits per spike. B windows, L predicted frames, N units."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec, MetricFacts, Result
from visioncore_neural.metrics.summary import overall, per_group, scored
from visioncore_neural.options.metric import BitsPerSpikeOptions
from visioncore_neural.responses import response_task, responses_of, tasks_of

__all__ = ["BitsPerSpike"]


class BitsPerSpike:
    """Gain in log-likelihood over the unit's mean rate, per spike, pooled over all valid values.

    With k the counts, r the rates and K, R their sums over the n valid values of a unit, the Poisson log-likelihoods
    of the model and of the constant rate K / n give::

        (sum k log(r + eps) - R - (K log(K / n) - K)) / (K log 2)

    (Pillow et al., Nature 454, 2008; the null is the mean over the values that are scored). Not clamped. A unit
    without a valid value, or without a spike, is NaN and is not scored; how many were scored is logged.

    The statistics are four float64 sums per unit, of terms in the precision of the rates: a float32 term is wrong by
    at most 1e-7 of itself, and so is a score by less than 1e-7 bits. Sums of counts are exact up to 2^53; sums of n
    terms lose at most a relative n 1e-16: the order of batches does not show above 1e-10 bits.

    Logged, over the scored units of all groups: the mean, the median, the mean of scores clamped at 0, the fraction
    above 0, the number scored; the mean of each group and each subject.
    """

    def __init__(self, options: BitsPerSpikeOptions, facts: MetricFacts) -> None:
        self._eps = options.eps
        self._groups = facts.groups
        self._tasks = tasks_of(facts.groups)

    def state(self, group: GroupSpec) -> dict[str, Tensor]:
        """Zeros: valid values, counts, rates, and counts times log rate, (N,) each."""
        size = response_task(group)[1].size
        return {name: torch.zeros(size, dtype=torch.float64) for name in ("valid", "counts", "rates", "log")}

    def update(self, state: dict[str, Tensor], outputs: Mapping[str, Tensor], group: Group) -> None:
        """Add a batch."""
        rates, counts, _ = responses_of(outputs, group, self._tasks[group.name])
        zero = rates.new_zeros(())
        rates, counts = (torch.where(group.mask, values.to(zero.dtype), zero) for values in (rates, counts))
        # `xlogy` takes three times as long; it is needed where the logarithm may be that of 0.
        log = torch.log(rates + self._eps).mul_(counts) if self._eps else torch.special.xlogy(counts, rates)
        state["valid"] += group.mask.sum(dim=(0, 1))  # one column for all units, where they share a mask
        for name, values in (("counts", counts), ("rates", rates), ("log", log)):
            state[name] += values.sum(dim=(0, 1), dtype=torch.float64)

    def compute(self, states: Mapping[str, dict[str, Tensor]]) -> Result:
        """Scores per unit, and their summaries."""
        columns = {name: self._scores(state) for name, state in states.items()}
        values = scored(columns)
        scalars = overall("bits_per_spike", columns)
        scalars["bits_per_spike_clamped"] = float(values.clip(min=0).mean()) if len(values) else np.nan
        scalars["bits_per_spike_positive"] = float((values > 0).mean()) if len(values) else np.nan
        return Result(scalars=scalars | per_group("bits_per_spike", columns, self._groups), columns=columns)

    @staticmethod
    def _scores(state: Mapping[str, Tensor]) -> np.ndarray:
        valid, counts, rates, log = (state[name].cpu().numpy() for name in ("valid", "counts", "rates", "log"))
        spikes = np.where(counts > 0, counts, np.nan)  # also where nothing is valid
        null = spikes * np.log(spikes / np.where(valid > 0, valid, np.nan)) - spikes
        scores: np.ndarray = (log - rates - null) / (spikes * np.log(2.0))
        return scores
