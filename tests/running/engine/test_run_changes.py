"""Going on with a study whose file has changed: refused in readable words, and nothing is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import filelock
import optuna
import pytest

import autotune
from autotune.errors import StudyChangedError, StudyFailedError, StudyFileError, UsageError
from autotune.results.summary.summary import study_status
from autotune.running.claims.claims import Claims
from autotune.running.claims.ownership import Owner
from autotune.running.planning.stored_study import with_total
from autotune.running.study.budget import Budget
from autotune.running.study.settings import StudySettings, read_settings, write_settings
from autotune.running.tracking.events import Event, TrialStarted

StudyFile = Callable[..., Path]

OBJECTIVE = """
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        k = trial.suggest_int("k", 1, 3)
        c = trial.suggest_categorical("c", ["a", "b"])
        return x * k
"""


def _load(run_dir: Path) -> optuna.Study:
    return optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")


@pytest.mark.parametrize(
    ("before", "now", "line"),
    [
        ('"x", 0, 1', '"x", 0, 2', "x: was a float from 0 to 1, is now a float from 0 to 2"),
        ('"k", 1, 3', '"k", 1, 3, log=True', "k: was an integer from 1 to 3, is now an integer from 1 to 3 (log)"),
        ('suggest_int("k"', 'suggest_float("k"', "k: was an integer from 1 to 3, is now a float from 1 to 3"),
        ('["a", "b"]', '["a", "b", "z"]', "c: was one of 'a', 'b', is now one of 'a', 'b', 'z'"),
    ],
)
def test_a_changed_search_space_is_refused_and_nothing_is_lost(
    study_file: StudyFile, run_dir: Path, before: str, now: str, line: str
) -> None:
    finished = autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=2).get_trials()
    for _ in range(2):  # a refusal does not make the change the new normal
        with pytest.raises(StudyChangedError) as caught:
            autotune.run(study_file(OBJECTIVE.replace(before, now)), run_dir=run_dir, workers=2, n_trials=6)
        assert caught.value.expected == line
        assert "--name" in caught.value.fix
    trials = _load(run_dir).get_trials()
    assert trials[:4] == finished
    assert {(t.state.name, t.user_attrs["failure"]) for t in trials[4:]} <= {("FAIL", "refused")}
    settings = read_settings(_load(run_dir))
    assert settings is not None
    assert settings.n_trials == 4, "the total of a refused run is not remembered"
    back = autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=2, n_trials=6)
    assert Counter(t.state.name for t in back.get_trials())["COMPLETE"] == 6


def test_who_asks_for_fewer_trials_than_a_run_at_work_is_told(study_file: StudyFile, run_dir: Path) -> None:
    study = autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1, n_trials=14)
    with contextlib.closing(Owner(run_dir / "toy" / "workers")) as owner:
        claims = Claims(study, study._storage, owner, Budget(16))
        trial = claims.next_trial()
        assert trial is not None
        with pytest.raises(UsageError, match="being run to 14 finished trials, and this command asks for 8"):
            autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1, n_trials=8)
        settings = read_settings(_load(run_dir))
        assert settings is not None
        assert settings.n_trials == 14
        trial.study.tell(trial, 1.0)
        claims.held.release(trial.number)


def test_a_study_never_has_more_finished_trials_than_it_is_to_have(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1, n_trials=6)
    again = autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1, n_trials=3)
    status = study_status(again)
    assert (status.complete, status.n_trials) == (6, 6)


def test_two_that_begin_a_study_at_the_same_time_agree_on_its_total(study_file: StudyFile, run_dir: Path) -> None:
    study = autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1, n_trials=2)
    stored = read_settings(study)
    assert stored is not None
    more, fewer = (dataclasses.replace(stored, n_trials=n) for n in (14, 8))
    assert with_total(study, run_dir / "toy", more, None, fewer).n_trials == 14
    with pytest.raises(UsageError, match="join the others"):
        with_total(study, run_dir / "toy", fewer, None, more)
    assert with_total(study, run_dir / "toy", fewer, more, more).n_trials == 8, "nobody runs it"


def test_of_two_that_begin_at_the_same_moment_one_is_first(
    study_file: StudyFile, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others_kept_out: list[bool] = []

    def write(study: optuna.Study, settings: StudySettings) -> None:
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(run_dir / "toy" / "settings.lock").acquire(blocking=False)
        others_kept_out.append(True)
        write_settings(study, settings)

    monkeypatch.setattr("autotune.running.planning.stored_study.write_settings", write)
    autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1, n_trials=1)
    assert others_kept_out


def test_a_total_that_another_machine_has_lowered_at_the_same_moment_is_true_in_the_end(
    study_file: StudyFile, run_dir: Path
) -> None:
    def lower(event: Event) -> None:
        if isinstance(event, TrialStarted):
            settings = read_settings(_load(run_dir))
            assert settings is not None
            write_settings(_load(run_dir), dataclasses.replace(settings, n_trials=1))

    study = autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1, n_trials=2, observer=lower)
    assert study_status(study).n_trials == 2


@pytest.mark.parametrize(
    ("options", "changed", "line"),
    [
        ("'seed': 0", "'seed': 1", "the seed: was 0, is now 1"),
        ("'direction': 'minimize'", "'direction': 'maximize'", "direction: was 'minimize', is now 'maximize'"),
    ],
)
def test_a_changed_declaration_is_refused_before_any_trial(
    study_file: StudyFile, run_dir: Path, options: str, changed: str, line: str
) -> None:
    before = autotune.run(study_file(OBJECTIVE, options), run_dir=run_dir, workers=2).get_trials()
    with pytest.raises(StudyChangedError) as caught:
        autotune.run(study_file(OBJECTIVE, changed), run_dir=run_dir, workers=2, n_trials=6)
    assert caught.value.expected == line
    assert _load(run_dir).get_trials() == before


def test_an_objective_may_vary_a_range_from_trial_to_trial(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            return trial.suggest_float("x", 0, 1 + trial.number)
    """
    autotune.run(study_file(code), run_dir=run_dir, workers=1, n_trials=1)
    study = autotune.run(study_file(code), run_dir=run_dir, workers=1, n_trials=3)
    assert [t.distributions["x"].high for t in study.get_trials()] == [1, 2, 3]


