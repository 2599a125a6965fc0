"""Running a study: exactly the trials that were asked for, whoever runs it and how often."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import optuna
import pytest

import autotune
from autotune.errors import StudyFileError, UsageError
from autotune.running.tracking.events import (
    Event,
    FoldFinished,
    Note,
    RunStarted,
    StepReported,
    TrialEnded,
    TrialStarted,
)

StudyFile = Callable[..., Path]

QUADRATIC = """
    def objective(trial):
        x = trial.suggest_float("x", -1, 1)
        for step in (1, 2, 3):
            trial.report(x ** 2 + 1 / step, step)
        return x ** 2
"""
ALL_PRUNED = """
    def objective(trial):
        trial.report(trial.suggest_float("x", 0, 1), 1)
        raise optuna.TrialPruned
"""


def _states(study: optuna.Study) -> Counter[str]:
    return Counter(trial.state.name for trial in study.get_trials())


def test_a_study_gets_exactly_the_trials_it_declares(study_file: StudyFile, run_dir: Path) -> None:
    study = autotune.run(study_file(QUADRATIC, "'n_trials': 11"), run_dir=run_dir, workers=4)
    assert _states(study) == {"COMPLETE": 11}
    assert study.study_name == "toy"
    for trial in study.get_trials():
        x = trial.params["x"]
        assert trial.value == x**2
        assert trial.intermediate_values == {step: x**2 + 1 / step for step in (1, 2, 3)}


def test_a_study_that_has_its_trials_does_nothing_more(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file(QUADRATIC)
    before = autotune.run(file, run_dir=run_dir, workers=2).get_trials()
    assert autotune.run(file, run_dir=run_dir, workers=2).get_trials() == before


def test_a_larger_total_goes_on_and_is_remembered(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file(QUADRATIC, "'n_trials': 2")
    before = autotune.run(file, run_dir=run_dir, workers=2).get_trials()
    longer = autotune.run(file, run_dir=run_dir, workers=2, n_trials=5)
    assert _states(longer) == {"COMPLETE": 5}
    assert longer.get_trials()[:2] == before
    assert _states(autotune.run(file, run_dir=run_dir, workers=2)) == {"COMPLETE": 5}


def test_a_smaller_total_takes_nothing_away(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file(QUADRATIC)
    autotune.run(file, run_dir=run_dir, workers=2)
    assert _states(autotune.run(file, run_dir=run_dir, workers=2, n_trials=1)) == {"COMPLETE": 4}


def test_the_total_is_exact_when_every_trial_is_pruned(study_file: StudyFile, run_dir: Path) -> None:
    study = autotune.run(study_file(ALL_PRUNED), run_dir=run_dir, workers=4)
    assert _states(study) == {"PRUNED": 4}
    assert all(trial.value == trial.params["x"] for trial in study.get_trials())  # the last report


def test_waiting_trials_of_the_user_come_first(study_file: StudyFile, run_dir: Path) -> None:
    run_dir.mkdir()
    study = optuna.create_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    study.enqueue_trial({"x": 0.5})
    done = autotune.run(study_file(QUADRATIC), run_dir=run_dir, workers=2)
    assert _states(done) == {"COMPLETE": 4}
    assert done.get_trials()[0].value == 0.25


def test_a_study_made_in_python_travels_with_all_it_holds_on_to(run_dir: Path) -> None:
    centre = 0.25

    def distance(x: float) -> float:
        return abs(x - centre)

    spec = autotune.StudySpec(
        name="closure",
        objective=lambda trial: distance(trial.suggest_float("x", 0, 1)),
        direction="minimize",
        n_trials=3,
        sampler=lambda seed: optuna.samplers.RandomSampler(seed=seed),
    )
    study = autotune.run(spec, run_dir=run_dir, workers=2)
    assert [t.value for t in study.get_trials()] == [abs(t.params["x"] - 0.25) for t in study.get_trials()]
    assert len(autotune.run(spec, run_dir=run_dir, n_trials=4).get_trials()) == 4


def test_a_study_that_cannot_travel_is_refused(run_dir: Path) -> None:
    lock = threading.Lock()
    spec = autotune.StudySpec(name="locked", direction="minimize", objective=lambda trial: float(lock.locked()))
    with pytest.raises(StudyFileError, match="'locked' cannot be sent"):
        autotune.run(spec, run_dir=run_dir)


def test_an_objective_imports_its_neighbours(study_file: StudyFile, tmp_path: Path, run_dir: Path) -> None:
    (tmp_path / "neighbour.py").write_text("VALUE = 42.0")
    code = """
        from neighbour import VALUE

        def objective(trial):
            return VALUE
    """
    study = autotune.run(study_file(code), run_dir=run_dir, workers=2)
    assert [t.value for t in study.get_trials()] == [42.0] * 4


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_trial_is_best_in_the_studys_direction(study_file: StudyFile, run_dir: Path, direction: str) -> None:
    study = autotune.run(study_file(QUADRATIC, f"'direction': {direction!r}"), run_dir=run_dir, workers=2)
    values = [t.value for t in study.get_trials() if t.value is not None]
    assert study.best_value == (min if direction == "minimize" else max)(values)


def test_each_trial_has_a_process_of_its_own_and_a_log(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            print(f"trial {trial.number} printed this")
            os.system("echo a child printed this")
            trial.set_user_attr("pid", os.getpid())
            return 0.0
    """
    study = autotune.run(study_file(code), run_dir=run_dir, workers=2)
    assert len({t.user_attrs["pid"] for t in study.get_trials()}) == 4
    for number in range(4):
        log = (run_dir / "toy" / "trials" / f"{number:05d}" / "log.txt").read_text()
        slot, *printed = log.splitlines()
        assert re.fullmatch(r"slot [01]: .+; \d+ threads?", slot)
        assert printed == [f"trial {number} printed this", "a child printed this"]


