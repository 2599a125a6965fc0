"""Studies whose choices are more than words and numbers: they go on unchanged, or are refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

import autotune
from autotune.errors import SearchSpaceError
from autotune.results.export.replaying import replay
from autotune.results.report.writing import write_report
from autotune.running.planning.stored_study import forget_unbegun

StudyFile = Callable[..., Path]

TUPLES = """
    OTHERS = {(2, 2): 0.25, (4, 4): 0.5}

    def objective(trial):
        size = trial.suggest_categorical("size", [(2, 2), (4, 4)])
        other = trial.suggest_categorical("other", [{"a": 1}, None])
        assert isinstance(size, tuple) and trial.params["size"] is size
        trial.report(OTHERS[size], 1)
        return OTHERS[size] + (other is None)
"""


def test_an_unchanged_file_with_tuples_goes_on_is_exhausted_and_trained_again(
    study_file: StudyFile, run_dir: Path
) -> None:
    options = "'enqueue': [{'size': (4, 4), 'other': None}]"
    autotune.run(study_file(TUPLES, options), run_dir=run_dir, workers=1, n_trials=2)
    file = study_file(TUPLES.replace("OTHERS", "VALUES"), options)  # edited since, and not in its space
    study = autotune.run(file, run_dir=run_dir, workers=1, n_trials=9)
    trials = study.get_trials()
    assert [t.state.name for t in trials] == ["COMPLETE"] * 4
    assert study.user_attrs["why_over"].startswith("every configuration")
    assert trials[0].params == {"size": [4, 4], "other": None}
    assert study.best_value == 0.25
    assert study.best_params == {"size": [2, 2], "other": {"a": 1}}
    assert all(replay("toy", number, run_dir=run_dir).is_same for number in (0, 1))
    page = write_report("toy", run_dir=run_dir).read_text("utf-8")
    assert "[2, 2]" in page


def test_choices_that_cannot_be_kept_end_a_run_at_once_and_leave_no_study(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        import enum

        class Colour(enum.Enum):
            RED = 1
            BLUE = 2

        def objective(trial):
            return trial.suggest_categorical("colour", {choices}).value
    """
    with pytest.raises(SearchSpaceError, match=r"a choice of 'colour' cannot be stored: Colour\.RED is a member"):
        autotune.run(study_file(code.format(choices="list(Colour)")), run_dir=run_dir, workers=2)
    assert optuna.get_all_study_names(f"sqlite:///{run_dir}/autotune.db") == []
    mended = code.format(choices='["RED", "BLUE"]').replace("return ", "return Colour[").replace(").value", ")].value")
    study = autotune.run(study_file(mended), run_dir=run_dir, workers=1)
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"] * 2


def test_a_study_with_results_keeps_them_when_its_choices_are_refused(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            return trial.suggest_categorical("c", {choices}) * trial.suggest_float("x", 0, 1)
    """
    before = autotune.run(study_file(code.format(choices="[1, 2]")), run_dir=run_dir, workers=1).get_trials()
    with pytest.raises(SearchSpaceError, match="1 and True are both choices of 'c'"):
        autotune.run(study_file(code.format(choices="[1, True]")), run_dir=run_dir, workers=1, n_trials=5)
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    assert study.get_trials()[:4] == before


WAITING, RUNNING, FAILED = TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL


@pytest.mark.parametrize(
    ("states", "reports", "is_there"),
    [
        ([], {}, False),
        ([WAITING, FAILED], {}, False),
        ([WAITING, RUNNING], {}, True),  # by somebody else
        ([TrialState.PRUNED], {}, True),
        ([WAITING], {1: 0.5}, True),
    ],
)
def test_a_refused_study_is_forgotten_if_nothing_was_trained(
    states: list[TrialState], reports: dict[int, float], is_there: bool
) -> None:
    study = optuna.create_study(study_name="toy")
    for state in states:
        study.add_trial(create_trial(state=state, intermediate_values=reports))
    forget_unbegun(study)
    assert optuna.get_all_study_names(study._storage) == (["toy"] if is_there else [])
