"""The studies that `chaos.py` disturbs, and the same in peace.

Each has chance in it, notes when a trial has been trained to its end, and leaves processes behind.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import psutil
from optuna.trial import FrozenTrial

HEAD = '''"""A small study with chance in it, which notes when a trial has been trained to its end."""

import subprocess
import time
from pathlib import Path

import numpy as np
import optuna

from autotune import Holdout, StudySpec

ENDS = Path(__file__).with_name("ends.log")


def note_end(number):
    with open(ENDS, "ab", buffering=0) as file:
        file.write(f"{number}\\n".encode())


def leave_behind():
    """Start two programs that never end, the second in a session of its own."""
    for is_away in (False, True):
        subprocess.Popen(["sleep", f"1000000.{ENDS.parent.stat().st_ino}"], start_new_session=is_away)

'''
STUDIES = {
    "toy": HEAD
    + """
def objective(trial):
    leave_behind()
    rate = trial.suggest_float("rate", 1e-3, 0.3, log=True)
    units = trial.suggest_int("units", 2, 16)
    x = np.random.standard_normal((64, 8))
    y = np.tanh(x @ np.random.standard_normal(8))
    hidden, out = np.random.standard_normal((8, units)) / 3, np.random.standard_normal(units) / 3
    for epoch in range(1, 16):
        time.sleep(0.1)
        rows = np.random.permutation(64)[:32]
        h = np.tanh(x[rows] @ hidden)
        wrong = h @ out - y[rows]
        hidden -= rate * x[rows].T @ (np.outer(wrong, out) * (1 - h * h)) / 32
        out -= rate * h.T @ wrong / 32
        loss = float(np.mean(wrong**2))
        trial.report(loss, epoch)
    note_end(trial.number)
    return loss


study = StudySpec(name="chaos", objective=objective, direction="minimize", n_trials=%(trials)d, seed=3,
                  max_retries=50, pruner=optuna.pruners.NopPruner())
""",
    "keras": HEAD
    + """
import keras


class NoteEnd(keras.callbacks.Callback):
    def __init__(self, number):
        super().__init__()
        self._number = number

    def on_train_end(self, logs=None):
        note_end(self._number)


def build(trial, data):
    leave_behind()
    model = keras.Sequential([
        keras.Input(data.input_shape),
        keras.layers.RandomTranslation(0.1, 0.1),
        keras.layers.Conv2D(trial.suggest_int("filters", 4, 12), 3, activation="relu"),
        keras.layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5)),
        keras.layers.Flatten(),
        keras.layers.Dense(data.n_classes, activation="softmax"),
    ])
    optimizer = keras.optimizers.Adam(trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True))
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(trial):
    return {"batch_size": 64, "callbacks": [NoteEnd(trial.number)]}


study = StudySpec(name="chaos", dataset="digits", folds=Holdout(0.2), build=build, fit=fit, monitor="val_accuracy",
                  direction="maximize", epochs=12, n_trials=%(trials)d, seed=3, max_retries=50, keep_models=0,
                  pruner=optuna.pruners.NopPruner())
""",
}
TRIAL_S = {"toy": 1.6, "keras": 12.0}  # about, on an idle machine


def left_behind(folder: Path) -> list[str]:
    """Return the processes that trials of a study in `folder` have left behind."""
    command = ["sleep", f"1000000.{folder.stat().st_ino}"]
    return [str(process) for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == command]


def run_command(study_file: Path, run_dir: Path, *options: str) -> list[str]:
    """Return the command that runs a study."""
    return [sys.executable, "-m", "autotune", "run", str(study_file), "--run-dir", str(run_dir), *options]


def compare_with_quiet_run(study_file: Path, disturbed: list[FrozenTrial]) -> list[str]:
    """Run the same configurations, with the same numbers and the same seed, in peace, and compare bit for bit."""
    folder = study_file.parent
    storage = f"sqlite:///{folder}/quiet.db"
    is_keras = "keras" in study_file.read_text()
    study = optuna.create_study(study_name="chaos", storage=storage, direction="maximize" if is_keras else "minimize")
    by_number = {trial.number: trial for trial in disturbed}
    numbers = range(max(by_number, default=-1) + 1)
    for number in numbers:
        study.enqueue_trial(by_number[number].params if number in by_number else {})
    options = ["--storage", storage, "--trials", str(len(numbers)), "--workers", "2" if is_keras else "8"]
    command = run_command(study_file, folder / "quiet", *options)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return [f"the quiet run ends with 0: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"]
    different = [
        f"trial {quiet.number} is the same:\n    {_numbers(quiet)}\n    {_numbers(by_number[quiet.number])}"
        for quiet in optuna.load_study(study_name="chaos", storage=storage).get_trials()
        if quiet.number in by_number and _numbers(quiet) != _numbers(by_number[quiet.number])
    ]
    print(f"Equal, bit for bit, to a quiet run: {len(disturbed) - len(different)} of {len(disturbed)} trials")
    return different[:5]


def _numbers(trial: FrozenTrial) -> tuple[object, ...]:
    return trial.params, trial.values, trial.intermediate_values
