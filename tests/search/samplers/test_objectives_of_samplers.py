"""With several objectives trials are reported, pruned and ranked as with the first one alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import optuna
import pytest
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, PercentilePruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from autotune.search.history import best_complete, direction_sign, report, should_prune
from autotune.search.pruners import by_folds
from autotune.search.samplers import SeededSampler, tpe

PRUNERS: list[Callable[[], BasePruner]] = [
    lambda: MedianPruner(n_startup_trials=3, n_warmup_steps=1),
    lambda: PercentilePruner(25.0, n_startup_trials=3),
    lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    lambda: HyperbandPruner(min_resource=1, max_resource=4, reduction_factor=2),
    lambda: by_folds(MedianPruner(n_startup_trials=3, n_warmup_steps=1)),
]


def search(directions: list[str], pruner: BasePruner) -> list[tuple[str, int]]:
    """Run 30 trials with known curves; return each one's end and the number of its reports."""
    study = optuna.create_study(
        study_name="curves", directions=directions, pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    for _ in range(30):
        trial = study.ask()
        rate = trial.suggest_float("rate", 0.0, 1.0)
        for step in range(1, 5):
            report(trial, rate * step, step)
            if should_prune(trial):
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, [rate * 4, *(1.0 for _ in directions[1:])])
    return [(trial.state.name, len(trial.intermediate_values)) for trial in study.trials]


@pytest.mark.parametrize("make", PRUNERS)
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_pruners_decide_as_with_the_first_objective_alone(make: Callable[[], BasePruner], direction: str) -> None:
    ends = search([direction, "minimize"], make())
    assert ends == search([direction], make())
    assert {state for state, _ in ends} == {"PRUNED", "COMPLETE"}


def test_the_first_report_of_a_step_stands() -> None:
    trial = optuna.create_study(directions=["maximize", "minimize"]).ask()
    report(trial, 0.5, 1)
    report(trial, 0.9, 1)
    assert trial.study.trials[0].intermediate_values == {1: 0.5}


def test_tpe_goes_on_after_trials_have_been_pruned() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=SeededSampler(tpe, seed=0))
    for number in range(25):
        trial = study.ask()
        width = trial.suggest_float("width", 0.0, 1.0)
        report(trial, width, 1)
        if number % 2:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, [width, width**2])
    assert all(trial.intermediate_values for trial in study.trials), "what is stored is not touched"


def test_the_front_holds_what_no_other_trial_beats_in_everything() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in itertools.product([0.8, 0.9], [10.0, 20.0]):
        study.add_trial(optuna.trial.create_trial(values=values))
    study.add_trial(optuna.trial.create_trial(values=[0.7, 5.0]))
    study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
    assert sorted(tuple(trial.values) for trial in best_complete(study)) == [(0.7, 5.0), (0.9, 10.0)]
    assert direction_sign(study) == 1


def test_with_one_objective_every_complete_trial_is_ranked() -> None:
    study = optuna.create_study(direction="minimize")
    for value in (2.0, 1.0):
        study.add_trial(optuna.trial.create_trial(value=value))
    study.add_trial(optuna.trial.create_trial(state=TrialState.PRUNED))
    assert [trial.value for trial in best_complete(study)] == [2.0, 1.0]
    assert direction_sign(study) == -1
