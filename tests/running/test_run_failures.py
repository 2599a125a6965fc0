"""Trials that fail: each says why, the study goes on, and it stops when there is no sense in going on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

import autotune
from autotune.errors import StudyFailedError

StudyFile = Callable[..., Path]


def _load(run_dir: Path) -> optuna.Study:
    return optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")


def _states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


@pytest.mark.parametrize(
    ("end", "reason", "words"),
    [
        ("raise KeyError('a mistake')", "error", "KeyError: 'a mistake'"),
        ("trial.suggest_float('bad', 1, 0)", "error", "ValueError"),
        ("trial.study", "error", "trial.study is not available"),
        ("trial.set_user_attr('own', Own())", "error", "what cannot be read elsewhere"),
        ("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
        ("return None", "error", "the objective returned None; it is to return a number"),
        ("return 'much'", "error", "the objective returned 'much'"),
        ("return [1.0]", "error", "the objective returned [1.0]"),
        ("sys.exit(7)", "error", "SystemExit: 7"),
        ("os._exit(1)", "error", "with exit code 1"),
        ("os._exit(0)", "error", "with exit code 0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "error", "by signal 9"),
        ("os.abort()", "error", "by signal 6"),
        ("return float('nan')", "nan", "The objective returned nan"),
        ("return float('inf')", "nan", "The objective returned inf"),
    ],
)
def test_a_failed_trial_says_why_and_the_study_goes_on(
    study_file: StudyFile, run_dir: Path, end: str, reason: str, words: str
) -> None:
    code = f"""
        class Own:
            pass

        def objective(trial):
            if trial.number == 1:
                {end}
            return 1.0
    """
    study = autotune.run(study_file(code, "'n_trials': 3"), run_dir=run_dir, workers=1)
    assert _states(study) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    failed = study.get_trials()[1]
    assert failed.user_attrs["failure"] == reason
    assert words in failed.user_attrs["failure_message"]


def test_the_traceback_is_in_the_storage_and_in_the_log(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def divide(number):
            return 1 / (number - 1)

        def objective(trial):
            print("before")
            return divide(trial.number)
    """
    file = study_file(code, "'n_trials': 2")
    study = autotune.run(file, run_dir=run_dir, workers=1)
    log = (run_dir / "toy" / "trials" / "00001" / "log.txt").read_text()
    assert "\nbefore\nTraceback" in log
    for text in (log, study.get_trials()[1].user_attrs["failure_message"]):
        assert str(file) in text
        assert "in divide" in text
        assert text.rstrip().endswith("ZeroDivisionError: division by zero")


def test_a_long_traceback_keeps_its_end(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            if trial.number == 0:
                raise ValueError("x" * 5000 + " the end")
            return 1.0
    """
    study = autotune.run(study_file(code, "'n_trials': 1"), run_dir=run_dir, workers=1)
    message = study.get_trials()[0].user_attrs["failure_message"]
    assert len(message) <= 2000
    assert message.rstrip().endswith("the end")


def test_failed_trials_do_not_count(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            if trial.number % 2:
                raise ValueError
            return 1.0
    """
    study = autotune.run(study_file(code, "'n_trials': 8"), run_dir=run_dir, workers=4)
    assert _states(study).count("COMPLETE") == 8
    assert {t.state.name for t in study.get_trials() if t.number % 2} == {"FAIL"}


@pytest.mark.parametrize("workers", [1, 4])
def test_five_failures_in_a_row_end_the_study_with_the_last_reason(
    study_file: StudyFile, run_dir: Path, workers: int
) -> None:
    code = """
        def objective(trial):
            raise ValueError("always wrong")
    """
    with pytest.raises(StudyFailedError) as caught:
        autotune.run(study_file(code), run_dir=run_dir, workers=workers)
    assert "5 trials in a row have failed" in caught.value.happened
    assert "ValueError: always wrong" in caught.value.happened
    log = Path(caught.value.expected.split()[-1])
    assert "always wrong" in log.read_text()
    states = _states(_load(run_dir))
    assert states.count("FAIL") >= 5
    assert not {"RUNNING", "COMPLETE"} & set(states)


def test_a_success_between_failures_lets_the_study_go_on(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            if trial.number % 5 != 4:
                raise ValueError
            return 1.0
    """
    study = autotune.run(study_file(code, "'n_trials': 2"), run_dir=run_dir, workers=1)
    assert _states(study) == (["FAIL"] * 4 + ["COMPLETE"]) * 2


def test_a_pruned_trial_is_a_success(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            if trial.number % 2:
                raise optuna.TrialPruned
            raise ValueError
    """
    options = "'n_trials': 4, 'max_failures_in_a_row': 2"
    study = autotune.run(study_file(code, options), run_dir=run_dir, workers=1)
    assert _states(study) == ["FAIL", "PRUNED"] * 4


def test_the_study_file_says_how_many_failures_are_too_many(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            return float("nan")
    """
    with pytest.raises(StudyFailedError, match=r"2 trials in a row .* 'nan'"):
        autotune.run(study_file(code, "'max_failures_in_a_row': 2"), run_dir=run_dir, workers=1)
    assert _states(_load(run_dir)) == ["FAIL"] * 2


def test_a_corrected_study_file_goes_on_where_the_failures_were(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            x = trial.suggest_float("x", {low}, 1)
            if x < 0:
                raise ValueError("x must not be negative")
            return x
    """
    with pytest.raises(StudyFailedError, match="x must not be negative"):
        autotune.run(study_file(code.format(low=-1e9)), run_dir=run_dir, workers=1)
    study = autotune.run(study_file(code.format(low=0)), run_dir=run_dir, workers=1)
    assert _states(study) == ["FAIL"] * 5 + ["COMPLETE"] * 4


def test_a_study_file_that_breaks_between_two_trials_ends_the_run(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            if trial.number == 1:
                Path(__file__).write_text("study = None")
            return 1.0
    """
    file = study_file(code)
    text = file.read_text()
    with pytest.raises(autotune.UsageError, match="declares no study"):
        autotune.run(file, run_dir=run_dir, workers=1)
    assert _states(_load(run_dir)) == ["COMPLETE", "COMPLETE", "WAITING"]
    file.write_text(text.replace("number == 1", "number < 0"))
    assert _states(autotune.run(file, run_dir=run_dir, workers=1)) == ["COMPLETE"] * 4
