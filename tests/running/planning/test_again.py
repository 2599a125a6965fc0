"""Configurations of a study, trained again: with which seeds, on what, and as they were begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.errors import UsageError
from autotune.running.planning.again import plan_queue, plan_replay
from autotune.running.planning.plan import Plan, plan_search
from autotune.running.planning.queued import Queue, QueuedTrial, key_of
from autotune.running.study.study_files import is_known_here
from autotune.running.trial.preparing import Preparation, Rows
from autotune.training.records import Refit

NAME = "toy.confirm"


def rows(digest: str) -> Rows:
    return Rows(Path("data"), Path("folds"), digest)


SEARCHED, WHOLE, FIRST, SECOND = map(rows, ("searched", "whole", "first", "second"))


def queue(bench: Any, *trials: QueuedTrial, repeats: int = 1) -> Plan:
    return plan_queue(bench.preparer(), repeats, lambda known: Queue(NAME, trials))


def trial(repeat: int = 0, refit: Refit | None = None) -> QueuedTrial:
    return QueuedTrial("3", {"x": 0.5}, repeat, refit)


@pytest.fixture
def network(bench: Any) -> Any:
    """Give a study with data, whose splits are two."""
    splits = {(0, 1.0): FIRST, (1, 1.0): SECOND}
    bench.launcher.prepared = Preparation(SEARCHED, [], [], [], repeats=splits, whole=WHOLE)
    return bench


def test_they_are_a_study_beside_the_search(bench: Any) -> None:
    plan = queue(bench, trial(0), trial(1), repeats=2)
    assert plan.study.study_name == NAME
    assert plan.folder == bench.places.run_dir / NAME
    assert is_known_here(plan.folder, plan.settings.token)
    assert (plan.settings.part_of, plan.settings.n_trials) == ("toy", 2)
    assert plan.source.overrides.name == plan.settings.overrides.name == NAME
    assert [key_of(one).repeat for one in plan.study.get_trials()] == [0, 1]
    with pytest.raises(UsageError, match="autotune finalize toy"):
        plan_search(bench.preparer(plan.source.overrides), None)


def test_each_is_trained_to_its_end_and_no_other(bench: Any) -> None:
    bench.declares(max_failures_in_a_row="1", keep_models="3", pruner="optuna.pruners.MedianPruner()")
    plan = queue(bench, trial(0), trial(1))
    assert plan.budget.n_trials is None
    assert isinstance(plan.declared.pruner, optuna.pruners.NopPruner)
    assert (plan.declared.max_failures_in_a_row, plan.declared.keep_models) == (3, 0)
    with pytest.raises(ValueError, match="'y' is asked for, but '3' does not give it"):
        plan.study.ask().suggest_float("y", 0.0, 1.0)


def test_the_models_of_refits_are_kept(bench: Any) -> None:
    assert queue(bench, trial(refit=Refit(2))).declared.keep_models == 1


def test_each_repeat_has_a_split_of_its_own_and_a_refit_all_rows(network: Any) -> None:
    plan = queue(network, trial(0), trial(1), QueuedTrial("4", {"x": 0.1}, 0, Refit(2)), repeats=2)
    assigned = [plan.assign(one) for one in plan.study.get_trials()]
    assert [one.rows for one in assigned] == [FIRST, SECOND, WHOLE]
    assert [one.place for one in assigned] == [("repeat", 0), ("repeat", 1), ("repeat", 0)]


def test_what_has_begun_goes_on_as_it_was_begun(bench: Any) -> None:
    begun = queue(bench, trial(0), trial(1), repeats=2)
    again = queue(bench, trial(0))
    assert list(again.queued) == list(begun.queued)
    assert again.settings.n_trials == 2
    assert len(again.study.get_trials()) == 2


def test_its_splits_are_made_if_fewer_are_asked_for_now(network: Any) -> None:
    queue(network, trial(0), trial(1), repeats=2)
    both = network.launcher.prepared
    network.launcher.prepared = Preparation(SEARCHED, [], [], [], repeats={(0, 1.0): FIRST}, whole=WHOLE)
    asked = network.launcher.tasks
    asked.clear()

    class Counting(list):  # type: ignore[type-arg]  # reason: a list of tasks, as before
        def append(self, task: Any) -> None:
            super().append(task)
            if getattr(task, "repeats", 0) == 2:
                network.launcher.prepared = both

    network.launcher.tasks = Counting()
    plan = queue(network, trial(0), repeats=1)
    assert [task.repeats for task in network.launcher.tasks if hasattr(task, "repeats")] == [1, 2]
    assert [plan.assign(one).rows for one in plan.study.get_trials()] == [FIRST, SECOND]


def test_a_trial_of_the_search_is_replayed_on_what_it_was_trained_on(network: Any) -> None:
    study = plan_search(network.preparer(), None).study
    study.enqueue_trial({})
    code, assignment, settings = plan_replay(network.preparer(threads=8), study.get_trials()[0], 0)
    assert (assignment.rows, assignment.place) == (SEARCHED, ("trial", 0))
    assert (settings.threads, code.overrides.name) == (3, None)


def test_a_queued_trial_is_replayed_on_its_own_split(network: Any) -> None:
    plan = queue(network, trial(0), trial(1), repeats=2)
    _, assignment, _ = plan_replay(network.preparer(), plan.study.get_trials()[1], 2)
    assert (assignment.rows, assignment.place) == (SECOND, ("repeat", 1))
