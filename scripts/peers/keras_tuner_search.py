"""Searches by KerasTuner: Hyperband and Bayesian optimization, after its guide "Getting started with KerasTuner".

The hypermodel tunes `fit`'s arguments too, as the guide has it; hyperparameters of one optimizer, loss and so on are
declared with their parent. All else is KerasTuner's default: Hyperband with a factor of 3, repeated without end, which
goes on from the weights of a trial's best epoch; Bayesian optimization trains each trial to its last epoch. Both save
the weights of each best epoch. One process with all cores: KerasTuner's way to several is a chief and workers that are
started by hand, which is left out. A trial is one of KerasTuner's: Hyperband counts each rung of a configuration.
"""

from __future__ import annotations

import itertools
from typing import Any

import keras
import keras_tuner
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from peers.methods import Search
from peers.problems import Hyperparameter, Problem, Values
from peers.training import MONITOR, Trainer

_WITHOUT_END = 10_000
_OBJECTIVE = keras_tuner.Objective(MONITOR, "max")


class _HyperModel(keras_tuner.HyperModel):
    """The problem's networks, as KerasTuner asks for them."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        problem = search.problem
        self._problem = problem
        self._journal = search.journal
        self._trainer = Trainer(problem, problem.rows(search.data_dir, search.seed), search.journal, search.seed)
        self._numbers = itertools.count()

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        return self._trainer.model(declared(self._problem, hp))

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        number = str(next(self._numbers))
        history = self._trainer.fit(
            model,
            declared(self._problem, hp),
            number,
            kwargs["epochs"],
            kwargs["callbacks"],
            kwargs.get("initial_epoch", 0),
        )
        self._journal.note_end(number)
        return history


def hyperband(search: Search) -> None:
    """Search by Hyperband until the process is ended."""
    tuner = keras_tuner.Hyperband(
        _HyperModel(search),
        objective=_OBJECTIVE,
        max_epochs=search.problem.epochs,
        hyperband_iterations=_WITHOUT_END,
        seed=search.seed + 1,  # 0 would be no seed
        directory=search.folder,
        project_name="hyperband",
    )
    tuner.search(epochs=search.problem.epochs, verbose=0)


def bayesian(search: Search) -> None:
    """Search by Bayesian optimization until the process is ended."""
    tuner = keras_tuner.BayesianOptimization(
        _HyperModel(search),
        objective=_OBJECTIVE,
        max_trials=_WITHOUT_END,
        seed=search.seed + 1,
        directory=search.folder,
        project_name="bayesian",
    )
    tuner.search(epochs=search.problem.epochs, verbose=0)


def declared(problem: Problem, hp: keras_tuner.HyperParameters) -> Values:
    """Declare a problem's space to KerasTuner, and return the values that it has chosen."""
    values = {one.name: _declare(one, hp) for one in problem.space}
    return {name: value for name, value in values.items() if value is not None}  # None: not with these others


def _declare(one: Hyperparameter, hp: keras_tuner.HyperParameters) -> Any:
    kind, of = one.distribution, {"parent_name": one.parent, "parent_values": list(one.parent_values) or None}
    if isinstance(kind, CategoricalDistribution):
        return hp.Choice(one.name, list(kind.choices), **of)
    if isinstance(kind, IntDistribution):
        return hp.Int(one.name, kind.low, kind.high, step=kind.step, **of)
    assert isinstance(kind, FloatDistribution)
    return hp.Float(one.name, kind.low, kind.high, sampling="log" if kind.log else "linear", **of)
