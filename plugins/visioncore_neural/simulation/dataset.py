"""Dataset `synthetic_v1`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from visioncore_engine.contracts import DatasetFacts, GroupSpec
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.options.dataset import SyntheticOptions
from visioncore_neural.recording import Recording
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
        self._units = {recording.name: recording.units for recording, _ in made}
        super().__init__(
            [recording for recording, _ in made],
            options,
            facts,
            facts_of={recording.name: {"truth": truth.facts(recording.dt)} for recording, truth in made},
        )
        self.groups = tuple(
            self._with_truth_of_use(group, session.recording)
            for group, session in zip(self.groups, self._sessions, strict=True)
        )

    def truth(self, name: str) -> Truth:
        """Return what a session was made of; its rate is indexed by the tag ``frame`` of a batch and the group's units.

        Parameters
        ----------
        name
            The group's name.
        """
        return self._truth[name]

    def _with_truth_of_use(self, group: GroupSpec, recording: Recording) -> GroupSpec:
        """Keep the truth of the units in use, so that columns agree with the group's, and of frames that are left."""
        truth, units = self._truth[group.name], self._units[group.name]
        if recording.num_frames != len(truth.rate):  # frames were put together: what is true of them is not known
            return replace(group, facts={key: value for key, value in group.facts.items() if key != "truth"})
        if recording.units == units:
            return group
        columns = np.array([units.index(unit) for unit in recording.units], dtype=np.int64)
        truth = Truth(truth.population.take(columns), np.ascontiguousarray(truth.rate[:, columns]))
        self._truth[group.name] = truth
        return replace(group, facts={**group.facts, "truth": truth.facts(recording.dt)})
