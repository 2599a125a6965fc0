"""A search that is interrupted anywhere suggests what it would have suggested without the stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, BruteForceSampler, GridSampler, QMCSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from autotune.search.curves import CurveSampler
from autotune.search.samplers import SeededSampler, tpe

Factory = Callable[[int], BaseSampler]
Reopened = Callable[[], BaseStorage]
Suggestions = Iterator[None]
Points = list[dict[str, Any]]

GRID = {"optimizer": ["adam", "sgd"], "rate": [0.1, 0.2, 0.3, 0.4], "momentum": [0.0, 0.9], "layers": [1, 2, 3]}


def grid(seed: int) -> BaseSampler:
    return GridSampler(GRID, seed=seed)


def random(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


FACTORIES = pytest.mark.parametrize("factory", [tpe, random, grid], ids=["tpe", "random", "grid"])


def suggest(trial: optuna.Trial) -> Suggestions:
    """Suggest a conditional space, one parameter at a time."""
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd"])
    yield
    trial.suggest_float("rate", 0.05, 0.5)
    yield
    if optimizer == "sgd":
        trial.suggest_float("momentum", 0.0, 0.99)
        yield
    trial.suggest_int("layers", 1, 4)


def value(params: dict[str, Any]) -> float:
    return (params["rate"] - 0.2) ** 2 + 0.1 * params["layers"] - 0.2 * params.get("momentum", 0.0)


class Search:
    """A study whose storage, study and sampler can be made anew at any time, as after a restart.

    It is kept in the storage that `reopened` opens; without one in memory, where it cannot be restarted.
    """

    def __init__(self, reopened: Reopened | None, factory: Factory, seed: int = 7) -> None:
        self._reopened = reopened
        self._sampler = lambda: SeededSampler(factory, seed)
        self.study = optuna.create_study(study_name="s", storage=reopened and reopened(), sampler=self._sampler())

    def restart(self) -> None:
        assert self._reopened, "there is nothing to restart from"
        self.study = optuna.load_study(study_name="s", storage=self._reopened(), sampler=self._sampler())

    def interrupt(self, trial: optuna.Trial) -> optuna.Trial:
        """Put a running trial back, restart, and take it up again."""
        self.study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self.restart()
        again = self.study.ask()
        assert again.number == trial.number
        return again

    def run(self, n_trials: int, *, restart: bool = False, interrupt: bool = False) -> Points:
        for _ in range(n_trials):
            trial = self.study.ask()
            if interrupt:
                # None, one, two or three parameters are suggested and stored before the stop.
                for _ in zip(range(trial.number % 4), suggest(trial), strict=False):
                    pass
                trial = self.interrupt(trial)
            for _ in suggest(trial):
                pass
            self.study.tell(trial, value(trial.params))
            if restart:
                self.restart()
        return [trial.params for trial in self.study.trials]


@FACTORIES
def test_a_search_restarted_after_every_trial_suggests_the_same(factory: Factory, reopened: Reopened) -> None:
    once = Search(None, factory).run(25)
    assert len({tuple(point.items()) for point in once}) > 15
    assert Search(reopened, factory).run(25, restart=True) == once


@FACTORIES
def test_a_trial_interrupted_between_two_parameters_gets_the_same_others(factory: Factory, reopened: Reopened) -> None:
    once = Search(None, factory).run(25)
    assert Search(reopened, factory).run(25, interrupt=True) == once


@pytest.mark.parametrize("factory", [tpe, random], ids=["tpe", "random"])
def test_start_up_points_of_two_trials_differ(factory: Factory) -> None:
    rates = [point["rate"] for point in Search(None, factory).run(8)]
    assert len(set(rates)) == 8


def test_two_parameters_of_a_trial_get_unrelated_random_numbers() -> None:
    trial = optuna.create_study(sampler=SeededSampler(random, 0)).ask()
    assert trial.suggest_float("a", 0, 1) != trial.suggest_float("b", 0, 1)


@FACTORIES
def test_another_study_seed_searches_elsewhere(factory: Factory) -> None:
    assert Search(None, factory, seed=1).run(5) != Search(None, factory, seed=2).run(5)


def test_the_default_learns_from_the_stored_trials() -> None:
    sampler = SeededSampler(tpe, 0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: (trial.suggest_float("x", -10, 10) - 3) ** 2, n_trials=60)
    last = [abs(trial.params["x"] - 3) for trial in study.trials[-20:]]
    assert sum(distance < 2 for distance in last) > 12  # at random: 4 of 20


@pytest.mark.parametrize("restart", [False, True], ids=["in one go", "restarted"])
def test_a_grid_is_searched_completely_and_each_point_once(reopened: Reopened, restart: bool) -> None:
    space = {"optimizer": ["adam"], "rate": [0.1, 0.2, 0.3], "layers": [1, 2]}
    points = Search(reopened, lambda seed: GridSampler(space, seed=seed)).run(6, restart=restart)
    assert {(point["rate"], point["layers"]) for point in points} == {(r, n) for r in (0.1, 0.2, 0.3) for n in (1, 2)}


def test_a_sampler_that_has_searched_everything_lets_the_last_trial_end() -> None:
    study = optuna.create_study(sampler=SeededSampler(lambda seed: BruteForceSampler(seed=seed), 0))
    for _ in range(3):
        trial = study.ask()
        study.tell(trial, trial.suggest_int("n", 1, 3))
    assert sorted(trial.params["n"] for trial in study.trials) == [1, 2, 3]


def test_a_sampler_may_still_stop_a_study_that_optuna_runs() -> None:
    study = optuna.create_study(sampler=SeededSampler(lambda seed: BruteForceSampler(seed=seed), 0))
    study.optimize(lambda trial: trial.suggest_int("n", 1, 3), n_trials=10)
    assert len(study.trials) == 3


@pytest.mark.parametrize(
    "factory",
    [
        tpe,
        random,
        lambda seed: BruteForceSampler(seed=seed),
        lambda seed: CurveSampler(max_epochs=2, seed=seed),
    ],
    ids=["tpe", "random", "brute force", "curves"],
)
def test_choices_that_have_no_hash_are_tried_like_others(factory: Factory) -> None:
    study = optuna.create_study(sampler=SeededSampler(factory, 0))
    while not study.sampler.is_done(study):  # type: ignore[attr-defined]  # reason: ours
        trial = study.ask()
        size = trial.suggest_categorical("size", [[2, 2], [4, 4]])  # type: ignore[list-item]  # reason: as we carry them
        how = trial.suggest_categorical("how", [{"a": 1}, None])  # type: ignore[list-item]  # reason: the same
        trial.report(1.0, 1)
        study.tell(trial, size[0] + (how is None))  # type: ignore[index, operator]  # reason: the same
    assert sorted(t.value for t in study.trials) == [2, 3, 4, 5]  # type: ignore[type-var]  # reason: none is None


def test_an_error_of_a_sampler_after_a_trial_is_not_swallowed() -> None:
    class Broken(RandomSampler):
        def after_trial(self, *args: object) -> None:
            raise RuntimeError("out of luck")

    study = optuna.create_study(sampler=SeededSampler(lambda seed: Broken(seed=seed), 0))
    with pytest.raises(RuntimeError, match="out of luck"):
        study.tell(study.ask(), 1.0)


def test_a_quasi_random_sequence_is_one_sequence_over_all_trials() -> None:
    pytest.importorskip("scipy")
    study = optuna.create_study(
        sampler=SeededSampler(lambda seed: QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False), 0)
    )
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=17)
    points = [trial.params["x"] for trial in study.trials[1:]]  # the first is independent: no space is known yet
    assert sorted(int(16 * x) for x in points) == list(range(16))  # Sobol: one point in each sixteenth