def test_a_changed_seed_as_an_option_is_refused_and_the_first_is_remembered(
    study_file: StudyFile, run_dir: Path
) -> None:
    file = study_file(OBJECTIVE)
    autotune.run(file, run_dir=run_dir, workers=2, seed=7)
    with pytest.raises(StudyChangedError, match="the seed: was 7, is now 8"):
        autotune.run(file, run_dir=run_dir, workers=2, seed=8, n_trials=5)
    assert len(autotune.run(file, run_dir=run_dir, workers=2, n_trials=5).get_trials()) == 5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"return x * k": "return 2 * x * k"},  # one's own business, as with Optuna
        {"x = trial.": "# a comment\n        x = trial."},
    ],
)
def test_a_study_file_with_the_same_search_space_goes_on(
    study_file: StudyFile, run_dir: Path, changes: dict[str, str]
) -> None:
    autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=2)
    code = OBJECTIVE
    for before, now in changes.items():
        assert before in code
        code = code.replace(before, now)
    study = autotune.run(study_file(code, file="moved.py"), run_dir=run_dir, workers=2, n_trials=6)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 6


def test_a_conditional_search_space_goes_on(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            top = trial.number + 1
            a = trial.suggest_int("a", 0, top)  # a range that is another one in every trial
            if trial.number % 2:
                return trial.suggest_float("odd", 0, 1)
            return a + trial.suggest_float("even", 0, top)
    """
    file = study_file(code)
    autotune.run(file, run_dir=run_dir, workers=2)
    study = autotune.run(file, run_dir=run_dir, workers=2, n_trials=8)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 8


def test_a_range_that_is_none_any_more_fails_its_trials(study_file: StudyFile, run_dir: Path) -> None:
    autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1)
    broken = study_file(OBJECTIVE.replace('"x", 0, 1', '"x", 1, 0'), "'max_failures_in_a_row': 1")
    with pytest.raises(autotune.StudyFailedError, match="low <= high"):
        autotune.run(broken, run_dir=run_dir, workers=1, n_trials=5)
    assert [t.state.name for t in _load(run_dir).get_trials()] == ["COMPLETE"] * 4 + ["FAIL"]


def test_a_study_of_optuna_alone_is_gone_on_with(study_file: StudyFile, run_dir: Path) -> None:
    run_dir.mkdir()
    url = f"sqlite:///{run_dir}/autotune.db"

    def objective(trial: Any) -> float:
        return trial.suggest_float("x", 0, 1) * trial.suggest_int("k", 1, 3)

    optuna.create_study(study_name="toy", storage=url).optimize(objective, n_trials=2)
    study = autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=2)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 4


@pytest.mark.parametrize(
    ("before", "now", "line"),
    [
        ("x = trial", 'trial.suggest_int("w", 1, 5)\n        x = trial', "w: is new, an integer from 1 to 5"),
        ('k = trial.suggest_int("k", 1, 3)', "k = 2", "k: was an integer from 1 to 3, is no longer there"),
    ],
)
def test_a_parameter_that_is_new_or_gone_is_refused(
    study_file: StudyFile, run_dir: Path, before: str, now: str, line: str
) -> None:
    finished = autotune.run(study_file(OBJECTIVE), run_dir=run_dir, workers=1).get_trials()
    with pytest.raises(StudyChangedError) as caught:
        autotune.run(study_file(OBJECTIVE.replace(before, now)), run_dir=run_dir, workers=1, n_trials=6)
    assert caught.value.expected == line
    trials = _load(run_dir).get_trials()
    assert trials[:4] == finished
    assert {t.state.name for t in trials[4:]} <= {"FAIL"}


def test_a_study_goes_on_where_its_run_dir_was_moved_to(study_file: StudyFile, tmp_path: Path) -> None:
    autotune.run(study_file(OBJECTIVE), run_dir=tmp_path / "before", workers=1)
    (tmp_path / "before").rename(tmp_path / "after")
    command = [sys.executable, "-m", "autotune", "resume", "toy", "--trials", "5", "--run-dir", tmp_path / "after"]
    subprocess.run(command, check=True, capture_output=True)
    assert len(_load(tmp_path / "after").get_trials()) == 5
    assert not (tmp_path / "before").exists()


def test_search_classes_may_live_beside_the_study_file(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_pruner.py").write_text("import optuna\n\n\nclass Mine(optuna.pruners.NopPruner):\n    pass\n")
    file = study_file("from my_pruner import Mine\n" + dedent(OBJECTIVE), "'pruner': Mine()")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert type(autotune.run(file, run_dir=run_dir, workers=1).pruner).__name__ == "Mine"


def test_a_script_that_runs_itself_without_a_guard_is_told(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file(OBJECTIVE)
    file.write_text(file.read_text() + "\nimport autotune\n\nautotune.run(__file__)\n")
    with pytest.raises(StudyFileError, match=r"starts a run while it is loaded[\s\S]*__main__"):
        autotune.run(file, run_dir=run_dir)


def test_a_trial_that_is_ended_by_hand_does_not_end_the_run(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            if trial.number == 1:
                study = optuna.load_study(study_name="toy", storage=f"sqlite:///{HERE}/runs/autotune.db")
                study.tell(1, state=optuna.trial.TrialState.FAIL)
            trial.report(1.0, 1)
            return 1.0
    """
    study = autotune.run(study_file(code), run_dir=run_dir, workers=1)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]


