"""TPE stays away from where trials ran out of memory or time, although Optuna shows it no failed trials."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from autotune.search.samplers import SeededSampler, tpe
from autotune.search.samplers.feasibility import Feasibility, never
from autotune.search.samplers.infeasible import show_to_sampler

SPACE: dict[str, BaseDistribution] = {
    "filters": IntDistribution(8, 128),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "batch_size": CategoricalDistribution([32, 64, 128]),
}
LIMIT = 64  # more filters do not fit into memory, and the fewer that do are the better the more they are


@pytest.fixture(params=["memory", "journal"])
def storage(request: pytest.FixtureRequest, reopened: Callable[[], BaseStorage]) -> BaseStorage:
    if request.param == "memory":
        return optuna.storages.InMemoryStorage()
    return reopened()


def past(*, constraint: bool, asked_for: tuple[str, ...] = tuple(SPACE)) -> Iterator[FrozenTrial]:
    """Make up 10 trials that fit and 20 that do not and have only been asked for the parameters `asked_for`."""
    rng = random.Random(0)
    for number in range(30):
        fits = number % 3 == 0
        params = {
            "filters": rng.randint(8, LIMIT) if fits else rng.randint(LIMIT + 1, 128),
            "rate": 10 ** rng.uniform(-4, -1),
            "batch_size": rng.choice([32, 64, 128]),
        }
        if fits:
            yield create_trial(value=params["filters"], params=params, distributions=SPACE)
        else:
            yield create_trial(
                state=TrialState.FAIL,
                params={name: params[name] for name in asked_for},
                distributions={name: SPACE[name] for name in asked_for},
                user_attrs={"failure": "oom"},
                constraints={"oom": 1.0} if constraint else None,
            )


def search(storage: BaseStorage, trials: Iterator[FrozenTrial], *, constraint: bool, n_trials: int = 40) -> int:
    """Search on; return how many proposals did not fit."""
    study = optuna.create_study(
        study_name="s", storage=storage, direction="maximize", sampler=SeededSampler(tpe, seed=0)
    )
    study.add_trials(list(trials))
    too_many = 0
    for _ in range(n_trials):
        trial = study.ask(SPACE)
        if trial.params["filters"] <= LIMIT:
            study.tell(trial, trial.params["filters"])
            continue
        too_many += 1
        trial.set_user_attr("failure", "oom")
        if constraint:
            trial.set_constraint("oom", 1.0)
        study.tell(trial, state=TrialState.FAIL)
    return too_many


@pytest.mark.parametrize("asked_for", [tuple(SPACE), ("filters", "rate")], ids=["at the end", "early"])
def test_tpe_stays_away_from_where_trials_ran_out_of_memory(asked_for: tuple[str, ...]) -> None:
    def run(constraint: bool) -> int:
        trials = past(constraint=constraint, asked_for=asked_for)
        return search(optuna.storages.InMemoryStorage(), trials, constraint=constraint)

    assert run(constraint=False) >= 35  # of 40
    assert run(constraint=True) <= 20


def needs_too_much(trial: optuna.Trial) -> bool:
    batch_size = trial.suggest_int("batch_size", 8, 1024, log=True)
    return batch_size * trial.suggest_int("units", 16, 2048, log=True) > 2**16


def _failed_of_sixty(seed: int) -> list[bool]:
    """Search where more memory is better until there is none left; return which trials had too little."""
    study = optuna.create_study(direction="maximize", sampler=SeededSampler(tpe, seed))
    failed = []
    for _ in range(60):
        trial = study.ask()
        failed.append(needs_too_much(trial))
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        if failed[-1]:
            trial.set_constraint("oom", 1.0)
            study.tell(trial, state=TrialState.FAIL)
        else:
            value = math.log(trial.params["batch_size"] * trial.params["units"]) - abs(math.log10(rate) + 2.5)
            study.tell(trial, value)
    return failed


def test_fewer_trials_run_out_of_memory_the_longer_a_search_lasts() -> None:
    failed = [_failed_of_sixty(seed) for seed in range(2)]
    first, *_, last = (fmean(one for search in failed for one in search[begin : begin + 20]) for begin in (0, 20, 40))
    assert first > 0.2
    assert last < 0.15


def fitted(trials: Iterable[FrozenTrial]) -> Callable[[Mapping[str, Any]], float]:
    feasibility = Feasibility()
    for trial in trials:
        feasibility.learn(trial)
    return feasibility.fitted()


def test_what_is_like_failed_trials_is_likely_to_fail() -> None:
    chance = fitted(past(constraint=True))
    assert chance({**WHOLE, "filters": 127}) > 0.9
    assert chance({**WHOLE, "filters": 9}) < 0.1
    assert chance({"filters": 9}) < chance({"filters": 64}) < chance({"filters": 127})  # the others in the middle


def test_what_is_guessed_does_not_depend_on_the_order_in_which_trials_ended() -> None:
    study = optuna.create_study()
    study.add_trials(past(constraint=True))
    params = {**WHOLE, "filters": 60}
    assert fitted(study.trials)(params) == fitted(reversed(study.trials))(params)


@pytest.mark.parametrize("constraint", [False, True])
def test_nothing_is_guessed_before_trials_have_failed_and_others_have_not(constraint: bool) -> None:
    trials = [t for t in past(constraint=constraint) if t.state == TrialState.FAIL or not constraint]
    assert fitted(trials) is never


def test_failed_trials_stay_failed_in_the_storage(storage: BaseStorage) -> None:
    search(storage, past(constraint=True), constraint=True, n_trials=3)
    study = optuna.load_study(study_name="s", storage=storage)
    failed = [t for t in study.trials if t.state == TrialState.FAIL]
    assert len(failed) >= 20
    assert all(t.constraints == {"oom": 1.0} and t.user_attrs["failure"] == "oom" for t in failed)


def test_without_violated_constraints_the_study_is_shown_as_it_is() -> None:
    study = optuna.create_study()
    study.add_trials(past(constraint=False))
    study.add_trial(create_trial(state=TrialState.FAIL, constraints={"memory": -1.0}))
    study.add_trial(create_trial(value=1.0, constraints={"memory": 1.0}))
    assert show_to_sampler(study, study.trials) is study


def shown(trials: list[FrozenTrial], storage: BaseStorage | None = None) -> tuple[optuna.Study, optuna.Study]:
    study = optuna.create_study(storage=storage, direction="maximize")
    study.add_trials(trials)
    return study, show_to_sampler(study, study.trials)


def failed(params: dict[str, Any], **more: Any) -> FrozenTrial:
    return create_trial(
        state=TrialState.FAIL,
        params=params,
        distributions={name: SPACE[name] for name in params},
        constraints={"timeout": 1.0},
        **more,
    )


WHOLE = {"filters": 8, "rate": 1e-3, "batch_size": 32}


def test_what_is_shown_is_a_pruned_trial_that_has_reported_nothing(storage: BaseStorage) -> None:
    study, view = shown([failed(WHOLE, intermediate_values={0: 0.9, 1: 0.99})], storage)
    (trial,) = view.get_trials()
    assert trial.state == TrialState.PRUNED
    assert (trial.value, trial.intermediate_values) == (None, {})
    assert (trial.number, trial.params, trial.constraints) == (0, WHOLE, {"timeout": 1.0})
    assert view.get_trials(states=(TrialState.PRUNED,)) == [trial]
    assert view.get_trials(states=(TrialState.FAIL,)) == []
    assert view._storage.get_trial(trial._trial_id) == trial
    assert study.trials[0].state == TrialState.FAIL
    assert study.trials[0].intermediate_values == {0: 0.9, 1: 0.99}
    assert view.direction == study.direction


def test_everything_else_is_read_from_and_written_to_the_study(storage: BaseStorage) -> None:
    study, view = shown([failed(WHOLE), create_trial(value=2.0)], storage)
    running = study.ask()
    view._storage.set_trial_system_attr(running._trial_id, "here", 1)
    view._storage.set_trial_user_attr(running._trial_id, "there", 2)
    view._storage.set_study_system_attr(view._study_id, "sequence", 3)
    view._storage.set_trial_param(running._trial_id, "filters", 16.0, SPACE["filters"])
    view._storage.set_trial_intermediate_value(running._trial_id, 0, 0.5)
    view.set_user_attr("mine", 4)
    for one in (study, view):
        trial = one.get_trials()[-1]
        assert (trial.system_attrs, trial.user_attrs) == ({"here": 1}, {"there": 2})
        assert (trial.params, trial.intermediate_values) == ({"filters": 16}, {0: 0.5})
        assert one._storage.get_study_system_attrs(one._study_id)["sequence"] == 3
        assert one.user_attrs == {"mine": 4}
        assert one.best_value == 2.0
    assert view.study_name == study.study_name
    assert [s.study_name for s in view._storage.get_all_studies()] == [study.study_name]
    view.tell(running.number, 3.0)
    assert study.best_value == 3.0


def test_a_trial_that_failed_early_is_shown_with_the_other_parameters_of_a_finished_one() -> None:
    early = failed({"filters": 128})
    whole = create_trial(value=1.0, params=WHOLE, distributions=SPACE)
    _, view = shown([early])
    assert view.trials[0].params == {"filters": 128}
    _, view = shown([early, whole])
    assert view.trials[0].params == {**WHOLE, "filters": 128}
    assert view.trials[0].distributions == SPACE
    short = create_trial(value=1.0, params={"filters": 8}, distributions={"filters": SPACE["filters"]})
    _, view = shown([early, whole, short])
    assert view.trials[0].params == {"filters": 128}  # one that has finished was asked for nothing else either


def test_running_trials_still_share_what_was_proposed_to_them(storage: BaseStorage) -> None:
    study = optuna.create_study(storage=storage, direction="maximize", sampler=SeededSampler(tpe, seed=0))
    study.add_trials(past(constraint=True))
    trial = study.ask(SPACE)
    attributes = study.trials[trial.number].system_attrs
    assert any(key.startswith("tpe:relative_params") for key in attributes)  # read by TPE's constant liar


def test_suggestions_with_infeasible_trials_depend_on_the_stored_trials_and_the_seed_alone(
    reopened: Callable[[], BaseStorage],
) -> None:
    def suggestions(*, restart: bool) -> list[dict[str, Any]]:
        study = optuna.create_study(
            study_name=f"restarted: {restart}",
            storage=reopened(),
            direction="maximize",
            sampler=SeededSampler(tpe, seed=0),
        )
        study.add_trials(past(constraint=True))
        for _ in range(4):
            trial = study.ask(SPACE)
            study.tell(trial, trial.params["filters"])
            if restart:
                study = optuna.load_study(
                    study_name=study.study_name, storage=reopened(), sampler=SeededSampler(tpe, seed=0)
                )
        return [t.params for t in study.trials[-4:]]

    assert suggestions(restart=True) == suggestions(restart=False)
