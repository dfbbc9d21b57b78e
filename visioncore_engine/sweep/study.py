"""A search by Optuna: trials are runs like any other, and their values the scores that runs monitor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from visioncore_engine.errors import PluginError, Problem
from visioncore_engine.sweep.options import ParameterOptions
from visioncore_engine.sweep.outcome import Outcome
from visioncore_engine.sweep.plan import Plan, Point

__all__ = ["Search"]

_ENDED = "ended"  # attribute of trials that a run has answered for


class Search:
    """Asks a study for runs, and tells it what they scored. It is kept in ``study.log`` in the sweep's folder.

    Trials that an earlier call left open are proposed again, so that their runs go on.

    Parameters
    ----------
    plan
        The sweep.
    jobs
        Runs at a time.

    Raises
    ------
    PluginError
        Where Optuna is not installed.
    """

    def __init__(self, plan: Plan, jobs: int) -> None:
        try:
            import optuna
        except ImportError as error:
            what, todo = "mode 'optuna' needs Optuna", "pip install 'visioncore-engine[sweep]'"
            raise PluginError(Problem(where=str(plan.path), key="mode", what=what, todo=todo)) from error
        from optuna.storages.journal import JournalFileBackend

        assert plan.options.study is not None
        self._plan, self._options, self._optuna = plan, plan.options.study, optuna
        self._seeds = plan.options.seeds or (None,)
        self._open: dict[str, tuple[Any, list[str]]] = {}  # trial and its runs, by name of each of them
        self._scores: dict[str, float | None] = {}
        plan.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(plan.folder / "study.log")))
        self.study = optuna.create_study(
            storage=storage,
            study_name="sweep",
            load_if_exists=True,
            direction="maximize" if self._mode() == "max" else "minimize",
        )
        self._reopen()
        self.study.sampler = self._sampler(jobs)

    def points(self) -> Iterator[Point]:
        """Runs of trial after trial, until there are as many trials as the sweep asks for."""
        distributions = {name: _distribution(self._optuna, one) for name, one in self._options.parameters.items()}
        while self._num_trials() < self._options.trials:
            trial = self.study.ask(distributions)
            own = [self._point(trial, seed) for seed in self._seeds]
            names = [point.name for point in own]
            self._open |= dict.fromkeys(names, (trial, names))
            yield from own

    def tell(self, outcome: Outcome) -> None:
        """Take how a run ended; the trial's value is the mean over its seeds, once all have ended."""
        trial, names = self._open[outcome.point.name]
        if outcome.state in ("stopped", "not started"):
            return  # it stays open, and goes on with the next call
        self._scores[outcome.point.name] = outcome.score if outcome.code == 0 else None
        if not all(name in self._scores for name in names):
            return
        values = [value for name in names if (value := self._scores[name]) is not None]
        trial.set_user_attr(_ENDED, names)
        if len(values) == len(names):
            self.study.tell(trial, sum(values) / len(values))
        else:
            self.study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def best(self) -> dict[str, Any] | None:
        """Values and score of the best trial; None before there is one."""
        done = self.study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.COMPLETE,))
        if not done:
            return None
        best = self.study.best_trial
        return {"trial": best.number, "score": best.value, "values": self._values(best.params)}

    def _mode(self) -> str:
        """Whether the monitored score is to be large or small, as the run says."""
        first = {name: _first(one) for name, one in self._options.parameters.items()}
        return self._plan.resolved(first, place={"name": "trial"}).run.checkpoint.mode

    def _num_trials(self) -> int:
        """Trials that have ended, or are under way."""
        states = self._optuna.trial.TrialState
        trials = self.study.get_trials(deepcopy=False)
        return sum(_ENDED in trial.user_attrs or trial.state == states.RUNNING for trial in trials)

    def _reopen(self) -> None:
        states = self._optuna.trial.TrialState
        for trial in self.study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            self.study.tell(trial.number, state=states.FAIL)
            self.study.enqueue_trial(trial.params)

    def _sampler(self, jobs: int) -> Any:
        samplers = self._optuna.samplers
        seed = self._options.seed + len(self.study.get_trials(deepcopy=False))  # a later call proposes other values
        if self._options.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed, constant_liar=jobs > 1)

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the run that a trial stands for."""
        choices = {name: {_encoded(one): one for one in own.choices} for name, own in self._options.parameters.items()}
        return {name: choices[name].get(value, value) for name, value in params.items()}

    def _point(self, trial: Any, seed: int | None) -> Point:
        words = [f"trial{trial.number:03d}", *([] if seed is None else [f"seed{seed}"])]
        return self._plan.point(words, {**self._values(trial.params), **({} if seed is None else {"seed": seed})})


def _distribution(optuna: Any, parameter: ParameterOptions) -> Any:
    distributions = optuna.distributions
    if parameter.choices:
        return distributions.CategoricalDistribution([_encoded(value) for value in parameter.choices])
    if parameter.integer:
        return distributions.IntDistribution(int(parameter.low or 0), int(parameter.high or 0), log=parameter.log)
    return distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def _encoded(value: Any) -> Any:
    """A choice as Optuna stores it: lists and blocks as JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def _first(parameter: ParameterOptions) -> Any:
    if parameter.choices:
        return parameter.choices[0]
    return int(parameter.low or 0) if parameter.integer else parameter.low
