"""What a run is going to do with a search, and what is undone if its first trials show another space."""

from __future__ import annotations

import dataclasses
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from autotune.errors import StudyChangedError
from autotune.running.planning.plan import plan_search
from autotune.running.study.settings import read_settings
from autotune.running.study.source import study_source
from autotune.running.study.study_files import is_known_here
from autotune.study import StudySpec

X = {"x": FloatDistribution(0.0, 1.0)}


def waiting(study: optuna.Study) -> list[dict[str, Any]]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return [trial.system_attrs["fixed_params"] for trial in trials]


def test_a_run_has_as_many_trials_as_are_asked_for_or_declared(bench: Any) -> None:
    assert plan_search(bench.preparer(), None).budget.n_trials == 4
    assert plan_search(bench.preparer(), 6).budget.n_trials == 6


def test_its_study_is_known_here(bench: Any) -> None:
    plan = plan_search(bench.preparer(), None)
    assert plan.folder == bench.places.run_dir / "toy"
    assert is_known_here(plan.folder, plan.settings.token)
    assert read_settings(plan.study) == plan.settings


def test_the_code_of_a_study_made_in_python_travels_without_its_dataset(bench: Any) -> None:
    study = StudySpec(name="toy", objective=lambda trial: 0.0, direction="minimize", n_trials=1, seed=0)
    source = dataclasses.replace(study_source(study), pickled_for_trials=b"without its dataset")
    assert plan_search(bench.preparer(source=source), None).source.pickled == b"without its dataset"


def test_what_is_enqueued_waits_once(bench: Any) -> None:
    bench.declares(enqueue="[{'x': 0.25}]")
    plan_search(bench.preparer(), None)
    assert waiting(plan_search(bench.preparer(), None).study) == [{"x": 0.25}]


def test_it_may_be_corrected_until_a_trial_has_finished(bench: Any) -> None:
    plan_search(bench.preparer(), None)
    bench.declares(enqueue="[{'x': 0.5}]")
    study = plan_search(bench.preparer(), None).study
    assert waiting(study) == [{"x": 0.5}]
    study.tell(study.ask(), 0.5)
    bench.declares(enqueue="[{'x': 0.75}]")
    assert waiting(plan_search(bench.preparer(), None).study) == []


def test_a_new_study_that_is_refused_leaves_nothing(bench: Any) -> None:
    plan_search(bench.preparer(), None).forget()
    assert optuna.get_all_study_names(bench.places.storage) == []


def test_an_older_one_is_again_as_it_was(bench: Any) -> None:
    before = plan_search(bench.preparer(), 6).settings
    plan = plan_search(bench.preparer(), 9)
    assert read_settings(plan.study) != before
    plan.forget()
    assert read_settings(plan.study) == before
    assert optuna.get_all_study_names(bench.places.storage) == ["toy"]


def test_a_study_that_another_program_has_made_is_left_to_it(bench: Any) -> None:
    optuna.create_study(study_name="toy", storage=bench.places.storage)
    plan_search(bench.preparer(), None).forget()
    assert optuna.get_all_study_names(bench.places.storage) == ["toy"]


def test_an_objective_that_was_edited_keeps_to_the_space_of_its_trials(bench: Any) -> None:
    study = plan_search(bench.preparer(), None).study
    study.tell(study.ask(X), 0.5)
    assert plan_search(bench.preparer(), None).known_space is None
    bench.declares("trial.suggest_float('y', 0.0, 1.0)")
    space = plan_search(bench.preparer(), None).known_space
    assert space is not None
    with pytest.raises(StudyChangedError, match="y"):
        space.refuse_new("toy", "y", FloatDistribution(0.0, 1.0))


def test_a_pruner_that_will_never_prune_is_spoken_of(bench: Any) -> None:
    bench.declares(pruner="optuna.pruners.MedianPruner(n_startup_trials=100)")
    plan_search(bench.preparer(), None)
    assert len(bench.notes) == 1
    assert "MedianPruner" in bench.notes[0]


def test_who_runs_a_study_at_the_same_time_is_not_cut_short(bench: Any) -> None:
    plan = plan_search(bench.preparer(), 6)
    study = plan.study
    for _ in range(3):
        study.tell(study.ask(X), 0.5)
    assert plan_search(bench.preparer(), 2).settings == dataclasses.replace(plan.settings, n_trials=3)
