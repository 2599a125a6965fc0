"""A study in a few numbers."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from autotune.errors import UsageError
from autotune.results.summary import best_trial, require_study, study_status


def finished(
    value: float | None, state: TrialState = TrialState.COMPLETE, **attributes: str
) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(state=state, value=value, user_attrs=attributes)


@pytest.mark.parametrize(("direction", "best"), [("minimize", 0), ("maximize", 2)])
def test_the_best_trial_is_the_best_complete_one(direction: str, best: int) -> None:
    study = optuna.create_study(direction=direction)
    for value in (1.0, 2.0, 3.0):
        study.add_trial(finished(value))
    study.add_trial(finished(None, TrialState.PRUNED))
    found = best_trial(study)
    assert found is not None
    assert (found.trial, found.value, found.direction) == (best, study.best_value, direction)


def test_there_is_no_best_trial_without_a_complete_one() -> None:
    study = optuna.create_study()
    study.add_trial(finished(None, TrialState.PRUNED))
    assert best_trial(study) is None


def test_failures_are_counted_by_their_reason() -> None:
    study = optuna.create_study()
    for number, reason in enumerate(("nan", "error", "nan")):
        message = {
            "failure_message": "a traceback\nits last line",
            "failure_summary": f"ValueError: bad (study.py:{number})",
        }
        study.add_trial(finished(None, TrialState.FAIL, failure=reason, **message))
    study.add_trial(finished(1.0))
    status = study_status(study)
    assert status.failed == {"nan": 2, "error": 1}
    assert status.last_failure == "trial 2: ValueError: bad (study.py:2)"
    assert (status.complete, status.pruned, status.running, status.waiting) == (1, 0, 0, 0)
    assert status.trials_per_hour is None


def test_a_name_that_is_not_there_lists_those_that_are() -> None:
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="there", storage=storage)
    with pytest.raises(UsageError, match=r"'elsewhere'[\s\S]*there"):
        require_study(storage, "elsewhere")
