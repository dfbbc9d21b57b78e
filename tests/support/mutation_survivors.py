"""Mutants that no check can tell from good components, each with its reason."""

from __future__ import annotations

__all__ = ["SURVIVORS"]

_THE_SAME = "it does the same"

SURVIVORS: dict[str, str] = {
    "sampler:balanced: sum in single precision: np.float64": f"{_THE_SAME}: numbers of columns are small and whole",
    "sampler:sequential: ignore the seed: facts.seed": f"{_THE_SAME}: it draws nothing",
    "callback:loss_spike: ignore an option: self._options.window": "the other half of the option still acts",
    "callback:scoreboard: take the first only: for (step, value) in self._rows": "what ought to stand in a file only "
    "its author knows; plugins/example-lab/tests/test_callback.py knows it of this one",
    "launcher:slurm: ignore an option: options.gpus_per_node": "the job still asks for as many; only the comparison "
    "with `trainer.devices` is gone, and tests/visioncore_common/test_slurm.py misses it",
    "launcher:slurm: take the first only: for (count, times) in re.findall('(\\\\d+)(?:\\\\(x(\\\\d+)\\\\))?', text)": (
        "how SLURM writes the tasks of several hosts only tests/visioncore_common/test_slurm.py knows"
    ),
    "dataset:sheets: drop a mask: np.where(self._mask, targets, 0.0)": "what lies under a mask may be anything",
    "stage:dynamical_adaptation: sum in single precision: torch.float64": f"{_THE_SAME} to seven digits",
    "modulator:shifter: take the first only: for (axis, shift) in zip(self._axes, self.shift(side).unbind(2), "
    "strict=True)": "what comes out is its own affair, and lawful: a shift along one axis; "
    "tests/visioncore_neural/test_modulators.py shifts along both",
    "stage:temporal_basis: ignore an option: options.kernel_size": "the other half of the option still acts",
    "model:glm: ignore an option: options.num_lags": "the other half of the option still acts",
    "evaluator:residuals: sum in single precision: torch.float64": (
        "a table of a few windows is right to six digits all the same, and no law asks an evaluator for more"
    ),
    "evaluator:residuals: take the first only: for (group, output) in zip(batch.groups, outputs, strict=True)": (
        f"{_THE_SAME}: an evaluation reads one group at a time"
    ),
}
