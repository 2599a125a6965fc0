"""Stop a search again and again, and show that it ends with the same numbers as one that nobody touched.

Runs a small Keras study on digits once in peace. Then runs it once more with one worker, and at random moments sends
SIGKILL to the command and all its processes, or SIGINT or SIGTERM to the command, and starts it anew, until so many
interruptions have been made; then lets it end. The two tables of parameters, reports and values must be equal bit for
bit. Prints what was done to it; exit code 1 if anything is not as it should be.

Usage: python scripts/check_interruptions.py [--times 20] [--signals KILL,INT,TERM] [--seed 0]
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import psutil

STUDY = '''"""A small study with chance in every place: dropout, augmentation, callbacks with a memory, pruning."""

import keras
import optuna

from autotune import Holdout, StudySpec


def build(trial, data):
    model = keras.Sequential([
        keras.Input(data.input_shape),
        keras.layers.RandomTranslation(0.1, 0.1),
        keras.layers.Conv2D(trial.suggest_int("filters", 4, 12), 3, activation="relu"),
        keras.layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5)),
        keras.layers.Flatten(),
        keras.layers.Dense(data.n_classes, activation="softmax"),
    ])
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "adam":
        optimizer = keras.optimizers.Adam(trial.suggest_float("adam_learning_rate", 1e-3, 1e-1, log=True))
    else:
        optimizer = keras.optimizers.SGD(trial.suggest_float("sgd_learning_rate", 1e-3, 1e-1, log=True), momentum=0.9)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(trial):
    callbacks = [keras.callbacks.ReduceLROnPlateau(patience=2), keras.callbacks.EarlyStopping(patience=8)]
    return {"batch_size": trial.suggest_categorical("batch_size", [32, 64]), "callbacks": callbacks}


study = StudySpec(
    name="interrupted", dataset="digits", folds=Holdout(0.2), build=build, fit=fit, monitor="val_accuracy",
    direction="maximize", epochs=%(epochs)d, n_trials=%(trials)d, seed=1,
    pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=2, n_min_trials=2),
)
'''


class Check:
    """A folder with the study file, and what was seen so far."""

    def __init__(self, folder: Path, trials: int, epochs: int) -> None:
        self.folder = folder
        self.study_file = folder / "interrupted.py"
        self.study_file.write_text(STUDY % {"trials": trials, "epochs": epochs})
        self.problems: list[str] = []

    def expect(self, holds: bool, what: str) -> None:
        """Note a problem unless `holds`."""
        if not holds:
            self.problems.append(what)
            print(f"  NOT SO: {what}", flush=True)

    def start(self, run: str) -> subprocess.Popen[bytes]:
        """Start the command that makes or goes on with the study of `run`."""
        command = [sys.executable, "-m", "autotune", "run", str(self.study_file)]
        command += ["--workers", "1", "--run-dir", str(self.folder / run), "--storage", self.storage(run)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, **pipes)

    def storage(self, run: str) -> str:
        """Return the storage URL of `run`."""
        (self.folder / run).mkdir(exist_ok=True)
        return f"sqlite:///{self.folder / run / 'autotune.db'}"

    def trials(self, run: str) -> list[optuna.trial.FrozenTrial]:
        """Return the trials of `run` as plain Optuna sees them; none if it has not begun."""
        try:
            return optuna.load_study(study_name="interrupted", storage=self.storage(run)).trials
        except KeyError:
            return []

    def interrupt(self, process: subprocess.Popen[bytes], name: str) -> None:
        """Send a signal and see whether the command ends as it promises."""
        if name == "KILL":
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for member in family:
                member.kill()
            process.wait()
            psutil.wait_procs(family, timeout=10)
            return
        sent = time.monotonic()
        process.send_signal(getattr(signal, f"SIG{name}"))
        said = process.communicate()[1].decode()
        seconds = time.monotonic() - sent
        if not said and all(trial.state.is_finished() for trial in self.trials("disturbed")):
            print("  complete before the signal came", flush=True)  # it may come while Python ends
            return
        first = (said.splitlines() or ["(it said nothing)"])[0]
        print(f"  ended with {process.returncode} after {seconds:.1f} s: {first}", flush=True)
        self.expect(process.returncode == 130, f"the exit code after {name} is 130, not {process.returncode}")
        self.expect(seconds < 10, f"the command ends within 10 s, not {seconds:.1f}")
        self.expect("Traceback" not in said, f"it ends without a traceback:\n{said}")
        if "before a trial was started" in said:
            return  # a trial that an earlier SIGKILL left RUNNING is taken over by the next run that begins
        running = [t.number for t in self.trials("disturbed") if t.state == optuna.trial.TrialState.RUNNING]
        self.expect(not running, f"no trial is left RUNNING after {name}, not {running}")


def main() -> int:
    """Run the check and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--signals", default="KILL,INT,TERM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        check = Check(Path(folder), options.trials, options.epochs)
        started = time.monotonic()
        code = check.start("quiet").wait()
        longest = time.monotonic() - started
        check.expect(code == 0, f"the quiet run exits with 0, not {code}")
        print(f"The quiet run took {longest:.0f} s.", flush=True)
        _disturb(check, options.times, options.signals.split(","), random.Random(options.seed), longest)
        _compare(check, options.trials)
    print("Equal, bit for bit." if not check.problems else f"{len(check.problems)} things are not as they should be.")
    return 1 if check.problems else 0


def _disturb(check: Check, times: int, names: list[str], chance: random.Random, longest: float) -> None:
    for number in range(times):
        name = names[number % len(names)]
        process = check.start("disturbed")
        wait = chance.uniform(0.3, min(longest, 9.0))
        try:
            code = process.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            before = [(t.number, t.state.name, len(t.intermediate_values)) for t in check.trials("disturbed")]
            print(f"{number + 1}. {name} after {wait:.1f} s, at {before[-1] if before else 'no trial'}", flush=True)
            check.interrupt(process, name)
            _expect_kept(check, before)
        else:
            check.expect(code == 0, f"a run that is left alone exits with 0, not {code}")
            print(f"{number + 1}. complete before its interruption", flush=True)
    code = check.start("disturbed").wait()
    check.expect(code == 0, f"the last run exits with 0, not {code}")


def _expect_kept(check: Check, before: list[tuple[int, str, int]]) -> None:
    after = {t.number: len(t.intermediate_values) for t in check.trials("disturbed")}
    check.expect(all(after.get(number, -1) >= reports for number, _, reports in before), "no report is lost")


def _compare(check: Check, n_trials: int) -> None:
    quiet, disturbed = (
        [(t.number, t.state.name, t.params, t.intermediate_values, t.values) for t in check.trials(run)]
        for run in ("quiet", "disturbed")
    )
    check.expect(len(disturbed) == n_trials, f"there are {n_trials} trials, not {len(disturbed)}")
    for one, other in zip(quiet, disturbed, strict=False):
        print(f"trial {one[0]}: {one[1]}, {len(one[3])} epochs, {one[4]}", flush=True)
        check.expect(one == other, f"trial {one[0]} is the same:\n    {one}\n    {other}")


if __name__ == "__main__":
    sys.exit(main())
