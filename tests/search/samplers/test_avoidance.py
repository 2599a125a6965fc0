"""A search of a small space tries everything once, says when it is done, and may be interrupted anywhere."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GridSampler,
    NSGAIISampler,
    PartialFixedSampler,
    QMCSampler,
    RandomSampler,
)
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from autotune.search.history.exhaustion import is_exhausted
from autotune.search.samplers import SeededSampler, tpe

Factory = Callable[[int], BaseSampler]
Objective = Callable[[optuna.Trial], float]


def grid(seed: int) -> BaseSampler:
    return GridSampler({"units": [16, 32, 48], "rate": [0.1, 0.2, 0.3, 0.4]}, seed=seed)


def brute_force(seed: int) -> BaseSampler:
    return BruteForceSampler(seed=seed)


def rand(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def eager_tpe(seed: int) -> BaseSampler:
    """A TPE that has hardly a random start, and therefore repeats itself at once."""
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=2, multivariate=True, group=True)


def plain_tpe(seed: int) -> BaseSampler:
    """A TPE that suggests every parameter by itself."""
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=2, multivariate=False)


def nsga(seed: int) -> BaseSampler:
    return NSGAIISampler(seed=seed, population_size=4)


AVOIDING = [tpe, rand, eager_tpe, plain_tpe, nsga]


def named(factory: Any) -> str:
    return str(factory.__name__)


def three_by_four(trial: optuna.Trial) -> float:
    return trial.suggest_int("units", 16, 48, step=16) / 16 + trial.suggest_float("rate", 0.1, 0.4, step=0.1)


def conditional(trial: optuna.Trial) -> float:
    """Has 2 + 3 * 2 + 1 = 9 configurations."""
    kind = trial.suggest_categorical("kind", [None, "noise", True])
    trial.suggest_int("fixed", 5, 5)
    if kind is None:
        return float(trial.suggest_categorical("bias", [False, True]))
    if kind == "noise":
        return trial.suggest_int("layers", 1, 3, log=True) + trial.suggest_float("rate", 0.0, 0.5, step=0.5)
    return 2.5


def configuration(trial: optuna.Trial | FrozenTrial) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, f"{value!r:.6}") for name, value in trial.params.items()))


def search(factory: Factory, objective: Objective, seed: int = 0, most: int = 40) -> optuna.Study:
    """Ask and tell until the sampler is done."""
    sampler = SeededSampler(factory, seed)
    study = optuna.create_study(sampler=sampler)
    while not sampler.is_done(study) and len(study.trials) < most:
        trial = study.ask()
        study.tell(trial, objective(trial))
    return study


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("factory", [*AVOIDING, grid, brute_force], ids=named)
def test_a_space_of_twelve_is_searched_with_twelve_trials(factory: Factory, seed: int) -> None:
    study = search(factory, three_by_four, seed)
    assert len(study.trials) == 12
    assert len({configuration(t) for t in study.trials}) == 12


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("factory", [*AVOIDING, brute_force], ids=named)
def test_a_conditional_space_of_nine_is_searched_with_nine_trials(factory: Factory, seed: int) -> None:
    study = search(factory, conditional, seed)
    assert len(study.trials) == 9
    assert len({configuration(t) for t in study.trials}) == 9


def test_without_avoidance_the_same_samplers_repeat_themselves() -> None:
    study = optuna.create_study(sampler=eager_tpe(0))
    study.optimize(three_by_four, n_trials=12)
    assert len({configuration(t) for t in study.trials}) < 12


def test_a_search_that_is_done_can_still_be_asked() -> None:
    study = search(tpe, three_by_four)
    trial = study.ask()
    assert study.tell(trial, three_by_four(trial)).state == TrialState.COMPLETE


@pytest.mark.parametrize("factory", [tpe, grid, brute_force], ids=named)
def test_that_a_search_is_done_is_known_after_a_restart(factory: Factory, reopened: Callable[[], BaseStorage]) -> None:
    for n_trials in range(13):
        sampler = SeededSampler(factory, 0)
        study = optuna.create_study(study_name="s", storage=reopened(), sampler=sampler, load_if_exists=True)
        assert sampler.is_done(study) == (n_trials == 12)
        if n_trials < 12:
            trial = study.ask()
            study.tell(trial, three_by_four(trial))


@pytest.mark.parametrize("factory", [eager_tpe, rand], ids=named)
def test_a_trial_interrupted_between_two_parameters_gets_the_same_others(
    factory: Factory, reopened: Callable[[], BaseStorage]
) -> None:
    once = search(factory, conditional)
    study = optuna.create_study(study_name="s", storage=reopened(), sampler=SeededSampler(factory, 0))
    for number in range(9):
        trial = study.ask()
        for name, distribution in list(once.trials[number].distributions.items())[: number % 3]:
            trial._suggest(name, distribution)
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        study = optuna.load_study(study_name="s", storage=reopened(), sampler=SeededSampler(factory, 0))
        trial = study.ask()
        study.tell(trial, conditional(trial))
    assert [t.params for t in study.trials] == [t.params for t in once.trials]


def test_a_failure_of_the_configuration_is_not_tried_again_and_any_other_is() -> None:
    sampler = SeededSampler(rand, 0)
    study = optuna.create_study(sampler=sampler)
    reasons = iter(["nan", "oom", "timeout", "error"])
    while not sampler.is_done(study):
        trial = study.ask()
        trial.suggest_int("n", 1, 4)
        if reason := next(reasons, None):
            trial.set_user_attr("failure", reason)
        study.tell(trial, None if reason else 1.0, state=TrialState.FAIL if reason else None)
    *failures, again = (t.params["n"] for t in study.trials)
    assert sorted(failures) == [1, 2, 3, 4]
    assert again == failures[-1]


def test_what_another_slot_is_trying_is_not_tried_too() -> None:
    sampler = SeededSampler(eager_tpe, 0)
    study = optuna.create_study(sampler=sampler)
    first = study.ask()
    study.tell(first, three_by_four(first))
    running = [study.ask() for _ in range(11)]
    values = [three_by_four(trial) for trial in running]
    assert len({configuration(t) for t in study.trials}) == 12
    assert not sampler.is_done(study)
    for trial, value in zip(running, values, strict=True):
        study.tell(trial, value)
    assert sampler.is_done(study)


def test_an_enqueued_trial_keeps_its_values_and_gets_untried_others() -> None:
    sampler = SeededSampler(rand, 0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(4):
        study.enqueue_trial({"units": 32})
        trial = study.ask()
        study.tell(trial, three_by_four(trial))
    assert {t.params["units"] for t in study.trials} == {32}
    assert len({configuration(t) for t in study.trials}) == 4
    for _ in range(2):
        study.enqueue_trial({"rate": 0.2})
        trial = study.ask()
        study.tell(trial, three_by_four(trial))
    assert {t.params["units"] for t in study.trials[4:]} == {16, 48}


def test_a_parameter_that_is_fixed_stays_fixed() -> None:
    def factory(seed: int) -> BaseSampler:
        return PartialFixedSampler({"units": 32}, rand(seed))

    study = search(factory, three_by_four, most=8)
    assert {t.params["units"] for t in study.trials} == {32}


def test_a_quasi_random_search_of_a_small_space_repeats_nothing() -> None:
    pytest.importorskip("scipy")
    study = search(lambda seed: QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False), three_by_four)
    assert len(study.trials) == 12


def test_what_was_tried_in_another_bracket_is_not_tried_again() -> None:
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = optuna.create_study(sampler=SeededSampler(rand, 0), pruner=pruner)
    for _ in range(12):
        trial = study.ask()
        value = three_by_four(trial)
        trial.report(value, 1)
        trial.should_prune()
        study.tell(trial, value)
    assert is_exhausted(study.trials)


def test_the_first_proposal_stands_where_it_is_new() -> None:
    def values(sampler: BaseSampler) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=sampler)
        study.optimize(lambda trial: trial.suggest_int("n", 1, 10**6) + trial.suggest_int("m", 1, 10**6), n_trials=15)
        return [t.params for t in study.trials]

    class Unavoiding(SeededSampler):
        def sample_relative(
            self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, Any]:
            sampler = self._fresh(trial, "relative")
            sampler.infer_relative_search_space(study, trial)
            return sampler.sample_relative(study, trial, search_space)

    assert values(SeededSampler(tpe, 0)) == values(Unavoiding(tpe, 0))


def test_the_order_of_parameters_does_not_matter() -> None:
    """A storage behind gRPC gives a trial's parameters back in any order."""
    rng = random.Random(0)
    study = search(tpe, conditional)
    mixed = []
    for trial in study.trials:
        names = rng.sample(sorted(trial.params), len(trial.params))
        mixed.append(
            optuna.trial.create_trial(
                value=trial.value,
                params={name: trial.params[name] for name in names},
                distributions={name: trial.distributions[name] for name in names},
            )
        )
    sampler = SeededSampler(tpe, 0)
    other = optuna.create_study(sampler=sampler)
    other.add_trials(mixed[:-1])
    assert not sampler.is_done(other)
    trial = other.ask()
    other.tell(trial, conditional(trial))
    assert configuration(other.trials[-1]) == configuration(mixed[-1])
    assert sampler.is_done(other)


def test_nothing_is_avoided_in_an_endless_space() -> None:
    study = optuna.create_study(sampler=SeededSampler(rand, 0))
    space: dict[str, BaseDistribution] = {"kind": CategoricalDistribution("ab"), "rate": FloatDistribution(0, 1)}
    for _ in range(20):
        study.tell(study.ask(space), 1.0)
    assert not SeededSampler(rand, 0).is_done(study)
    assert {t.params["kind"] for t in study.trials} == {"a", "b"}
