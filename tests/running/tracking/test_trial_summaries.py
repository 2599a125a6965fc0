"""Where a study stands when somebody begins to run it."""

from __future__ import annotations

import dataclasses

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from autotune.running.study.settings import StudySettings
from autotune.running.tracking.events import RunStarted
from autotune.running.tracking.trial_summaries import mean_seconds, most_folds, run_started
from autotune.study import Overrides

SETTINGS = StudySettings(
    study_file=None,
    n_trials=10,
    n_trials_given=False,
    overrides=Overrides(),
    seed=0,
    epochs=5,
    monitor="val_loss",
    epoch_policy="best",
    split=None,
    threads=1,
    data_dir=None,
    run_dir="/runs",
)


@pytest.fixture
def study() -> optuna.Study:
    """Trials of every state, the best of them in the middle."""
    study = optuna.create_study(study_name="net", direction="maximize")
    for value in (0.5, 0.9, 0.7):
        study.add_trial(create_trial(value=value))
    study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={1: 2.0}))
    for attributes in ({"failure": "nan"}, {"failure": "oom"}, {"failure": "nan"}, {}):
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=attributes))
    study.enqueue_trial({"x": 1.0})
    study.ask()  # takes it
    study.enqueue_trial({"x": 2.0})
    return study


def test_all_that_a_study_has_is_told(study: optuna.Study) -> None:
    assert run_started(study, study.trials, SETTINGS, slots=2, folds=5) == RunStarted(
        name="net",
        n_trials=10,
        finished=4,
        slots=2,
        epochs=5,
        direction="maximize",
        monitor="val_loss",
        folds=5,
        pruned=1,
        failed={"nan": 2, "oom": 1, "error": 1},
        waiting=(9,),
        best=(1, 0.9),
    )


def test_a_plain_objective_has_no_epochs(study: optuna.Study) -> None:
    begun = run_started(study, study.trials, dataclasses.replace(SETTINGS, monitor=None), 1, None)
    assert (begun.epochs, begun.monitor) == (None, None)


def test_a_new_study_has_nothing() -> None:
    study = optuna.create_study()
    begun = run_started(study, [], SETTINGS, 1, None)
    assert (begun.finished, begun.best, begun.failed, begun.waiting) == (0, None, {}, ())
    assert mean_seconds([]) is None
    assert most_folds([]) is None


def test_with_several_objectives_the_first_decides() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ((0.5, 1.0), (0.9, 9.0)):
        study.add_trial(create_trial(values=values))
    begun = run_started(study, study.trials, SETTINGS, 1, None)
    assert (begun.direction, begun.best) == ("maximize", (1, 0.9))


def test_complete_trials_tell_how_many_folds_there_are() -> None:
    study = optuna.create_study()
    for attributes in ({"fold_values": [1.0, 2.0, 3.0]}, {"fold_values": "of somebody else"}, {}):
        study.add_trial(create_trial(value=1.0, user_attrs=attributes))
    assert most_folds(study.trials) == 3
    assert most_folds(study.trials[1:]) is None
