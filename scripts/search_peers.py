"""KerasTuner's and Ray Tune's searches, driven by their own code, for benchmarks of search.

Theirs is every decision: which configuration comes next, which trial goes on, is stopped or waits, and which one is
handed over. Ours are the calls, in the order in which `keras_tuner.Tuner.search` and Ray's `TuneController` make them;
nothing is trained, and Ray itself is not started. Arguments that are not said here have their own defaults.

What is not covered: KerasTuner goes on from the weights of a trial's best epoch; here, from those of its last.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from lcbench import EPOCHS, Config, Space
from optuna.distributions import FloatDistribution, IntDistribution
from simulated_search import Job, Method, NotHereError

from autotune.seeds import derive_seed

_METRIC = "val_accuracy"
_EPOCH, _EPOCHS = "epoch", "epochs"  # what Syne Tune is told: the epoch of a report, and where a trial is to end


class KerasTunerHyperband:
    """KerasTuner's `HyperbandOracle`, repeated until the budget is spent.

    Its rounds wait for their trials: with several workers some may be idle. A trial's score is that of its best epoch,
    reported when the trial ends, as `Tuner` does it with the history of `fit`.

    Raises:
        NotHereError: If KerasTuner is not installed.
    """

    def __init__(self, space: Space, seed: int) -> None:
        keras_tuner = _import_keras_tuner()
        self._names = tuple(space)
        folder = tempfile.mkdtemp()  # the oracle writes each trial down
        weakref.finalize(self, shutil.rmtree, folder)
        self._oracle = keras_tuner.oracles.HyperbandOracle(
            objective=keras_tuner.Objective(_METRIC, "max"),
            max_epochs=EPOCHS,
            hyperband_iterations=1_000,
            hyperparameters=_as_keras_tuner_has_it(space, keras_tuner.HyperParameters()),
            # 0 would be no seed at all, and it draws from seed, seed + 1, seed + 2 and so on.
            seed=1 + derive_seed(seed, "keras-tuner") % 2**31,
        )
        self._oracle.verbose = 0
        self._oracle._set_project_dir(folder, "benchmark")
        self._trials: dict[str, Any] = {}
        self._best: dict[str, tuple[float, int]] = {}  # the best accuracy of each trial, and its epoch

    def ask(self, worker: int) -> Job | None:
        with _deprecations_ignored():
            trial = self._oracle.create_trial(f"tuner{worker}")
        if trial.status != "RUNNING":
            return None
        values = trial.hyperparameters.values
        self._trials[trial.trial_id] = trial
        return Job(trial.trial_id, self._config(trial), values["tuner/initial_epoch"], values["tuner/epochs"])

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        best = self._best.get(job.trial)
        self._best[job.trial] = (accuracy, epoch) if best is None or accuracy > best[0] else best
        if epoch < job.epochs:
            return True
        trial = self._trials[job.trial]
        accuracy, epoch = self._best[job.trial]
        with _deprecations_ignored():
            self._oracle.update_trial(trial.trial_id, {_METRIC: accuracy}, step=epoch)
            trial.status = "COMPLETED"
            self._oracle.end_trial(trial)
        return False

    def choose(self) -> Config | None:
        (best,) = self._oracle.get_best_trials() or [None]
        return self._config(best) if best is not None and best.status == "COMPLETED" else None

    def _config(self, trial: Any) -> Config:
        return {name: trial.hyperparameters.values[name] for name in self._names}


class Suggester(Protocol):
    """What Ray's scheduler is given configurations by, as Ray calls its own searchers."""

    def suggest(self, trial_id: str) -> Any: ...

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None: ...

    def on_trial_complete(self, trial_id: str, result: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class _RandomVariants:
    """Ray's own random variants of a space, one after another."""

    space: dict[str, Any]
    chance: np.random.RandomState

    def suggest(self, trial_id: str) -> dict[str, Any]:
        from ray.tune.search.variant_generator import generate_variants

        _, variant = next(generate_variants({"config": self.space}, random_state=self.chance))
        return variant["config"]

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        pass

    def on_trial_complete(self, trial_id: str, result: dict[str, Any]) -> None:
        pass


class RayAsha:
    """Ray's `AsyncHyperBandScheduler` with one of Ray's ways to suggest configurations.

    What is handed over is what `ResultGrid.get_best_result` returns: the trial whose last report is the best, be it
    running, stopped or complete.

    Args:
        suggester: Suggests configurations.
    """

    def __init__(self, suggester: Suggester) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self._suggester = suggester
        self._scheduler: Any = AsyncHyperBandScheduler(metric=_METRIC, mode="max", max_t=EPOCHS)
        self._n_trials = 0

    def ask(self, worker: int) -> Job:
        trial = SimpleNamespace(trial_id=f"trial{self._n_trials}")  # all that this scheduler looks at
        self._n_trials += 1
        config = self._suggester.suggest(trial.trial_id)
        self._scheduler.on_trial_add(None, trial)
        return Job(trial.trial_id, config)

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        trial = SimpleNamespace(trial_id=job.trial)
        result = {_METRIC: accuracy, "training_iteration": epoch}
        if self._scheduler.on_trial_result(None, trial, result) != "STOP":
            self._suggester.on_trial_result(job.trial, result)
            return True
        self._scheduler.on_trial_complete(None, trial, result)
        self._suggester.on_trial_complete(job.trial, result)
        return False

    def choose(self) -> None:
        """Leave it to the simulation, whose rule is Ray's."""


def ray_asha_random(space: Space, seed: int) -> Method:
    """Ray's asynchronous successive halving with random configurations."""
    tune = _import_ray_tune()
    return RayAsha(_RandomVariants(_as_ray_has_it(space, tune), np.random.RandomState(seed)))


def ray_asha_optuna(space: Space, seed: int) -> Method:
    """Ray's asynchronous successive halving with Ray's `OptunaSearch`, whose default is TPE."""
    tune = _import_ray_tune()
    from ray.tune.search.optuna import OptunaSearch

    distributions = OptunaSearch.convert_search_space(_as_ray_has_it(space, tune))
    return RayAsha(OptunaSearch(distributions, metric=_METRIC, mode="max", seed=seed))


def _import_keras_tuner() -> Any:
    try:
        import keras_tuner
    except ImportError as error:
        raise NotHereError("the package keras-tuner is not installed") from error
    return keras_tuner


def _import_ray_tune() -> Any:
    try:
        from ray import tune
    except ImportError as error:
        raise NotHereError("the package ray[tune] is not installed") from error
    return tune


def _as_keras_tuner_has_it(space: Space, declared: Any) -> Any:
    for name, one in space.items():
        declare = declared.Int if isinstance(one, IntDistribution) else declared.Float
        declare(name, one.low, one.high, sampling="log" if one.log else "linear")
    return declared


def _as_ray_has_it(space: Space, tune: Any) -> dict[str, Any]:
    return {name: _ray_domain(one, tune) for name, one in space.items()}


def _ray_domain(one: FloatDistribution | IntDistribution, tune: Any) -> Any:
    if isinstance(one, IntDistribution):
        return (tune.lograndint if one.log else tune.randint)(one.low, one.high + 1)  # Ray leaves the upper end out
    return (tune.loguniform if one.log else tune.uniform)(one.low, one.high)


@contextlib.contextmanager
def _deprecations_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


METHODS: dict[str, Callable[[Space, int], Method]] = {
    "keras-tuner-hyperband": KerasTunerHyperband,
    "ray-asha-random": ray_asha_random,
    "ray-asha-optuna": ray_asha_optuna,
}
