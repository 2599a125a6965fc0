"""A trial that an error has ended is tried again as itself, so often as the study says, and not at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

import autotune
from autotune.errors import StudyFailedError
from autotune.results.summary.summary import study_status
from autotune.running.claims.attempts import Errors, errors_of, is_due, is_tried_again, note_error
from autotune.running.tracking.events import Event, TrialEnded

StudyFile = Callable[..., Path]
FLAKY = """
    tried = HERE / "tried"

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        with tried.open("a") as file:
            print(trial.number, x, file=file)
        if trial.number == 1 and tried.read_text().count("\\n1 0.") <= {failures}:
            raise ConnectionError("the data source does not answer")
        return x
"""


@pytest.fixture
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Errors, "wait_s", 0.0)


def test_errors_are_counted_and_waited_for_longer_each_time() -> None:
    study = optuna.create_study()
    study.ask()
    storage = study._storage
    waits = []
    for _ in range(8):
        errors = note_error(storage, study.trials[0], limit=8, clock=lambda: 1000.0)
        assert errors is not None
        waits.append(errors.again_at - 1000.0)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert note_error(storage, study.trials[0], limit=8) is None
    assert errors_of(study.trials[0]).count == 8
    times = {1000.0: False, 1059.0: False, 1060.0: True, 2000.0: True, 10.0: True}  # a clock that was put back
    assert {now: is_due(study.trials[0], lambda now=now: now) for now in times} == times
    assert not is_tried_again(study.trials[0])
    storage.set_trial_state_values(study.trials[0]._trial_id, TrialState.WAITING)
    assert is_tried_again(study.trials[0])
    assert study_status(study).tried_again == 1


@pytest.mark.usefixtures("_in_no_time")
def test_a_flaky_trial_is_tried_again_as_itself(study_file: StudyFile, run_dir: Path, tmp_path: Path) -> None:
    ended: list[TrialEnded] = []

    def note(event: Event) -> None:
        if isinstance(event, TrialEnded):
            ended.append(event)

    file = study_file(FLAKY.format(failures=2), "'retry_errors': 2, 'n_trials': 3")
    study = autotune.run(file, run_dir=run_dir, workers=1, observer=note)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    tried = [line.split() for line in (tmp_path / "tried").read_text().splitlines()]
    assert [x for number, x in tried if number == "1"] == [str(study.trials[1].params["x"])] * 3
    assert [event.reason for event in ended if event.state == "interrupted"] == [
        "error; it is tried again, 1 of 2",
        "error; it is tried again, 2 of 2",
    ]


@pytest.mark.usefixtures("_in_no_time")
def test_a_trial_that_goes_on_failing_fails_and_says_how_often(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file(FLAKY.format(failures=9), "'retry_errors': 1, 'n_trials': 2")
    study = autotune.run(file, run_dir=run_dir, workers=1)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE"]
    message: Any = study.trials[1].user_attrs["failure_message"]
    assert message.startswith("It was tried 2 times; the last time:\n")
    assert "the data source does not answer" in message


@pytest.mark.usefixtures("_in_no_time")
def test_a_study_that_cannot_work_ends_all_the_same(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            raise ValueError("a package is missing")
    """
    file = study_file(code, "'retry_errors': 1, 'max_failures_in_a_row': 2")
    with pytest.raises(StudyFailedError, match="2 trials in a row have failed"):
        autotune.run(file, run_dir=run_dir, workers=1)
