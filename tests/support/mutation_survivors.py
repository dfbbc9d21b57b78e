"""Mutants that no check can tell from good components, each with its reason."""

from __future__ import annotations

__all__ = ["SURVIVORS"]

_THE_SAME = "it does the same"

SURVIVORS: dict[str, str] = {
    "sampler:balanced: sum in single precision: np.float64": f"{_THE_SAME}: numbers of columns are small and whole",
    "sampler:sequential: ignore the seed: facts.seed": f"{_THE_SAME}: it draws nothing",
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
    **{
        f"callback:{callback}: take the first only: for {loop}": "what is tracked goes to loggers, "
        "and the scene has none; tests/visioncore_common/test_measuring_callbacks.py reads it"
        for callback, loop in (
            ("curriculum_log", "(name, value) in self._sampler.curriculum(position).items()"),
            ("epoch_summary", "(name, value) in scores.items()"),
            ("gradient_norms", "(name, parameter) in module.named_parameters()"),
            ("gradient_norms", "(part, gradients) in parts.items()"),
        )
    },
    "callback:model_logging: sum in single precision: mask()[:num_units].double()": f"{_THE_SAME} to seven digits",
    **{
        f"callback:model_logging: {fault}": "the scene evaluates no snapshot; tests/visioncore_neural/test_snapshots.py"
        for fault in (
            "forget a part of the state: if self.snapshots is not None: self.snapshots.restore(state_",
            "take the first only: for logger in trainer.loggers",
        )
    },
    **{
        f"stage:visioncore: {fault}: return output": "inside a window any order is lawful; "
        "tests/visioncore_neural/test_import_checkpoint.py compares with the formulas"
        for fault in ("shift by one", "newest first")
    },
    "evaluator:spike_triggered_average: sum in single precision: np.float64": f"{_THE_SAME} to seven digits",
    "evaluator:grating_tuning: sum in single precision: np.float64": f"{_THE_SAME} to seven digits",
    "evaluator:grating_tuning: sum in single precision: np.float64 (again)": f"{_THE_SAME} to seven digits",
    "evaluator:units: sum in single precision: rates.double()": f"{_THE_SAME} to seven digits",
    "loss:negative_binomial: sum in single precision: (log_rates + log_dispersion).double()": (
        f"{_THE_SAME} to seven digits"
    ),
    "loss:negative_binomial: sum in single precision: counts.double()": f"{_THE_SAME}: counts below 2^24 are exact",
    "sampler:contrast_weighted: take the first only: for group in np.unique(groups)": "what is told of a curriculum no "
    "law asks for; tests/visioncore_neural/test_samplers.py does",
}
