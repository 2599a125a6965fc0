"""Events of trials that run somewhere else, from what the storage says of them."""

from __future__ import annotations

import dataclasses
import datetime
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner
from autotune.running.study.settings import WHY_OVER, StudySettings, write_settings
from autotune.running.tracking.events import Event, FoldFinished, RunStarted, StepReported, TrialEnded, TrialStarted
from autotune.running.tracking.watching import StudyWatch, watch_study
from autotune.study import Overrides


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="watched")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def watch(study: optuna.Study, events: list[Event]) -> StudyWatch:
    return StudyWatch(study, events.append, clock=iter(range(100)).__next__)


def test_a_trial_is_seen_to_start_report_and_end(study: optuna.Study, watch: StudyWatch, events: list[Event]) -> None:
    trial = study.ask()
    watch.look()
    trial.report(3.0, 1)
    trial.report(2.0, 2)
    watch.look()
    watch.look()
    study.tell(trial, 1.0)
    watch.look()
    watch.look()
    started, first, second, ended = events
    assert isinstance(started, TrialStarted)
    assert started == TrialStarted(0, 0, {}, since_s=started.since_s)
    assert [first, second] == [StepReported(0, 0, 1, 3.0), StepReported(0, 0, 2, 2.0)]
    assert isinstance(ended, TrialEnded)
    assert (ended.slot, ended.number, ended.state, ended.value, ended.steps) == (0, 0, "complete", 1.0, 2)


def test_trials_that_run_at_a_time_have_slots_of_their_own(
    study: optuna.Study, watch: StudyWatch, events: list[Event]
) -> None:
    trials = [study.ask(), study.ask()]
    watch.look()
    study.tell(trials[0], 1.0)
    study.ask()
    watch.look()
    assert [(e.number, e.slot) for e in events if isinstance(e, TrialStarted)] == [(0, 0), (1, 1), (2, 0)]


def test_a_trial_that_was_too_quick_to_be_seen_running_is_told_once(
    study: optuna.Study, watch: StudyWatch, events: list[Event]
) -> None:
    study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), 1.0)
    watch.look()
    watch.look()
    (ended,) = events
    assert isinstance(ended, TrialEnded)
    assert ended.params.keys() == {"x"}


def test_what_was_over_before_is_not_told(study: optuna.Study, events: list[Event]) -> None:
    study.tell(study.ask(), 1.0)
    StudyWatch(study, events.append).look()
    assert events == []


def test_a_trial_that_waits_again_was_interrupted_and_may_start_again(
    study: optuna.Study, storage: optuna.storages.BaseStorage, watch: StudyWatch, events: list[Event]
) -> None:
    trial = study.ask()
    trial.report(3.0, 1)
    watch.look()
    storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.WAITING)
    watch.look()
    watch.look()
    study.ask()
    watch.look()
    first, ended, second = events
    assert isinstance(ended, TrialEnded)
    assert (ended.state, ended.seconds) == ("interrupted", 1)
    assert isinstance(first, TrialStarted)
    assert isinstance(second, TrialStarted)
    assert first.reports == {1: 3.0}
    assert second == dataclasses.replace(first, since_s=second.since_s)


def test_a_failure_is_told_with_its_reason(study: optuna.Study, watch: StudyWatch, events: list[Event]) -> None:
    trial = study.ask()
    trial.set_user_attr("failure", "nan")
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    watch.look()
    (ended,) = events
    assert isinstance(ended, TrialEnded)
    assert (ended.state, ended.reason, ended.value) == ("failed", "nan", None)


def test_finished_folds_are_told(study: optuna.Study, watch: StudyWatch, events: list[Event]) -> None:
    trial = study.ask()
    watch.look()
    trial.set_user_attr("fold_values", [0.5])
    watch.look()
    watch.look()
    trial.set_user_attr("fold_values", [0.5, 0.7])
    trial.report(0.6, 4)
    watch.look()
    assert events[1:] == [FoldFinished(0, 0, 1), FoldFinished(0, 0, 2), StepReported(0, 0, 4, 0.6)]


def test_a_trial_that_runs_already_is_told_with_all_that_it_has_done(
    study: optuna.Study, storage: optuna.storages.BaseStorage, watch: StudyWatch, events: list[Event]
) -> None:
    begun = datetime.datetime.now() - datetime.timedelta(hours=2)
    template = optuna.trial.create_trial(
        state=TrialState.RUNNING, intermediate_values={1: 3.0, 2: 2.0}, user_attrs={"fold_values": [1.0]}
    )
    template.datetime_start = begun
    storage.create_new_trial(study._study_id, template)
    watch.look()
    (started,) = events
    assert isinstance(started, TrialStarted)
    assert (started.reports, started.finished_folds) == ({1: 3.0, 2: 2.0}, 1)
    assert started.since_s >= 7200


def test_a_last_look_is_taken_after_a_block(study: optuna.Study, watch: StudyWatch, events: list[Event]) -> None:
    with watch.watching(threading.Event()):
        study.tell(study.ask(), 1.0)
    assert [type(event) for event in events] == [TrialEnded]


def test_an_observer_that_fails_ends_the_block(study: optuna.Study) -> None:
    def refuse(event: Event) -> None:
        raise RuntimeError("no room on the screen")

    stopping = threading.Event()
    study.ask()
    with pytest.raises(RuntimeError, match="no room"), StudyWatch(study, refuse).watching(stopping):
        assert stopping.wait(60)


