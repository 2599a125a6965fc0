"""`autotune check` finds a mistake in a study file before any trial is stored; `run --debug` runs one trial here."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from command_line import Result, autotune, autotune_process

from autotune import check, load_study_file

pytestmark = pytest.mark.trains

STUDY = """
import keras
import numpy as np
from autotune import Dataset, Given, Holdout, StudySpec


def dataset():
    rng = np.random.default_rng(0)
    return Dataset(rng.normal(size=(120, 4)).astype("float32"), np.arange(120) % 3)


def fit(trial):
    return {"batch_size": 16}


class Odd(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, x):
        return self.dense(x)


def score(model, rows):
    return {"quality": 0.5}


def build(trial, data):
    width = trial.suggest_int("width", 2, 4)
    inputs = keras.Input(data.input_shape)
    hidden = keras.layers.Dense(width)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(data.n_classes, activation="softmax")(hidden))
    optimizer = keras.optimizers.Adam(1e-3)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


study = StudySpec(
    name="net", dataset=dataset, folds=Holdout(0.2), build=build, fit=fit,
    monitor="val_accuracy", direction="maximize", epochs=2, n_trials=3, seed=0,
)
"""
STOP = "keras.callbacks.EarlyStopping(monitor='val_f1')"  # Keras cannot tell which direction is better
MISTAKES = {
    "typo in build": ("layers.Dense(width)(inputs)", "layers.Dens(width)(inputs)", 1, "layers.Dens(width)(inputs)"),
    "typo in fit": ('{"batch_size": 16}', '{"batch_size": size}', 1, "name 'size' is not defined"),
    "loss for other targets": ('"sparse_categorical_crossentropy"', '"categorical_crossentropy"', 1, "shape"),
    "monitor that is not compiled": ('metrics=["accuracy"]', "metrics=[]", 2, "val_accuracy"),
    "argument of an optimizer": ("Adam(1e-3)", "Adam(learn_rate=1e-3)", 1, "learn_rate"),
    "NaN in the data": ("return Dataset(", "return Dataset(np.nan * ", 2, "NaN"),
    "targets as strings": ("np.arange(120) % 3)", "(np.arange(120) % 3).astype(str))", 2, "text"),
    "input shape": ("keras.Input(data.input_shape)", "keras.Input((5,))", 1, "expected shape=(None, 5)"),
    "callback that fails": ('{"batch_size": 16}', f'{{"callbacks": [{STOP}]}}', 1, "val_f1"),
    "unknown argument of fit": ('{"batch_size": 16}', '{"batchsize": 16}', 2, "Did you mean 'batch_size'?"),
    "layer that cannot be loaded": ("keras.layers.Dense(width)(inputs)", "Odd(width)(inputs)", 2, "get_config"),
    "batch size is no number": ('{"batch_size": 16}', '{"batch_size": 0}', 2, "batch_size"),
    "too few rows to validate on": ("Holdout(0.2)", "Holdout(0.001)", 2, "1 to validate on"),
    "no rows to validate on": ("folds=Holdout(0.2)", "folds=Given(np.zeros(120, bool))", 2, "rows"),
    "missing data file": ("rng = np.random.default_rng(0)", "np.load('nowhere.npy')", 2, "nowhere.npy"),
    "score without a number": ("seed=0,", "seed=0, score=lambda model, rows: {'quality': 'good'},", 2, "quality"),
    "range upside down": ('"width", 2, 4', '"width", 4, 2', 1, "low=4"),
    "labels without an output": ("Dense(data.n_classes,", "Dense(2,", 2, "the network has 2 outputs"),
    "loss that is no number": ("Adam(1e-3)", "Adam(float('nan'))", 1, "loss was nan"),
    "baseline with another name": ("seed=0,", "seed=0, baseline={'widht': 3},", 2, "widht"),
    "unknown dataset": ("dataset=dataset", "dataset='mnsit'", 2, "mnsit"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPTUNA_STORAGE", "AUTOTUNE_RUN_DIR", "AUTOTUNE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(here: Path, before: str = "", after: str = "", *options: str) -> Result:
    assert before in STUDY
    (here / "net.py").write_text(STUDY.replace(before, after) if before else STUDY)
    return autotune("check", "net.py", *options)


def nothing_is_stored(here: Path) -> bool:
    return {path.name for path in here.iterdir()} <= {"net.py", "__pycache__"}


def _states(here: Path) -> list[str]:
    study = optuna.load_study(study_name="net", storage=f"sqlite:///{here}/runs/autotune.db")
    return [trial.state.name for trial in study.trials]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_before_a_trial_is_stored(here: Path, mistake: str) -> None:
    before, after, code, words = MISTAKES[mistake]
    result = checked(here, before, after)
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert nothing_is_stored(here)


def test_a_study_without_mistakes_is_described(here: Path) -> None:
    result = checked(here, "", "", "--epochs", "5", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    seen = found["seen"]
    assert (seen["train_rows"], seen["validation_rows"], seen["batches"], seen["batch_size"]) == (96, 24, 6, 16)
    width = seen["params"]["width"]
    assert seen["n_parameters"] == 5 * width + 3 * (width + 1)
    assert seen["is_resumed"]
    assert seen["memory_mib"] > 100
    assert found["trial_s"] == pytest.approx(seen["start_s"] + 5 * seen["epoch_s"])
    assert found["search_s"] == pytest.approx(found["trial_s"] * -(-3 // found["workers"]))
    assert "no test rows" in found["cannot"][0]
    assert nothing_is_stored(here)


def test_the_epochs_of_all_stages_count_and_are_measured(here: Path) -> None:
    stages = '[{"epochs": 3, "batch_size": 16}, {"epochs": 4, "batch_size": 16}]'
    found = json.loads(checked(here, '{"batch_size": 16}', stages, "--json").stdout)
    assert found["seen"]["epochs"] == 7
    assert found["seen"]["step_s"] > 0
    assert found["trial_s"] == pytest.approx(found["seen"]["start_s"] + 7 * found["seen"]["epoch_s"])


def test_an_epoch_may_be_a_part_of_a_pass(here: Path) -> None:
    found = json.loads(checked(here, "seed=0,", "seed=0, epochs_per_pass=3,", "--json").stdout)
    assert found["seen"]["batches"] == 2


def test_a_batch_that_is_larger_than_the_rows_is_told(here: Path) -> None:
    assert "a batch has 1,000 rows, but there are 96" in checked(here, '"batch_size": 16', '"batch_size": 1000').stdout


def test_a_plain_objective_is_loaded_and_not_run(here: Path) -> None:
    (here / "net.py").write_text(
        "from autotune import StudySpec\n\n\ndef objective(trial):\n    open('ran', 'w')\n    return 1.0\n\n\n"
        "study = StudySpec(name='toy', objective=objective, direction='minimize')\n"
    )
    assert "no trial was run" in autotune("check", "net.py").stdout
    assert nothing_is_stored(here)
    assert "Value: 1 " in autotune_process("run", "net.py", "--debug").stdout


def test_a_study_made_in_python_is_checked(here: Path) -> None:
    (here / "net.py").write_text(STUDY)
    found = check(load_study_file("net.py"), workers=2, n_trials=5)
    assert (found.study, found.n_trials, found.workers) == ("net", 5, 2)
    assert found.seen is not None
    assert found.search_s == pytest.approx(3 * (found.trial_s or 0.0))
    assert nothing_is_stored(here)


def test_a_check_says_what_it_has_seen_in_words(here: Path) -> None:
    said = checked(here, "", "", "--folds", "3").stdout
    for words in ("the first of 3 folds, 80 rows to train on, 40 to validate on", "5 batches of 16 rows", "weights"):
        assert words in said
    for words in ("is loaded again", "a rough estimate", "no test rows", "Nothing was stored."):
        assert words in said


@pytest.mark.parametrize("mistake", ["typo in build", "typo in fit", "callback that fails"])
def test_a_mistake_that_every_configuration_meets_costs_one_trial(here: Path, mistake: str) -> None:
    before, after, _, words = MISTAKES[mistake]
    (here / "net.py").write_text(STUDY.replace(before, after))
    result = autotune("run", "net.py", "--workers", "1")
    assert result.returncode == 1
    assert "trial 0 has failed" in result.stderr
    assert words in result.stderr
    assert mistake == "callback that fails" or re.search(
        rf"^ *> +\d+ \|.*{re.escape(after)}", result.stderr, re.MULTILINE
    )
    assert json.loads(autotune("status", "net", "--json").stdout)["failed"] == {"error": 1}


def test_a_typo_in_one_branch_does_not_end_a_study_whose_other_branches_work(here: Path) -> None:
    branch = "{'learn_rate': 1e-3} if trial.suggest_categorical('way', ['a', 'b', 'c']) == 'c' else {}"
    (here / "net.py").write_text(STUDY.replace("Adam(1e-3)", f"Adam(**({branch}))"))
    result = autotune("run", "net.py", "--workers", "1")
    assert result.returncode == 0, result.stderr
    status = json.loads(autotune("status", "net", "--json").stdout)
    assert status["complete"] + status["pruned"] == 3
    assert status["failed"]["error"] >= 1  # one of them is trial 0, after which the others are tried
    assert _states(here)[0] == "FAIL"


def test_one_trial_runs_in_this_process_and_nothing_is_stored(here: Path) -> None:
    (here / "net.py").write_text(
        STUDY.replace("def build(trial, data):", "def build(trial, data):\n    print('pid', os.getpid())").replace(
            "import keras\n", "import os\nimport keras\n", 1
        )
    )
    command = [sys.executable, "-m", "autotune", "run", "net.py", "--debug"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    assert process.returncode == 0, said
    assert f"pid {process.pid}" in said
    assert "nothing is stored" in said
    assert "Value: 0." in said
    assert nothing_is_stored(here)


def test_a_breakpoint_stops_at_the_terminal(here: Path) -> None:
    (here / "net.py").write_text(
        STUDY.replace("    inputs = keras.Input", "    breakpoint()\n    inputs = keras.Input")
    )
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "autotune", "run", "net.py", "--debug", "--epochs", "1"]
    with subprocess.Popen(command, stdin=child, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        os.write(parent, b"print('width is', width)\nc\n")
        assert process.stdout is not None
        said = process.stdout.read()
    os.close(child)
    os.close(parent)
    assert process.returncode == 0, said
    assert "width is " in said
    assert nothing_is_stored(here)


def test_an_error_in_a_debugged_trial_keeps_its_traceback(here: Path) -> None:
    (here / "net.py").write_text(STUDY.replace("layers.Dense(width)", "layers.Dens(width)"))
    result = autotune_process("run", "net.py", "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "layers.Dens(width)" in result.stderr
    assert nothing_is_stored(here)
