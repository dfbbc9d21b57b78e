"""Linear-nonlinear models. B windows, C channels, T frames, L predicted frames, H, W pixels, N units."""

from __future__ import annotations

from torch import Tensor, nn

from visioncore_common.names import module_name
from visioncore_engine.contracts import Batch, ModelFacts
from visioncore_engine.errors import DataError, Problem
from visioncore_neural.models.linear import LinearUnits
from visioncore_neural.models.rates import Rates
from visioncore_neural.models.sides import BatchSides
from visioncore_neural.options.model import GLMOptions, LNOptions
from visioncore_neural.responses import tasks_of

__all__ = ["LN"]


class LN(nn.Module):
    """Every unit by itself: a linear filter and a nonlinearity, with `GLMOptions` a generalised linear model.

    Chichilnisky (Network 2001) for LN, Truccolo et al. (J. Neurophysiol. 2005) for the GLM. Nothing is shared between
    units or recordings: ``units.<group>.*`` holds all parameters, the bias starts at the unit's mean response.

    Parameters
    ----------
    options
        What the user wrote.
    facts
        The groups; they may differ in shape and rate.

    Attributes
    ----------
    history
        Input frames before the first predicted one.
    """

    def __init__(self, options: LNOptions, facts: ModelFacts) -> None:
        super().__init__()
        self._tasks = tasks_of(facts.groups)
        lags = options.num_lags if isinstance(options, GLMOptions) else 0
        self.history = max(options.num_frames - 1, lags - 1)
        self.units = nn.ModuleDict({module_name(group.name): LinearUnits(options, group) for group in facts.groups})
        self.rates = Rates(options, facts.groups)
        self.rates.start_at_means(facts.groups, self.units)

    def forward(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Predict the rates of every group: one mapping task -> (B, L, N) per group, in the batch's order."""
        outputs = []
        for group in batch.groups:
            length = group.inputs.shape[2] - self.history
            if length < 1:
                raise DataError(
                    Problem(
                        what=f"windows must be longer than the model's history of {self.history} frames",
                        given=f"{group.inputs.shape[2]} frames",
                    )
                )
            units = self.units[module_name(group.name)]
            inputs = group.inputs.to(next(self.parameters()).dtype)
            drive = units(inputs, BatchSides([group], inputs), length)
            outputs.append(self.rates(self._tasks[group.name], group.name, drive))
        return outputs
