"""Dataset `synthetic_v1`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from visioncore_engine.contracts import DatasetFacts
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.options.dataset import SyntheticOptions
from visioncore_neural.simulation.session import Truth, simulate

__all__ = ["Synthetic"]


class Synthetic(RecordingsDataset):
    """Simulated sessions. `GroupSpec.facts["truth"]` holds the parameters of the units that are in use.

    Parameters
    ----------
    options, facts
        What to simulate, and the run's seed, used where the options give none.
    """

    def __init__(self, options: SyntheticOptions, facts: DatasetFacts) -> None:
        seed = facts.seed if options.seed is None else options.seed
        made = [simulate(options, seed, index) for index in range(options.num_sessions)]
        self._truth = {recording.name: truth for recording, truth in made}
        super().__init__(
            [recording for recording, _ in made],
            options,
            facts,
            facts_of={recording.name: {"truth": truth.facts(recording.dt)} for recording, truth in made},
        )
        self._keep_used_units()

    def truth(self, name: str) -> Truth:
        """Return what a session was made of; its rate is indexed by the tag ``frame`` of a batch and the group's units.

        Parameters
        ----------
        name
            The group's name.
        """
        return self._truth[name]

    def _keep_used_units(self) -> None:
        """Where units were selected, keep the truth of those, so that columns agree with the group's."""
        groups = []
        for group, session in zip(self.groups, self._sessions, strict=True):
            columns = session.recording.columns
            if columns is not None:
                truth = self._truth[group.name]
                truth = Truth(truth.population.take(columns), np.ascontiguousarray(truth.rate[:, columns]))
                self._truth[group.name] = truth
                group = replace(group, facts={**group.facts, "truth": truth.facts(session.recording.dt)})  # noqa: PLW2901 - the changed copy takes its place
            groups.append(group)
        self.groups = tuple(groups)
