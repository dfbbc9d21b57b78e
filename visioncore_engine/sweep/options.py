"""What a sweep file may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from visioncore_engine.options import Options, Patterns

__all__ = ["ArrayOptions", "ParameterOptions", "StudyOptions", "SweepOptions"]


class ArrayOptions(Options):
    """What every job of a SLURM array asks for."""

    options: tuple[str, ...] = Field(
        (), description="options of sbatch for each job, e.g. '--partition=gpu', '--gpus=1', '--time=12:00:00'"
    )
    setup: tuple[str, ...] = Field((), description="lines of bash that are carried out before the training")
    at_once: int | None = Field(None, ge=1, description="jobs that may run at a time; by default all")
    signal_before: int = Field(
        120, ge=0, description="seconds before the end of its time at which a job saves, and is queued again; 0: never"
    )
    submit: bool = Field(True, description="submit the script; else it is only written")


class ParameterOptions(Options):
    """One value that a study chooses."""

    low: float | None = Field(None, description="smallest value")
    high: float | None = Field(None, description="largest value")
    log: bool = Field(False, description="whether the logarithm is searched evenly")
    integer: bool = Field(False, description="whether only whole numbers are tried")
    choices: tuple[Any, ...] = Field((), description="the values to choose from, in place of `low` and `high`")

    @model_validator(mode="after")
    def _is_a_range_or_choices(self) -> ParameterOptions:
        bounded = self.low is not None and self.high is not None
        if bool(self.choices) == bounded or (self.low is None) != (self.high is None):
            raise ValueError("give `low` and `high`, or `choices`")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"`low` ({self.low:g}) must be less than `high` ({self.high:g})")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("a logarithmic range needs `low` > 0")
        return self


class StudyOptions(Options):
    """A search by Optuna for the best monitored score; `checkpoint.mode` says whether that is the largest."""

    parameters: dict[str, ParameterOptions] = Field(min_length=1, description="what is searched, by key of the run")
    trials: int = Field(ge=1, description="trials, over all calls of the sweep; one is a run for each seed")
    sampler: Literal["tpe", "random"] = Field("tpe", description="how values are proposed")
    seed: int = Field(0, ge=0, lt=2**32, description="decides what is proposed")


class SweepOptions(Options):
    """A sweep: every combination of overlays, grid and seeds."""

    run: Patterns = Field(description="the run file, or several that are laid over each other; beside the sweep file")
    name: str = Field("", pattern=r"^[A-Za-z0-9_.+=-]*$", description="name of the sweep; by default that of its file")
    dir: str = Field("", description="folder of the sweep, one folder per run in it; by default `runs/<name>`")
    set: dict[str, Any] = Field(default_factory=dict, description="values of every run, by key")
    overlays: tuple[Patterns, ...] | dict[str, Patterns] = Field(
        (), description="alternatives, each a list of files that are laid over the run; a mapping gives them names"
    )
    grid: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(
        default_factory=dict, description="alternatives of single values: a list by key"
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(
        (), description="seeds that each combination is run with; by default the run's own"
    )
    mode: Literal["sequential", "parallel", "slurm", "optuna"] = Field(
        "sequential", description="one by one, side by side on this machine, as an array of SLURM jobs, or as a study"
    )
    jobs: int | None = Field(
        None, ge=1, description="runs at a time in mode 'parallel' (by default one for each GPU, else for each core)"
    )
    gpus: tuple[str, ...] | None = Field(
        None, description="GPUs that runs take turns on, as in CUDA_VISIBLE_DEVICES; by default those that are visible"
    )
    array: ArrayOptions = Field(default_factory=ArrayOptions, description="the jobs of mode 'slurm'")
    study: StudyOptions | None = Field(None, description="the search of mode 'optuna'")

    @model_validator(mode="after")
    def _study_where_it_is_used(self) -> SweepOptions:
        if (self.mode == "optuna") != (self.study is not None):
            raise ValueError("mode 'optuna' and `study` go together")
        if self.study and (self.grid or self.overlays):
            raise ValueError("a study searches `study.parameters`; `grid` and `overlays` have no place beside it")
        return self
