"""What is refused before anything runs, and what a study remembers of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.errors import SearchSpaceError, StudyChangedError, UsageError
from autotune.running.planning.plan import plan_search
from autotune.running.planning.ready import make_ready
from autotune.running.study.settings import StudySettings, read_settings, write_settings
from autotune.running.tracking.tracking import Tracking
from autotune.running.trial.preparing import Preparation, Rows
from autotune.study import Overrides

NOTHING_WRONG = Preparation(None, [], [], [])


def stored(bench: Any) -> optuna.Study:
    return optuna.load_study(study_name="toy", storage=bench.places.storage)


def begun(bench: Any, n_finished: int = 0) -> optuna.Study:
    """Have a run begin the study, and return it with so many finished trials."""
    plan_search(bench.preparer(), None)
    study = stored(bench)
    for _ in range(n_finished):
        study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0.0, 1.0)}), 0.5)
    return study


@contextmanager
def remembering(study: optuna.Study, **what: Any) -> Iterator[None]:
    settings = read_settings(study)
    assert settings is not None
    write_settings(study, dataclasses.replace(settings, **what))
    yield


def settings(bench: Any, n_trials: int | None = None, **given: Any) -> StudySettings:
    return make_ready(bench.preparer(**given), n_trials).settings


def test_a_new_study_remembers_what_it_declares_and_where_it_runs(bench: Any, tmp_path: Path) -> None:
    found = settings(bench)
    assert (found.n_trials, found.n_trials_given, found.seed, found.threads) == (4, False, 7, 3)
    assert (found.study_file, found.run_dir) == (str(bench.file), str(tmp_path / "runs"))
    assert (found.question, found.monitor, found.minimize) == ("Is x small?", None, [])
    assert (found.split, found.data, found.leaks) == (None, "", "")
    assert found.token
    assert found.part_of is None


def test_it_remembers_its_data(bench: Any) -> None:
    rows = Rows(Path("d"), Path("f"), "a digest")
    bench.launcher.prepared = dataclasses.replace(NOTHING_WRONG, rows=rows, description="90 rows", leaks="3 of them")
    found = settings(bench)
    assert (found.split, found.data, found.leaks) == ("a digest", "90 rows", "3 of them")


def test_a_total_that_was_given_stays_until_another_is(bench: Any) -> None:
    plan_search(bench.preparer(), 9)
    bench.declares(n_trials="5")
    assert (settings(bench).n_trials, settings(bench).n_trials_given) == (9, True)
    assert settings(bench, 11).n_trials == 11


def test_a_total_that_was_only_declared_is_that_of_the_file(bench: Any) -> None:
    begun(bench)
    bench.declares(n_trials="5")
    assert (settings(bench).n_trials, settings(bench).n_trials_given) == (5, False)


def test_what_a_study_has_begun_with_stays(bench: Any) -> None:
    begun(bench)
    before = read_settings(stored(bench))
    assert before is not None
    bench.declares("trial.suggest_float('x', 0.0, 2.0)")
    found = settings(bench, threads=8)
    assert (found.threads, found.token, found.study_digest) == (before.threads, before.token, before.study_digest)


def test_overrides_of_earlier_runs_hold_below_those_of_this_one(bench: Any) -> None:
    plan_search(bench.preparer(Overrides(name="other", seed=1)), None)
    bench.declares(name="'other'")
    found = settings(bench, overrides=Overrides(epochs=2))
    assert found.overrides == Overrides("other", 2, None, 1)
    assert found.seed == 1


def test_where_data_were_is_remembered_until_it_is_said_anew(bench: Any, tmp_path: Path) -> None:
    with remembering(begun(bench), data_dir=str(tmp_path / "data")):
        assert settings(bench).data_dir == str(tmp_path / "data")
        assert bench.launcher.tasks[-1].data_dir == tmp_path / "data"
    bench.places = dataclasses.replace(bench.places, data_dir=tmp_path / "new")
    assert settings(bench).data_dir == str(tmp_path / "new")


def test_where_else_it_is_kept_is_remembered_until_none(bench: Any, tmp_path: Path) -> None:
    given = {"artifacts": str(tmp_path / "store"), "mlflow": "http://host:5000"}
    plan_search(bench.preparer(tracking=Tracking(**given)), None)
    assert (settings(bench).artifacts, settings(bench).mlflow) == tuple(given.values())
    assert settings(bench, tracking=Tracking(artifacts="none")).artifacts is None


def test_a_place_that_only_the_storage_names_is_refused_until_it_is_said(bench: Any, tmp_path: Path) -> None:
    with remembering(begun(bench), artifacts=str(tmp_path / "somebody's")):
        with pytest.raises(UsageError, match="which was never given here"):
            make_ready(bench.preparer())
        make_ready(bench.preparer(tracking=Tracking(artifacts=str(tmp_path / "somebody's"))))
        make_ready(bench.preparer())


def test_event_files_of_a_plain_objective_are_refused(bench: Any) -> None:
    with pytest.raises(UsageError, match="plain objective"):
        make_ready(bench.preparer(tracking=Tracking(tensorboard="run-dir")))


def test_a_password_that_would_be_stored_is_refused(bench: Any) -> None:
    with pytest.raises(UsageError, match="password"):
        make_ready(bench.preparer(tracking=Tracking(mlflow="http://me:secret@host")))


@pytest.mark.parametrize(("part", "command"), [("toy.confirm", "finalize"), ("toy.learning-curve", "learning-curve")])
def test_a_part_of_another_study_is_no_search(bench: Any, part: str, command: str) -> None:
    optuna.create_study(study_name=part, storage=bench.places.storage)
    begun_part = optuna.load_study(study_name=part, storage=bench.places.storage)
    write_settings(begun_part, dataclasses.replace(settings(bench), part_of="toy"))
    with pytest.raises(UsageError, match=f"autotune {command} toy"):
        make_ready(bench.preparer(Overrides(name=part)))
    assert type(bench.launcher.tasks[-1]).__name__ == "Declare"  # its data were not touched


def test_a_configuration_that_is_none_is_refused(bench: Any) -> None:
    bench.launcher.prepared = dataclasses.replace(NOTHING_WRONG, given_problems=["baseline lacks 'x'"])
    with pytest.raises(SearchSpaceError, match="baseline lacks 'x'"):
        make_ready(bench.preparer())


def test_what_a_person_should_know_of_the_data_is_told(bench: Any) -> None:
    bench.launcher.prepared = dataclasses.replace(NOTHING_WRONG, notes=("3 rows are twice there",))
    make_ready(bench.preparer())
    assert bench.notes == ["3 rows are twice there"]


def test_another_direction_is_refused(bench: Any) -> None:
    begun(bench)
    bench.declares(direction="'maximize'")
    with pytest.raises(StudyChangedError, match="was 'minimize', is now 'maximize'"):
        make_ready(bench.preparer())


def test_another_space_is_refused_as_soon_as_there_are_results(bench: Any) -> None:
    study = begun(bench)
    bench.launcher.prepared = dataclasses.replace(NOTHING_WRONG, space_changes=["y is new"])
    make_ready(bench.preparer())
    study.tell(study.ask(), 0.5)
    with pytest.raises(StudyChangedError, match="y is new"):
        make_ready(bench.preparer())


def test_another_seed_is_refused_as_soon_as_there_are_results(bench: Any) -> None:
    begun(bench)
    make_ready(bench.preparer(Overrides(seed=8)))
    begun(bench, n_finished=1)
    with pytest.raises(StudyChangedError, match="the seed: was 7, is now 8"):
        make_ready(bench.preparer(Overrides(seed=8)))


def test_other_choices_are_refused_without_any_results(bench: Any) -> None:
    begun(bench)
    bench.launcher.prepared = dataclasses.replace(NOTHING_WRONG, choice_changes=["'c' is no longer a choice"])
    with pytest.raises(StudyChangedError, match="no longer a choice"):
        make_ready(bench.preparer())


def test_trials_that_have_run_are_replayed(bench: Any) -> None:
    begun(bench, n_finished=1)
    make_ready(bench.preparer())
    assert [past.params for past in bench.launcher.tasks[-1].past] == [stored(bench).trials[0].params]