def test_samplers_and_pruners_may_be_defined_in_the_study_file(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        STEP = 0.125

        class Counting(optuna.samplers.RandomSampler):
            def sample_independent(self, study, trial, name, distribution):
                return trial.number * STEP

        class PruneOdd(optuna.pruners.BasePruner):
            def prune(self, study, trial):
                return trial.number % 2 == 1

        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            trial.report(x, 1)
            if trial.should_prune():
                raise optuna.TrialPruned
            return x
    """
    options = "'sampler': lambda seed: Counting(seed), 'pruner': PruneOdd()"
    study = autotune.run(study_file(code, options), run_dir=run_dir, workers=2)
    assert [t.params["x"] for t in study.get_trials()] == [0.0, 0.125, 0.25, 0.375]
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE", "PRUNED"] * 2


def test_one_seed_gives_one_search_and_another_seed_another(study_file: StudyFile, tmp_path: Path) -> None:
    code = """
        import random

        def objective(trial):
            trial.set_user_attr("chance", random.random())
            return trial.suggest_float("x", 0, 1)
    """
    file = study_file(code, "'n_trials': 3")

    def search(run_dir: str, seed: int) -> list[object]:
        study = autotune.run(file, run_dir=tmp_path / run_dir, workers=1, seed=seed)
        return [(t.params, t.user_attrs) for t in study.get_trials()]

    one, same, other = search("one", 1), search("same", 1), search("other", 2)
    assert one == same
    assert not any(trial in other for trial in one)


def test_another_name_is_another_study(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file(QUADRATIC, "'n_trials': 2")
    before = autotune.run(file, run_dir=run_dir, workers=2).get_trials()
    other = autotune.run(file, run_dir=run_dir, workers=2, name="other", seed=9, n_trials=1)
    assert other.study_name == "other"
    assert _states(other) == {"COMPLETE": 1}
    assert (run_dir / "other" / "trials").is_dir()
    assert autotune.run(file, run_dir=run_dir, workers=2).get_trials() == before


def test_another_storage_may_be_given(study_file: StudyFile, run_dir: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.db"
    autotune.run(study_file(QUADRATIC), run_dir=run_dir, workers=2, storage=url)
    assert len(optuna.load_study(study_name="toy", storage=url).trials) == 4
    assert not (run_dir / "autotune.db").exists()


def test_an_observer_sees_a_consistent_story(study_file: StudyFile, run_dir: Path) -> None:
    events: list[Event] = []
    study = autotune.run(study_file(QUADRATIC, "'n_trials': 5"), run_dir=run_dir, workers=2, observer=events.append)
    assert events[0] == RunStarted("toy", 5, 0, 2, None, "minimize", folds=1)
    for trial in study.get_trials():
        started, *steps, ended = [e for e in events[1:] if not isinstance(e, RunStarted) and e.number == trial.number]
        assert isinstance(started, TrialStarted)
        assert isinstance(ended, TrialEnded)
        assert started == TrialStarted(started.slot, trial.number, reports={})
        values = trial.intermediate_values.items()
        assert steps == [StepReported(started.slot, trial.number, step, value) for step, value in values]
        said = {name: getattr(ended, name) for name in ("seconds", "finished", "phases")}
        assert ended == TrialEnded(started.slot, trial.number, "complete", trial.value, "", trial.params, 3, **said)
        assert ended.seconds > 0
        assert ended.phases["reports"] > 0
        assert sum(ended.phases.values()) == pytest.approx(ended.seconds)
    for slot in (0, 1):  # one trial at a time in each slot
        own = [type(e) for e in events[1:] if not isinstance(e, (RunStarted, StepReported)) and e.slot == slot]
        assert own == [TrialStarted, TrialEnded] * (len(own) // 2)


def test_an_observer_is_told_of_folds_and_of_what_was_there_before(study_file: StudyFile, run_dir: Path) -> None:
    code = """
        def objective(trial):
            x = trial.suggest_float("x", 0, 1)
            trial.set_user_attr("fold_values", [x])
            trial.set_user_attr("fold_values", [x, x])
            return x
    """
    events: list[Event] = []
    study = autotune.run(study_file(code), n_trials=1, run_dir=run_dir, workers=1, observer=events.append)
    assert [e.finished_folds for e in events if isinstance(e, FoldFinished)] == [1, 2]
    best = study.best_value
    events.clear()
    autotune.run(study_file(code), n_trials=2, run_dir=run_dir, workers=1, observer=events.append)
    assert events[0] == RunStarted("toy", 2, 1, 1, None, "minimize", folds=1, best=(0, best))


@pytest.mark.parametrize("kind", [RunStarted, TrialStarted, StepReported, TrialEnded])
def test_an_observer_that_fails_ends_the_run_and_loses_no_trial(
    study_file: StudyFile, run_dir: Path, kind: type
) -> None:
    def observe(event: Event) -> None:
        if isinstance(event, kind):
            raise BrokenPipeError("the terminal is gone")

    file = study_file(QUADRATIC)
    with pytest.raises(BrokenPipeError, match="the terminal is gone"):
        autotune.run(file, run_dir=run_dir, workers=2, observer=observe)
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    assert not {"RUNNING", "FAIL"} & _states(study).keys()
    assert _states(autotune.run(file, run_dir=run_dir, workers=2)) == {"COMPLETE": 4}


def test_two_parents_at_once_share_one_budget(study_file: StudyFile, run_dir: Path, script: Callable[..., Any]) -> None:
    file = study_file(QUADRATIC, "'n_trials': 15")
    code = """
        import sys
        import autotune
        print("ready", flush=True)
        sys.stdin.readline()
        study = autotune.run(sys.argv[1], run_dir=sys.argv[2], workers=2)
        print(sorted(t.state.name for t in study.get_trials()) == ["COMPLETE"] * 15)
    """
    parents = [script(code, file, run_dir) for _ in range(2)]
    for parent in parents:
        assert parent.stdout.readline() == "ready\n"
    for parent in parents:
        print("go", file=parent.stdin, flush=True)
    assert [parent.communicate()[0] for parent in parents] == ["True\n", "True\n"]


def test_a_run_works_outside_the_main_thread(study_file: StudyFile, run_dir: Path) -> None:
    studies: list[optuna.Study] = []
    file = study_file(QUADRATIC)
    thread = threading.Thread(target=lambda: studies.append(autotune.run(file, run_dir=run_dir, workers=2)))
    thread.start()
    thread.join()
    assert _states(studies[0]) == {"COMPLETE": 4}


def test_two_studies_run_in_two_threads_of_one_process(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file(QUADRATIC)
    threads = [
        threading.Thread(target=autotune.run, args=(file,), kwargs={"run_dir": run_dir, "workers": 2, "name": name})
        for name in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("one", "two"):
        study = optuna.load_study(study_name=name, storage=f"sqlite:///{run_dir}/autotune.db")
        assert _states(study) == {"COMPLETE": 4}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_trials": 0}, "trials is 0"),
        ({"n_trials": -3}, "trials is -3"),
        ({"workers": 0}, "workers is 0"),
        ({"timeout_s": 0}, "timeout is 0"),
        ({"timeout_s": float("nan")}, "timeout is nan"),
        ({"name": "a/b"}, "'a/b' cannot name a study"),
        ({"epochs": 0}, "epochs=0 is out of range"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"data_dir": "/no/such/folder"}, "/no/such/folder is not a folder"),
        ({"storage": "garbage"}, "'garbage' cannot be opened"),
    ],
)
def test_unusable_options_are_refused(
    study_file: StudyFile, run_dir: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        autotune.run(study_file(QUADRATIC), run_dir=run_dir, **options)


def test_a_process_that_is_killed_while_it_loads_the_study_costs_a_moment(study_file: StudyFile, run_dir: Path) -> None:
    killing = """
    for killed in ("once", "twice"):
        if first_time(killed):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    study = autotune.run(study_file(dedent(killing) + dedent(QUADRATIC)), run_dir=run_dir, workers=2)
    assert _states(study) == {"COMPLETE": 4}


def test_a_study_file_that_always_kills_its_process_is_said_to(study_file: StudyFile, run_dir: Path) -> None:
    file = study_file("os.kill(os.getpid(), signal.SIGKILL)\nobjective = None")
    with pytest.raises(StudyFileError, match=r"ended before it was done .exit status -9"):
        autotune.run(file, run_dir=run_dir)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("study = ", "line 1: invalid syntax"),
        ("x = 1", "declares no study"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import os; os.write(2, b'bye'); os._exit(4)", r"ended before it was done .exit status 4[\s\S]*bye"),
        ("import os; os.kill(os.getpid(), 9)", "exit status -9"),
    ],
)
def test_an_unusable_study_file_is_refused(tmp_path: Path, run_dir: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "study.py").write_text(text)
    with pytest.raises(StudyFileError, match=words):
        autotune.run(tmp_path / "study.py", run_dir=run_dir)


def test_a_pruner_with_too_few_trials_for_its_plan_says_so_before_the_first_trial(
    study_file: StudyFile, run_dir: Path
) -> None:
    code = """
        import optuna

        def objective(trial):
            return trial.suggest_float("x", 0, 1)
    """
    options = "'n_trials': 2, 'pruner': optuna.pruners.HyperbandPruner(max_resource=9)"
    events: list[Event] = []
    autotune.run(study_file(code, options), run_dir=run_dir, workers=1, observer=events.append)
    kinds = [type(event) for event in events]
    assert kinds.index(Note) < kinds.index(TrialStarted)
    note = events[kinds.index(Note)]
    assert isinstance(note, Note)
    assert "Hyperband has 3 brackets, which need 17 trials, and the study has 2" in note.text
