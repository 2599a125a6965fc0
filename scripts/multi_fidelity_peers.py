"""SMAC's and Syne Tune's searches with several fidelities, driven by their own code, for benchmarks of search.

Theirs is every decision: which configuration comes next, which trial goes on or waits, and which one is handed over.
Ours are the calls, in the order in which SMAC's `SMBO.optimize` and `syne_tune.Tuner` make them; nothing is trained.
Arguments that are not said here have their own defaults.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import weakref
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from lcbench import EPOCHS, Config, Space
from optuna.distributions import FloatDistribution, IntDistribution
from simulated_search import Job, Method, NotHereError

from autotune.seeds import derive_seed

_METRIC = "val_accuracy"
_EPOCH, _EPOCHS = "epoch", "epochs"  # what Syne Tune is told: the epoch of a report, and where a trial is to end


class SmacMultiFidelity:
    """SMAC's `MultiFidelityFacade`: Hyperband from 1 to 50 epochs, whose configurations a random forest suggests.

    SMAC has its trials trained from the beginning; here a configuration goes on from its own lower budget, and pays for
    the new epochs only, which is better for SMAC. Its budgets, fractions as Hyperband has them, are rounded to epochs.
    What it is told is the error after the last epoch, in percent. What is handed over is its incumbent.

    `n_trials` stays SMAC's default of 100, from which follow 25 random configurations to begin with. It ends no search
    here: `ask` goes on without end.

    Raises:
        NotHereError: If SMAC is not installed.
    """

    def __init__(self, space: Space, seed: int) -> None:
        smac, as_configspace = _import_smac()
        folder = tempfile.mkdtemp()  # the scenario writes itself down
        weakref.finalize(self, shutil.rmtree, folder)
        self._value = smac.runhistory.TrialValue
        scenario = smac.Scenario(
            _as_configspace_has_it(space, as_configspace),
            output_directory=Path(folder),
            deterministic=True,  # else a configuration would be tried with several seeds
            min_budget=1,
            max_budget=EPOCHS,
            seed=derive_seed(seed, "smac") % 2**31,
        )
        self._smac = smac.MultiFidelityFacade(scenario, logging_level=False)
        self._asked: dict[int, Any] = {}  # by the number of the configuration
        self._trained: dict[int, int] = {}  # epochs of each configuration

    def ask(self, worker: int) -> Job:
        asked = self._smac.ask()
        number = self._smac.runhistory.get_config_id(asked.config)
        self._asked[number] = asked
        return Job(number, dict(asked.config), self._trained.get(number, 0), round(asked.budget))

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        if epoch < job.epochs:
            return True
        self._trained[job.trial] = epoch
        self._smac.tell(self._asked[job.trial], self._value(cost=100.0 - accuracy), save=False)
        return False

    def choose(self) -> Config | None:
        best = self._smac.intensifier.get_incumbents()
        return dict(best[0]) if best else None


class SyneTuneHyperband:
    """One of Syne Tune's schedulers that pause trials at rungs of 1, 3, 9 and 27 epochs and take up the best of them.

    A trial goes on from its checkpoint, as Syne Tune's own trial backends do it where a script writes one. What is
    handed over is what `Tuner.best_config` returns: the trial with the best report of all epochs.

    Args:
        scheduler: A `HyperbandScheduler` of type "promotion", whose `max_resource_attr` is "epochs".
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._trials: dict[int, Any] = {}
        self._trained: dict[int, int] = {}  # epochs of each trial
        self._best: tuple[float, Config] | None = None

    def ask(self, worker: int) -> Job:
        from syne_tune.backend.trial_status import Trial

        n_trials = len(self._trials)
        suggested = self._scheduler.suggest(n_trials)
        if suggested.spawn_new_trial_id:
            trial = self._trials[n_trials] = Trial(n_trials, suggested.config, datetime.now())
            self._scheduler.on_trial_add(trial)
        else:  # the backend gives a trial that goes on the suggestion's `epochs`, up to its next rung
            trial = self._trials[suggested.checkpoint_trial_id]
            trial.config = suggested.config or trial.config
        config = {name: value for name, value in trial.config.items() if name != _EPOCHS}
        return Job(trial.trial_id, config, self._trained.get(trial.trial_id, 0), trial.config[_EPOCHS])

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        self._best = max(self._best or (accuracy, job.config), (accuracy, job.config), key=lambda one: one[0])
        self._trained[job.trial] = epoch
        trial, result = self._trials[job.trial], {_METRIC: accuracy, _EPOCH: epoch}
        if self._scheduler.on_trial_result(trial, result) != "CONTINUE":
            self._scheduler.on_trial_remove(trial)
            return False
        if epoch == job.epochs:
            self._scheduler.on_trial_complete(trial, result)
            return False
        return True

    def choose(self) -> Config | None:
        return self._best[1] if self._best else None


def mobster(space: Space, seed: int) -> Method:
    """Syne Tune's MOBSTER: asynchronous successive halving with its Gaussian process of several fidelities."""
    return SyneTuneHyperband(_syne_tune_scheduler("MOBSTER", space, seed))


def syne_tune_asha(space: Space, seed: int) -> Method:
    """Syne Tune's asynchronous successive halving, with random configurations."""
    return SyneTuneHyperband(_syne_tune_scheduler("ASHA", space, seed))


def _syne_tune_scheduler(name: str, space: Space, seed: int) -> Any:
    baselines, config_space = _import_syne_tune()
    return getattr(baselines, name)(
        {**_as_syne_tune_has_it(space, config_space), _EPOCHS: EPOCHS},
        metric=_METRIC,
        mode="max",
        resource_attr=_EPOCH,
        max_resource_attr=_EPOCHS,
        type="promotion",
        random_seed=derive_seed(seed, "syne-tune") % 2**31,
        search_options={"debug_log": False},
    )


def _import_smac() -> tuple[Any, Any]:
    try:
        import ConfigSpace
        import smac
        import smac.runhistory
    except ImportError as error:
        raise NotHereError("the package smac is not installed") from error
    return smac, ConfigSpace


def _import_syne_tune() -> tuple[Any, Any]:
    """Import the last line of Syne Tune that has MOBSTER; its optional parts are told to be missing on the terminal."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            from syne_tune import config_space
            from syne_tune.optimizer import baselines
            from syne_tune.optimizer.schedulers.searchers.bayesopt.gpautograd import gp_regression  # noqa: F401
    except ImportError as error:
        raise NotHereError("Syne Tune 0.13 with autograd is not installed") from error
    return baselines, config_space


def _as_configspace_has_it(space: Space, configspace: Any) -> Any:
    declared = configspace.ConfigurationSpace()
    for name, one in space.items():
        declare = configspace.Integer if isinstance(one, IntDistribution) else configspace.Float
        declared.add(declare(name, (one.low, one.high), log=one.log))
    return declared


def _as_syne_tune_has_it(space: Space, config_space: Any) -> dict[str, Any]:
    return {name: _syne_tune_domain(one, config_space) for name, one in space.items()}


def _syne_tune_domain(one: FloatDistribution | IntDistribution, config_space: Any) -> Any:
    if isinstance(one, IntDistribution):
        return (config_space.lograndint if one.log else config_space.randint)(one.low, one.high)
    return (config_space.loguniform if one.log else config_space.uniform)(one.low, one.high)


METHODS: dict[str, Callable[[Space, int], Method]] = {
    "smac": SmacMultiFidelity,
    "mobster": mobster,
    "syne-tune-asha": syne_tune_asha,
}
