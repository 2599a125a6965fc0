"""Of thousands of trials TPE is shown those that it would call good, and of all others enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import optuna
import pytest
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autotune.search.samplers import SeededSampler, thinning, tpe
from autotune.search.samplers.thinning import Thinned


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0, 1)
    y = trial.suggest_float("rare", 0, 1) if trial.number % 50 == 7 else 0.0
    trial.report(x, 1)
    if trial.number % 3 == 0:
        raise optuna.TrialPruned
    return round(x + y, 1)  # many are equal


@pytest.fixture(params=["minimize", "maximize"])
def study(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    monkeypatch.setattr(thinning, "MOST_SHOWN", 300)
    study = optuna.create_study(direction=request.param, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=1200)
    study.ask()
    return study


def learned(study: optuna.Study) -> Thinned:
    thinned = Thinned()
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished():
            thinned.learn(trial)
    return thinned


def test_what_tpe_calls_good_is_the_same(study: optuna.Study) -> None:
    def good(trials: list[FrozenTrial]) -> list[int]:
        return [trial.number for trial in _split_trials(study, trials, default_gamma(len(trials)))[0]]

    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    assert good(learned(study).shown(study.direction)) == good(finished)


def test_of_all_others_a_part_is_shown_and_of_each_kind_enough(study: optuna.Study) -> None:
    thinned = learned(study)
    assert thinned.is_needed()
    shown = thinned.shown(study.direction)
    assert [trial.number for trial in shown] == sorted({trial.number for trial in shown})
    assert thinning.MOST_SHOWN <= len(shown) <= thinning.MOST_SHOWN + 25 + 100
    others = [trial.number for trial in shown if len(trial.params) == 1]
    assert max(b - a for a, b in pairwise(others)) < 12  # over the whole of the search
    kinds = Counter(frozenset(trial.params) for trial in shown)
    assert kinds[frozenset({"x", "rare"})] == 24
    assert [trial.number for trial in thinned.kinds()] == [0, 7]


def test_few_trials_or_few_good_ones_are_not_thinned() -> None:
    few, no_good = optuna.create_study(), optuna.create_study()
    few.optimize(objective, n_trials=100)
    assert not learned(few).is_needed()
    pruned = optuna.trial.create_trial(state=TrialState.PRUNED)
    no_good.add_trials([pruned] * (thinning.MOST_SHOWN + 1))
    assert not learned(no_good).is_needed()


def test_a_violated_constraint_is_shown_and_other_failures_are_not() -> None:
    thinned, study = Thinned(), optuna.create_study()
    for is_infeasible in (True, False):
        trial = study.ask()
        if is_infeasible:
            trial.set_constraint("oom", 1.0)
        study.tell(trial, state=TrialState.FAIL)
        thinned.learn(study.trials[-1])
    (shown,) = thinned.shown(StudyDirection.MINIMIZE)
    assert (shown.number, shown.constraints) == (0, {"oom": 1.0})


def test_a_search_of_which_tpe_sees_a_part_suggests_the_same_after_a_restart(
    reopened: Callable[[], BaseStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thinning, "MOST_SHOWN", 35)
    found = []
    for restarts in (False, True):
        name = f"restarted: {restarts}"
        study = optuna.create_study(study_name=name, storage=reopened(), sampler=SeededSampler(tpe, seed=0))
        for _ in range(60):
            if restarts:
                study = optuna.load_study(study_name=name, storage=reopened(), sampler=SeededSampler(tpe, seed=0))
            trial = study.ask()
            study.tell(trial, (trial.suggest_float("x", -1, 1) - 0.3) ** 2 + trial.suggest_int("n", 1, 9))
        found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]
    assert min(abs(params["x"] - 0.3) for params in found[0][50:]) < 0.1
