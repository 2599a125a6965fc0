"""When a study has its trials, and since which trial it has not become better."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from autotune.running.study.budget import Budget
from autotune.stopping_rule import stop_when_flat


def test_the_trial_since_which_a_study_is_flat_is_named_by_its_number() -> None:
    study = optuna.create_study()
    for value in (None, 0.5, None, 0.3, 0.4, None, 0.6):
        study.tell(study.ask(), value, TrialState.FAIL if value is None else None)
    assert Budget(10, stop=stop_when_flat(2)).flat_since(study.trials, "minimize") == 3
    assert Budget(10, stop=stop_when_flat(3)).flat_since(study.trials, "minimize") is None
    assert Budget(10).flat_since(study.trials, "minimize") is None


def test_trials_after_one_that_still_runs_do_not_count_for_it() -> None:
    study = optuna.create_study()
    study.tell(study.ask(), 0.1)
    study.ask()
    for _ in range(5):
        study.tell(study.ask(), 0.2)
    assert Budget(10, stop=stop_when_flat(2)).flat_since(study.trials, "minimize") is None


def test_a_budget_without_a_number_is_met_by_what_is_there() -> None:
    assert Budget(None).is_met_by(0)
    assert Budget(3).is_met_by(3)
    assert not Budget(3).is_met_by(2)
