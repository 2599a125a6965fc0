"""A study is given up when trials keep failing, and not because of what lies in their configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.errors import StudyFailedError
from autotune.running.engine.failures_in_a_row import FailuresInARow
from autotune.running.trial.trial_task import Outcome

ERROR = Outcome("failed", reason="error", summary="KeyError: 'x'")
OOM = Outcome("failed", reason="oom")
LOST = Outcome("lost", reason="lost")


def _failures(most: int = 3, has_worked: bool = True) -> FailuresInARow:
    return FailuresInARow(most, lambda: has_worked, lambda number: Path(f"trials/{number}/log.txt"))


def _count(failures: FailuresInARow, *outcomes: Outcome, came_further: bool = False) -> None:
    for number, outcome in enumerate(outcomes):
        failures.count(number, outcome, outcome.kind == "failed", came_further)


def test_so_many_errors_in_a_row_end_the_study_and_name_the_last_one() -> None:
    with pytest.raises(StudyFailedError) as caught:
        _count(_failures(), ERROR, ERROR, ERROR)
    assert "3 trials in a row have failed; the last, trial 2, with the reason 'error': KeyError: 'x'" in str(
        caught.value
    )
    assert "trials/2/log.txt" in str(caught.value)


def test_one_failure_is_told_in_the_singular() -> None:
    with pytest.raises(StudyFailedError, match="trial 0 has failed, with"):
        _count(_failures(1), ERROR)


@pytest.mark.parametrize("between", [Outcome("complete", 1.0), Outcome("pruned")])
def test_a_trial_that_ends_well_begins_a_new_row(between: Outcome) -> None:
    _count(_failures(), ERROR, ERROR, between, ERROR, ERROR)


def test_a_trial_that_waits_again_neither_counts_nor_begins_a_new_row() -> None:
    _count(_failures(), ERROR, LOST, LOST, LOST, ERROR)
    with pytest.raises(StudyFailedError):
        _count(_failures(), ERROR, LOST, ERROR, ERROR)


def test_a_trial_that_was_lost_too_often_counts() -> None:
    failures = _failures(2)
    failures.count(0, LOST, True, False)
    with pytest.raises(StudyFailedError, match="'lost'"):
        failures.count(1, LOST, True, False)


def test_faults_of_configurations_end_a_study_soon_only_where_none_has_worked() -> None:
    _count(_failures(), *[OOM] * 29)
    with pytest.raises(StudyFailedError, match="30 trials in a row"):
        _count(_failures(), *[OOM] * 30)
    with pytest.raises(StudyFailedError, match="3 trials in a row"):
        _count(_failures(has_worked=False), *[OOM] * 3)
    with pytest.raises(StudyFailedError, match="5 trials in a row"):
        _count(_failures(), OOM, ERROR, OOM, ERROR, ERROR)


def _first_error(*, others_work: bool, outcome: Outcome = ERROR, came_further: bool = False) -> int:
    """Count one failure in a study that allows three, and return how often other configurations were tried."""
    asked: list[bool] = []

    def others() -> bool:
        asked.append(True)
        return others_work

    failures = FailuresInARow(3, lambda: False, lambda number: Path("log.txt"), others)
    failures.count(0, outcome, True, came_further)
    failures.count(1, outcome, True, came_further)
    return len(asked)


def test_the_first_error_ends_a_study_of_which_no_other_configuration_works() -> None:
    with pytest.raises(StudyFailedError, match="trial 0 has failed, with the reason 'error': KeyError: 'x'"):
        _first_error(others_work=False)


def test_other_configurations_are_tried_once_and_if_one_works_the_study_goes_on() -> None:
    assert _first_error(others_work=True) == 1


@pytest.mark.parametrize("reason", ["oom", "nan", "timeout", "lost"])
def test_failures_that_lie_in_no_code_let_nothing_be_tried(reason: str) -> None:
    assert _first_error(others_work=False, outcome=Outcome("failed", reason=reason)) == 0


def test_an_error_after_an_epoch_lets_nothing_be_tried() -> None:
    assert _first_error(others_work=False, came_further=True) == 0


def test_the_code_around_an_error_is_shown() -> None:
    with pytest.raises(StudyFailedError) as caught:
        _count(_failures(1), Outcome("failed", reason="error", summary="NameError", code=">    3 | x = y"))
    assert ">    3 | x = y" in str(caught.value)


def _deaths(*servers: int) -> list[Outcome]:
    return [Outcome("lost", reason="server", server=server) for server in servers]


def test_a_server_that_keeps_dying_ends_the_study_however_many_trials_die_with_each() -> None:
    _count(_failures(), *_deaths(1, 1, 1, 2, 2))
    with pytest.raises(StudyFailedError, match="has died 3 times in a row"):
        _count(_failures(), *_deaths(1, 1, 2, 2, 3))


def test_a_server_under_which_trials_come_further_may_die_again() -> None:
    failures = _failures()
    _count(failures, *_deaths(1, 2))
    _count(failures, *_deaths(3, 4), came_further=True)
    failures = _failures()
    _count(failures, *_deaths(1, 2), Outcome("complete", 1.0), *_deaths(3, 4))
