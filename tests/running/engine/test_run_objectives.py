"""Several objectives from the command line's side: a front of trials, pruned by the monitored metric alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

import autotune
from autotune.cli import main

pytestmark = [pytest.mark.trains, pytest.mark.long]  # one study, of which all tests ask something

STUDY = """
import keras
from autotune import Holdout, KFold, StudySpec

def build(trial, data):
    units = trial.suggest_int("units", 2, 64, log=True)
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        keras.layers.Dense(units, activation="relu"), keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(optimizer=keras.optimizers.SGD(trial.suggest_categorical("rate", [1e-6, 0.05])),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

study = StudySpec(name="small", dataset="digits", folds=FOLDS, build=build, monitor="val_accuracy",
    direction="maximize", minimize=MINIMIZE, epochs=5, n_trials=10, seed=0)
"""


def write(folder: Path, minimize: str = "['parameters', 'latency']", folds: str = "Holdout(0.2)") -> Path:
    file = folder / "small.py"
    file.write_text(STUDY.replace("FOLDS", folds).replace("MINIMIZE", minimize), "utf-8")
    return file


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, optuna.Study]:
    folder = tmp_path_factory.mktemp("objectives")
    return folder, autotune.run(write(folder), run_dir=folder / "runs", workers=2)


def dominates(one: Any, other: Any) -> bool:
    """Say whether one trial is as good as another in everything and better in something."""
    mine, theirs = [-one[0], *one[1:]], [-other[0], *other[1:]]
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def test_each_complete_trial_has_metric_weights_and_latency(studied: tuple[Path, optuna.Study]) -> None:
    _, study = studied
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert complete
    assert study.metric_names == ["val_accuracy", "parameters", "latency"]
    for trial in complete:
        units = trial.params["units"]
        accuracy, weights, latency = trial.values
        assert accuracy == max(trial.intermediate_values.values())
        assert weights == 64 * units + units + 10 * units + 10
        assert 0 < latency < 10_000


def test_trials_are_pruned_by_the_metric(studied: tuple[Path, optuna.Study]) -> None:
    _, study = studied
    pruned = study.get_trials(states=(TrialState.PRUNED,))
    assert pruned, "networks that hardly learn are to be stopped"
    medians = sorted(t.values[0] for t in study.get_trials(states=(TrialState.COMPLETE,)))
    assert min(len(trial.intermediate_values) for trial in pruned) < 5
    for trial in pruned:
        assert len(trial.intermediate_values) >= 3
        assert max(trial.intermediate_values.values()) < medians[-1]


def test_best_shows_the_trials_that_no_other_one_beats(
    studied: tuple[Path, optuna.Study], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, study = studied
    assert main(["best", "small", "--json", "--run-dir", str(folder / "runs")]) == 0
    shown = json.loads(capsys.readouterr().out)
    complete = {t.number: t.values for t in study.get_trials(states=(TrialState.COMPLETE,))}
    expected = {n for n, values in complete.items() if not any(dominates(other, values) for other in complete.values())}
    front = shown["pareto_front"]
    assert {one["trial"] for one in front} == expected
    assert [one["value"] for one in front] == sorted((one["value"] for one in front), reverse=True)
    assert (shown["trial"], shown["value"]) == (front[0]["trial"], max(values[0] for values in complete.values()))
    assert all([one["costs"]["parameters"], one["costs"]["latency"]] == complete[one["trial"]][1:] for one in front)
    assert main(["best", "small", "--run-dir", str(folder / "runs")]) == 0
    out = capsys.readouterr().out
    assert f"Pareto front: {len(front)} trials" in out
    assert "latency (ms)" in out


def test_what_is_to_be_small_may_not_change(
    studied: tuple[Path, optuna.Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = studied
    for minimize in ("[]", "['latency', 'parameters']"):
        assert main(["run", str(write(tmp_path, minimize)), "--run-dir", str(folder / "runs")]) == 2
        assert "was started with other settings" in capsys.readouterr().err


def test_finished_folds_prune_too(tmp_path: Path) -> None:
    study = autotune.run(
        write(tmp_path, "['parameters']", "KFold(2)"), run_dir=tmp_path / "runs", workers=1, n_trials=7
    )
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert all(len(trial.user_attrs["fold_values"]) == 2 for trial in complete)
    assert study.get_trials(states=(TrialState.PRUNED,))


def test_the_best_by_the_metric_are_confirmed(
    studied: tuple[Path, optuna.Study], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, study = studied
    assert main(["finalize", "small", "--top", "2", "--repeats", "2", "--run-dir", str(folder / "runs")]) == 0
    out = capsys.readouterr().out
    assert "Winner: trial" in out
    assert "latency (ms)" in out
    again = optuna.load_study(study_name="small.confirm", storage=f"sqlite:///{folder / 'runs' / 'autotune.db'}")
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    best = sorted(complete, key=lambda trial: -trial.values[0])[:2]
    assert {t.user_attrs["candidate"] for t in again.trials} == {str(trial.number) for trial in best}
    assert all(len(trial.values) == 3 for trial in again.trials)
