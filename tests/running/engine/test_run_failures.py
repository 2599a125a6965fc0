"""Trials that fail: each says why, the study goes on, and it stops when there is no sense in going on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

import autotune
from autotune.errors import StudyFailedError
from autotune.running.processes.memory import kernel_kills
from autotune.running.tracking.events import Event, Note, TrialEnded
from autotune.running.tracking.trial_summaries import last_words

StudyFile = Callable[..., Path]


def _load(run_dir: Path) -> optuna.Study:
    return optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")


def _states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


def test_why_trials_fail_is_told_in_a_line_with_its_place(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            raise ValueError("Exception encountered when calling L\\n\\nno such axis\\n\\nArguments received by L")
    """
    file = study_file(code, "'max_failures_in_a_row': 1")
    place = 1 + file.read_text().splitlines().index(next(ln for ln in file.read_text().splitlines() if "raise" in ln))
    why = f"ValueError: no such axis (study.py:{place})"
    events: list[Event] = []
    with pytest.raises(StudyFailedError) as caught:
        autotune.run(file, run_dir=run_dir, workers=1, observer=events.append)
    assert caught.value.happened.endswith(f"with the reason 'error': {why}")
    (ended,) = (event for event in events if isinstance(event, TrialEnded))
    assert ended.why == why
    (trial,) = _load(run_dir).get_trials()
    assert last_words(trial) == why
    assert "Arguments received by L" in (run_dir / "toy" / "trials" / "00000" / "log.txt").read_text()