SETTINGS = StudySettings(
    study_file=None,
    n_trials=3,
    n_trials_given=False,
    overrides=Overrides(),
    seed=0,
    epochs=5,
    monitor="val_accuracy",
    epoch_policy="best",
    split=None,
    threads=1,
    data_dir=None,
    run_dir="/runs",
)


class Elsewhere:
    """Another command that runs the study, and does the next thing of a script whenever the watch pauses.

    Attributes:
        folder: The study's folder.
        pauses: How long the watch has waited, each time.
    """

    def __init__(self, study: optuna.Study, storage: optuna.storages.BaseStorage, run_dir: Path) -> None:
        self.study = study
        self.folder = run_dir / study.study_name
        self.owner = Owner(self.folder / "workers")
        self.lease = Lease(storage, study._study_id, self.owner.mark.parent, 60.0, 2)
        self.lease.renew()
        self.script: list[Callable[[], object]] = []
        self.pauses: list[float] = []

    def start(self) -> optuna.Trial:
        trial = self.study.ask()
        self.owner.sign(self.study._storage, trial._trial_id)
        return trial

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.script.pop(0)()


@pytest.fixture
def settings(study: optuna.Study, tmp_path: Path) -> StudySettings:
    settings = dataclasses.replace(SETTINGS, run_dir=str(tmp_path / "runs"))
    write_settings(study, settings)
    return settings


@pytest.fixture
def elsewhere(study: optuna.Study, storage: optuna.storages.BaseStorage, settings: StudySettings) -> Elsewhere:
    return Elsewhere(study, storage, Path(settings.run_dir))


def test_a_study_is_watched_until_its_trials_are_finished(
    study: optuna.Study, settings: StudySettings, elsewhere: Elsewhere, events: list[Event]
) -> None:
    study.tell(study.ask(), 1.0)
    study.tell(study.ask(), state=TrialState.PRUNED)
    trial = elsewhere.start()
    elsewhere.script = [lambda: trial.report(0.5, 1), lambda: study.tell(trial, 0.5)]
    watch_study(study, settings, events.append, elsewhere.pause, elsewhere.folder)
    begun, started, reported, ended = events
    assert isinstance(begun, RunStarted)
    assert (begun.name, begun.n_trials, begun.finished, begun.pruned, begun.slots) == ("watched", 3, 2, 1, 2)
    assert (begun.epochs, begun.direction, begun.monitor, begun.best) == (5, "minimize", "val_accuracy", (0, 1.0))
    assert begun.is_elsewhere
    assert begun.mean_trial_s is not None
    assert [type(event) for event in (started, reported, ended)] == [TrialStarted, StepReported, TrialEnded]
    assert min(elsewhere.pauses) >= 1.0  # the storage is left to those who work


def test_a_study_that_stops_early_is_watched_until_then(
    study: optuna.Study, settings: StudySettings, elsewhere: Elsewhere, events: list[Event]
) -> None:
    trial = elsewhere.start()
    study.set_user_attr(WHY_OVER, "nothing is left to try")
    elsewhere.script = [lambda: study.tell(trial, 0.5)]
    watch_study(study, settings, events.append, elsewhere.pause, elsewhere.folder)
    assert isinstance(events[-1], TrialEnded)


def test_a_study_is_watched_between_two_trials(
    study: optuna.Study, settings: StudySettings, elsewhere: Elsewhere, events: list[Event]
) -> None:
    elsewhere.script = [lambda: study.tell(elsewhere.start(), 0.5), elsewhere.lease.end]
    watch_study(study, settings, events.append, elsewhere.pause, elsewhere.folder)
    assert [type(event) for event in events] == [RunStarted, TrialEnded]
    assert len(elsewhere.pauses) == 2


def test_a_study_whose_command_was_killed_is_watched_no_longer(
    study: optuna.Study, settings: StudySettings, elsewhere: Elsewhere, events: list[Event]
) -> None:
    elsewhere.start()
    elsewhere.script = [elsewhere.owner.close]  # its lease still looks good
    watch_study(study, settings, events.append, elsewhere.pause, elsewhere.folder)
    assert len(elsewhere.pauses) == 1


def test_a_study_that_nobody_runs_is_not_watched(
    study: optuna.Study, settings: StudySettings, events: list[Event]
) -> None:
    def never(seconds: float) -> None:
        raise AssertionError("there is nothing to wait for")

    watch_study(study, settings, events.append, never)
    assert [type(event) for event in events] == [RunStarted]


def test_to_watch_writes_nothing(
    study: optuna.Study, settings: StudySettings, elsewhere: Elsewhere, events: list[Event], tmp_path: Path
) -> None:
    trial = elsewhere.start()
    other = sqlite3.connect(tmp_path / "study.db")
    version = "PRAGMA data_version"  # changes with every commit of somebody else
    versions = []
    elsewhere.script = [
        lambda: versions.append(other.execute(version).fetchone()),
        lambda: versions.append(other.execute(version).fetchone()),
        lambda: study.tell(trial, 0.5),
        lambda: versions.append(other.execute(version).fetchone()),
        elsewhere.lease.end,
    ]
    watch_study(study, settings, events.append, elsewhere.pause, elsewhere.folder)
    other.close()
    assert versions[0] == versions[1] != versions[2]