@pytest.mark.trains
def test_an_objective_that_trains_keras_gives_the_same_numbers_again(study_file: StudyFile, tmp_path: Path) -> None:
    code = """
        import keras
        import numpy as np

        def objective(trial):
            x, y = np.random.default_rng(0).normal(size=(200, 8)), np.arange(200) % 2
            model = keras.Sequential([keras.layers.Dense(16), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
            model.compile(keras.optimizers.SGD(trial.suggest_float("rate", 1e-3, 1e-2)), "mean_squared_error")
            return model.fit(x, y, epochs=2, verbose=0).history["loss"][-1]
    """
    file = study_file(code, "'n_trials': 2")
    one, other = (autotune.run(file, run_dir=tmp_path / name, workers=1).get_trials() for name in ("one", "other"))
    assert [t.value for t in one] == [t.value for t in other]


@pytest.mark.trains
def test_choices_that_were_edited_before_any_trial_finished_are_refused_in_words(tmp_path: Path, run_dir: Path) -> None:
    text = """
from autotune import StudySpec


def build(trial, data):
    trial.suggest_categorical("filters", [16, 32])
    raise RuntimeError("not yet")


study = StudySpec(name="toy", dataset="digits", build=build, monitor="val_loss", direction="minimize", n_trials=1)
"""
    file = tmp_path / "study.py"
    file.write_text(text)
    with pytest.raises(StudyFailedError, match="not yet"):
        autotune.run(file, run_dir=run_dir, workers=2)
    file.write_text(text.replace("[16, 32]", "[16, 32, 64]").replace('    raise RuntimeError("not yet")\n', ""))
    with pytest.raises(StudyChangedError) as caught:
        autotune.run(file, run_dir=run_dir, workers=1)
    assert caught.value.expected == "filters: was one of 16, 32, is now one of 16, 32, 64"
