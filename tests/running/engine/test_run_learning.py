"""Studies that begin with configurations of earlier ones."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import optuna
import pytest
from optuna_dashboard import get_note

import autotune
from autotune.cli import main
from autotune.running.tracking.events import Event, Note
from autotune.search.transfer import origin_of

OBJECTIVE = """
import os
import signal
from pathlib import Path

import optuna
from autotune import CurvePruner, CurveSampler, StudySpec

HERE = Path(__file__).parent

def objective(trial):
    x = trial.suggest_float("x", 0.0, {high})
    if {kills} and trial.number in (1, 9) and not (HERE / f"killed {{trial.number}}").exists():
        (HERE / f"killed {{trial.number}}").touch()
        os.kill(int((HERE / "parent").read_text()), signal.SIGKILL)
        signal.pause()
    kind = trial.suggest_categorical("kind", ["a", "b"])
    width = trial.suggest_int("width", 1, 64, log=True) if kind == "a" else 1
    for epoch in range(1, 10):
        trial.report((x - 0.7) ** 2 + 0.1 * (kind == "b") + abs(width - 20) / 200 + 1 / epoch, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return (x - 0.7) ** 2 + 0.1 * (kind == "b") + abs(width - 20) / 200

study = StudySpec(name="{name}", objective=objective, direction="minimize", n_trials=14, seed=3, {more})
"""
CURVES = "sampler=lambda seed: CurveSampler(9, seed=seed), pruner=CurvePruner(9)"
RUN = "import os, sys, autotune; open('parent', 'w').write(str(os.getpid())); autotune.run('new.py', workers=1)"


def written(folder: Path, name: str, high: float = 1.0, kills: bool = False, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.py"
    file.write_text(dedent(OBJECTIVE).format(name=name, high=high, kills=kills, more=more))
    return file


def table(study: optuna.Study) -> list[object]:
    return [(t.number, t.state.name, t.params, t.value, t.intermediate_values, origin_of(t)) for t in study.trials]


# With TPE the same is slow: a sampler has no part in it but to suggest the same again, which test_seeded.py shows.
@pytest.mark.parametrize("how", [pytest.param("", marks=pytest.mark.slow), CURVES], ids=["TPE", "curves"])
def test_one_that_is_killed_goes_on_to_the_same_numbers_when_the_earlier_one_is_gone(tmp_path: Path, how: str) -> None:
    tables = []
    for kills in (False, True):
        folder = tmp_path / str(kills)
        autotune.run(written(folder, "old", more=how), workers=1, run_dir=folder / "runs")
        file = written(folder, "new", 0.65, kills, f"learn_from=['old'], {how}")
        for _ in range(2 if kills else 0):
            ended = subprocess.run([sys.executable, "-c", RUN], cwd=folder, check=False, capture_output=True)
            assert ended.returncode == -signal.SIGKILL
            if (url := f"sqlite:///{folder}/runs/autotune.db") and "old" in optuna.get_all_study_names(url):
                optuna.delete_study(study_name="old", storage=url)
        tables.append(table(autotune.run(file, workers=1, run_dir=folder / "runs")))
    assert tables[0] == tables[1]
    assert (tmp_path / "True" / "killed 9").exists()


def test_values_are_moved_into_the_ranges_and_what_the_earlier_one_lacks_is_suggested(tmp_path: Path) -> None:
    old = autotune.run(written(tmp_path, "old"), workers=1, run_dir=tmp_path / "runs")
    new = autotune.run(
        written(tmp_path, "new", 0.4), workers=2, run_dir=tmp_path / "runs", learn_from="old", n_trials=6
    )
    learned = [(trial, origin) for trial in new.trials if (origin := origin_of(trial))]
    assert [trial.number for trial, _ in learned] == [0, 1, 2]
    for trial, origin in learned:
        there = old.trials[origin.trial].params
        assert origin.params == there
        assert trial.params["x"] == min(there["x"], 0.4)
        assert trial.params["kind"] == there["kind"]


def test_status_note_and_report_say_what_was_learned_from_whom(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = f"sqlite:///{tmp_path}/runs/autotune.db"
    autotune.run(written(tmp_path, "old"), workers=1, run_dir=tmp_path / "runs")
    new = autotune.run(written(tmp_path, "new"), workers=1, run_dir=tmp_path / "runs", learn_from="old", n_trials=5)
    origin = origin_of(new.trials[0])
    assert origin is not None
    words = f"Learned from earlier studies: trial 0 (trial {origin.trial} of old), trial 1"
    assert main(["status", "new", "--storage", storage]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert words in shown
    assert f"The best trial so far, {new.best_trial.number}, is " in shown
    assert main(["status", "new", "--storage", storage, "--json"]) == 0
    taken = json.loads(capsys.readouterr().out)["taken_over"]
    assert taken[0] == {"trial": 0, "value": new.trials[0].value, "study": "old", "trial_there": origin.trial}
    assert [one["trial"] for one in taken] == [0, 1, 2]
    assert words in get_note(new).replace("\\", "")
    page = tmp_path / "page.html"
    assert main(["report", "new", "--storage", storage, "-o", str(page)]) == 0
    capsys.readouterr()
    assert words in page.read_text()
    assert "--learn-from old" in page.read_text()
    assert main(["status", "old", "--storage", storage, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["taken_over"] == []


def test_a_sampler_that_tries_every_configuration_tries_each_once(tmp_path: Path) -> None:
    for name in ("old", "new"):
        file = tmp_path / f"{name}.py"
        file.write_text(
            dedent(
                f"""
                import optuna
                from autotune import StudySpec
                GRID = {{"x": [1, 2, 3, 4]}}
                study = StudySpec(
                    name="{name}", objective=lambda trial: trial.suggest_int("x", 1, 4), direction="minimize",
                    n_trials=4, sampler=lambda seed: optuna.samplers.GridSampler(GRID, seed=seed))
                """
            )
        )
    autotune.run(tmp_path / "old.py", workers=1, run_dir=tmp_path / "runs")
    study = autotune.run(tmp_path / "new.py", workers=1, run_dir=tmp_path / "runs", learn_from=["old"])
    assert sorted(trial.params["x"] for trial in study.trials) == [1, 2, 3, 4]


def test_trials_that_become_equal_are_copies_and_keep_their_own_origins_and_guesses(tmp_path: Path) -> None:
    for name, high, more in (("old", 1.0, ""), ("new", 0.25, "guess={'x': 0.25},")):
        (tmp_path / f"{name}.py").write_text(
            f"from autotune import StudySpec\n"
            f"study = StudySpec(name='{name}', objective=lambda trial: -trial.suggest_float('x', 0.0, {high}), {more} "
            f"direction='minimize', n_trials=12, seed=0)\n"
        )
    autotune.run(tmp_path / "old.py", workers=1, run_dir=tmp_path / "runs")
    study = autotune.run(tmp_path / "new.py", workers=1, run_dir=tmp_path / "runs", learn_from="old", n_trials=4)
    first, *others = study.trials
    assert [trial.params["x"] for trial in study.trials] == [0.25] * 4
    assert (first.user_attrs["guess"], origin_of(first)) == ({"x": 0.25}, None)
    assert [trial.user_attrs["copy_of"] for trial in others] == [0, 0, 0]
    assert len({origin.trial for trial in others if (origin := origin_of(trial))}) == 3
    assert ["guess" in trial.user_attrs for trial in others] == [False] * 3


def test_a_trial_with_nothing_of_the_earlier_study_says_so(tmp_path: Path) -> None:
    autotune.run(written(tmp_path, "old"), workers=1, run_dir=tmp_path / "runs")
    file = written(tmp_path, "new")
    file.write_text(re.sub(r"\((\"(x|kind|width)\")", r"(\1.upper()", file.read_text()))
    notes: list[Event] = []
    study = autotune.run(
        file, workers=1, run_dir=tmp_path / "runs", learn_from="old", n_trials=4, observer=notes.append
    )
    assert "X" in study.trials[0].params
    told = [event.text for event in notes if isinstance(event, Note) and "nothing could be learned" in event.text]
    assert len(told) == 3
    assert "of old: it has 'x', 'kind'" in told[0]


def test_what_a_sampler_fixes_stays_fixed(tmp_path: Path) -> None:
    fixing = (
        "sampler=lambda seed: optuna.samplers.PartialFixedSampler({'x': 0.5}, optuna.samplers.TPESampler(seed=seed))"
    )
    autotune.run(written(tmp_path, "old"), workers=1, run_dir=tmp_path / "runs")
    file = written(tmp_path, "new", more=fixing)
    study = autotune.run(file, workers=1, run_dir=tmp_path / "runs", learn_from="old", n_trials=3)
    assert {trial.params["x"] for trial in study.trials} == {0.5}
    assert [trial.params["kind"] for trial in study.trials if (origin := origin_of(trial))] == [
        origin.params["kind"] for trial in study.trials if (origin := origin_of(trial))
    ]


@pytest.mark.trains
def test_the_space_of_a_keras_study_is_found_in_all_its_branches_before_it_begins(tmp_path: Path) -> None:
    build = """
    import keras
    from autotune import StudySpec, models

    def build(trial, data):
        kind = trial.suggest_categorical("optimizer", ["adam", "sgd"])
        if kind == "adam":
            optimizer = keras.optimizers.Adam(trial.suggest_float("adam_rate", 1e-4, 1e-2, log=True))
        else:
            optimizer = keras.optimizers.SGD(trial.suggest_float("sgd_rate", 1e-3, 1.0, log=True))
        return models.build_cnn(data, blocks=1, filters=4, dense_units=8, optimizer=optimizer)

    study = StudySpec(name="new", dataset="digits", build=build, monitor="val_accuracy", direction="maximize",
                      n_trials=1, epochs=1, train_fraction=0.1, learn_from=["old"])
    """
    (tmp_path / "new.py").write_text(dedent(build))
    url = f"sqlite:///{tmp_path}/autotune.db"
    old = optuna.create_study(study_name="old", storage=url, direction="maximize")
    space = {"rate": optuna.distributions.FloatDistribution(0, 1)}
    old.add_trial(optuna.trial.create_trial(params={"rate": 0.5}, distributions=space, value=1.0))
    with pytest.raises(autotune.errors.UsageError, match=r"There: rate\. Here: adam_rate, optimizer, sgd_rate"):
        autotune.run(tmp_path / "new.py", workers=1, run_dir=tmp_path / "runs", storage=url)
    space = {"sgd_rate": optuna.distributions.FloatDistribution(0, 10), "momentum": space["rate"]}
    old.add_trial(optuna.trial.create_trial(params={"sgd_rate": 7.0, "momentum": 0.9}, distributions=space, value=2.0))
    study = autotune.run(tmp_path / "new.py", workers=1, run_dir=tmp_path / "runs", storage=url)
    assert origin_of(study.trials[0]) is not None
    assert origin_of(study.trials[0]).params == {"sgd_rate": 1.0}


@pytest.mark.parametrize("names", ["", "old,", " , "])
def test_an_empty_name_on_the_command_line_is_refused(names: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "study.py", "--learn-from", names])
    assert ended.value.code == 2
    assert "a name is empty" in capsys.readouterr().err