def test_a_trial_is_not_lost_for_a_remark_that_cannot_be_kept(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        import numpy as np

        class Own:
            pass

        def objective(trial):
            trial.report(np.array(0.5), np.int64(1))
            trial.set_user_attr("seconds", np.float32(1))
            trial.set_user_attr("own", Own())
            return np.array([0.25])
    """
    events: list[Event] = []
    study = autotune.run(study_file(code), run_dir=run_dir, workers=1, n_trials=2, observer=events.append)
    trial, _ = study.get_trials()
    assert (trial.value, trial.intermediate_values, trial.user_attrs["seconds"]) == (0.25, {1: 0.5}, 1.0)
    assert "own" not in trial.user_attrs
    (note,) = (event for event in events if isinstance(event, Note))
    assert (note.number, note.text.partition(":")[0]) == (0, "the user attribute 'own' is not stored")
    assert note.text in (run_dir / "toy" / "trials" / "00000" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("end", "reason", "words"),
    [
        ("raise KeyError('a mistake')", "error", "KeyError: 'a mistake'"),
        ("trial.suggest_float('bad', 1, 0)", "error", "ValueError"),
        ("trial.study", "error", "A trial process cannot use trial.study"),
        ("trial.suggest_float('own', Own(), 1)", "error", "cannot read what the trial sent"),
        ("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
        ("return None", "error", "the objective returned None; it must return a number"),
        ("return 'much'", "error", "the objective returned 'much'"),
        ("return [1.0, 2.0]", "error", "the objective returned [1.0, 2.0]"),
        ("sys.exit(7)", "error", "SystemExit: 7"),
        ("os._exit(1)", "error", "with exit code 1"),
        ("os._exit(0)", "error", "with exit code 0"),
        ("os.abort()", "error", "by signal 6"),
        ("os.write(2, b\"instance of 'std::bad_alloc'\"); os.abort()", "oom", "Memory had run out"),
        ("raise MemoryError", "oom", "MemoryError"),
        ("bytearray(1 << 60)", "oom", "MemoryError"),
        ("np.zeros((1 << 50,))", "oom", "Unable to allocate"),
        ("out_of_memory()", "oom", "OOM when allocating tensor"),
        ("hang()", "timeout", "after 1 seconds"),
        ("return float('nan')", "nan", "The objective returned nan"),
        ("return float('inf')", "nan", "The objective returned inf"),
    ],
)
def test_a_failed_trial_says_why_and_the_study_goes_on(
    study_file: StudyFile, run_dir: Path, end: str, reason: str, words: str
) -> None:
    code = f"""
        import ctypes
        import numpy as np

        class Own:
            pass

        class ResourceExhaustedError(Exception):
            pass

        def out_of_memory():
            try:
                raise ResourceExhaustedError("OOM when allocating tensor")
            except ResourceExhaustedError as error:
                raise RuntimeError("training failed") from error

        def hang():
            ctypes.PyDLL(None).pause()  # in native code, with the interpreter's lock held

        def objective(trial):
            if trial.number == 1:
                {end}
            return 1.0
    """
    options = "'n_trials': 3, 'trial_timeout_s': 1" if reason == "timeout" else "'n_trials': 3"
    study = autotune.run(study_file(code, options), run_dir=run_dir, workers=1)
    assert _states(study) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    failed = study.get_trials()[1]
    assert failed.user_attrs["failure"] == reason
    assert words in failed.user_attrs["failure_message"]
    assert words in failed.user_attrs["failure_summary"]  # in a line of its own
    assert "\n" not in failed.user_attrs["failure_summary"]
    assert set(failed.constraints) == ({reason} & {"oom", "timeout"})


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.killpg(0, signal.SIGKILL)",  # its process group, in which nobody else is
        "os.kill(0, signal.SIGTERM)",
    ],
)
def test_a_trial_whose_process_is_killed_again_and_again_is_lost(
    study_file: StudyFile, run_dir: Path, end: str
) -> None:
    code = f"""
        def objective(trial):
            if trial.number == 1:
                with open(HERE / "killed", "a") as file:
                    file.write("x")
                {end}
            return 1.0
    """
    study = autotune.run(study_file(code, "'n_trials': 3, 'max_retries': 1"), run_dir=run_dir, workers=1)
    assert _states(study) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert study.get_trials()[1].user_attrs["failure"] == "lost"
    assert (run_dir.parent / "killed").read_text() == "xx"


def test_a_trial_that_outgrows_its_memory_limit_fails_with_that_reason(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        import resource

        def objective(trial):
            if trial.number == 1:
                resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
                return len(bytearray(8 << 30))
            return 1.0
    """
    study = autotune.run(study_file(code, "'n_trials': 2"), run_dir=run_dir, workers=1)
    assert [t.user_attrs.get("failure") for t in study.get_trials()] == [None, "oom", None]


def test_a_trial_that_the_kernel_kills_for_its_memory_fails_with_that_reason(
    study_file: StudyFile, run_dir: Path, small_cgroup: Path
) -> None:
    code = f"""
        def objective(trial):
            if trial.number == 1:
                Path({str(small_cgroup / "cgroup.procs")!r}).write_text(str(os.getpid()))
                return len(bytearray(os.urandom(1 << 20) * 512))
            return 1.0
    """
    study = autotune.run(study_file(code, "'n_trials': 2"), run_dir=run_dir, workers=1)
    assert [t.user_attrs.get("failure") for t in study.get_trials()] == [None, "oom", None]


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """Give a cgroup whose processes may use 256 MiB together."""
    if kernel_kills() is None:
        pytest.skip("this kernel does not count whom it kills for lack of memory")
    is_old = Path("/sys/fs/cgroup/memory").is_dir()
    group = Path("/sys/fs/cgroup/memory" if is_old else "/sys/fs/cgroup") / f"autotune-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        try:
            (group / ("memory.limit_in_bytes" if is_old else "memory.max")).write_text(str(256 << 20))
        except OSError as error:
            pytest.skip(f"the cgroup's memory cannot be limited: {error}")
        yield group
    finally:
        group.rmdir()


def test_failed_trials_count_if_the_study_says_so(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            if trial.number % 2:
                raise ValueError
            return 1.0
    """
    study = autotune.run(study_file(code, "'n_trials': 6, 'count_failed': True"), run_dir=run_dir, workers=2)
    assert sorted(_states(study)) == ["COMPLETE"] * 3 + ["FAIL"] * 3


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


@pytest.mark.parametrize("reason", ["oom", "nan", "timeout"])
def test_configurations_that_cannot_work_end_nothing_while_others_work(
    study_file: StudyFile, run_dir: Path, reason: str
) -> None:
    ends = {"oom": "raise MemoryError", "nan": "return float('nan')", "timeout": "signal.pause()"}
    code = f"""
        def objective(trial):
            if trial.number in (1, 2, 3, 5):
                {ends[reason]}
            if trial.number == 4:
                raise ValueError
            return 1.0
    """
    options = "'n_trials': 2, 'max_failures_in_a_row': 2, 'trial_timeout_s': 0.3"
    study = autotune.run(study_file(code, options), run_dir=run_dir, workers=1)
    reasons = [t.user_attrs.get("failure") for t in study.get_trials()]
    assert reasons == [None, reason, reason, reason, "error", reason, None]


@pytest.mark.parametrize(
    ("end", "n_worked", "n_failed"),
    [
        ("raise MemoryError", 0, 2),  # nothing has ever worked
        ("raise MemoryError", 1, 20),  # nothing works any more
        ("raise MemoryError if trial.number % 2 else ValueError", 1, 4),  # of which two lie in no configuration
    ],
)
def test_failures_without_end_end_the_study_whatever_their_reason(
    study_file: StudyFile, run_dir: Path, end: str, n_worked: int, n_failed: int
) -> None:
    code = f"""
        def objective(trial):
            if trial.number >= {n_worked}:
                {end}
            return 1.0
    """
    with pytest.raises(StudyFailedError, match="trials in a row have failed"):
        autotune.run(study_file(code, "'max_failures_in_a_row': 2"), run_dir=run_dir, workers=1)
    assert _states(_load(run_dir)) == ["COMPLETE"] * n_worked + ["FAIL"] * n_failed


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


def test_trials_that_are_killed_whatever_they_try_end_the_study(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            trial.suggest_categorical("x", ["a", "b", "c"])
            os.kill(os.getpid(), signal.SIGKILL)
    """
    with pytest.raises(StudyFailedError, match=r"3 trials in a row have failed.*'lost'"):
        autotune.run(study_file(code, '"max_failures_in_a_row": 3, "max_retries": 1'), run_dir=run_dir, workers=1)


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
