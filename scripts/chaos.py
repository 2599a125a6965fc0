"""Disturb a study in every way there is, for a given time, and audit what became of it.

Several parents work on one study in PostgreSQL and share a run dir; with --machines each has its own, so that a result
which a parent could not write down in time has to be computed again by another. At random moments a parent or a trial
process is killed (KILL, TERM) or stopped and continued (STOP, CONT), or the database is restarted, at once or after a
pause. Parents that have ended are started again. When the time is over all is left in peace, and the audit asks:
exactly the budget, no trial lost, none running, none trained twice to its end, and every value and report equal, bit
for bit, to that of a quiet run of the same configurations with the same seed.

Usage: python scripts/chaos.py [--seconds 600] [--seed 0] [--study toy|keras] [--parents 3] [--slots 2] [--trials N]
           [--machines]
Prints what was done and what was found; exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState
from postgres_server import PostgresServer

LEASE_S = 4.0
HEAD = '''"""A small study with chance in it, which notes when a trial has been trained to its end."""

import os
import time
from pathlib import Path

import numpy as np
import optuna

from autotune import Holdout, StudySpec

ENDS = Path(__file__).with_name("ends.log")


def note_end(number):
    with open(ENDS, "ab", buffering=0) as file:
        file.write(f"{number}\\n".encode())

'''
STUDIES = {
    "toy": HEAD
    + """
def objective(trial):
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
ACTIONS = {
    "kill a parent": 3,
    "terminate a parent": 3,
    "stop a parent": 3,
    "kill a trial": 4,
    "terminate a trial": 2,
    "stop a trial": 3,
    "kill a process server": 1,
    "restart the database": 1,
}


@dataclass
class Parent:
    """A command at work, on what counts as a machine of its own."""

    number: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    exits: list[int] = field(default_factory=list)

    def servers(self) -> list[psutil.Process]:
        """Return its server of trial processes."""
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []

    def trials(self) -> list[psutil.Process]:
        """Return its trial processes."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [child for server in self.servers() for child in server.children()]
        return []


class Drill:
    """A study under way, and what is done to it."""

    def __init__(self, folder: Path, server: PostgresServer, options: argparse.Namespace) -> None:
        self.folder = folder
        self.server = server
        self.url = server.new_database()
        self.chance = random.Random(options.seed)
        self.slots: int = options.slots
        self.study_file = folder / "chaos.py"
        self.study_file.write_text(STUDIES[options.study] % {"trials": options.trials})
        self.has_machines: bool = options.machines
        self.is_keras = options.study == "keras"
        self.parents = [Parent(n, folder / f"parent-{n}.log") for n in range(options.parents)]
        self.done: Counter[str] = Counter()
        self._continue_at: list[tuple[float, psutil.Process]] = []

    def start_missing(self) -> None:
        """Start every parent that does not run."""
        self._note_exits()
        for parent in self.parents:
            if parent.process is None:
                parent.process = self._start(parent)

    def disturb(self) -> None:
        """Do one thing that a study must survive."""
        action = self.chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        verb, _, what = action.split(maxsplit=2)
        parent = self.chance.choice(self.parents)
        assert parent.process is not None
        if what == "database":
            self._restart_database()
        else:
            found = {"parent": [psutil.Process(parent.process.pid)], "trial": parent.trials()}
            victims = found.get(what, parent.servers())
            if not victims:
                return
            self._signal(self.chance.choice(victims), verb)
        self.done[action] += 1

    def let_go_on(self, everything: bool = False) -> None:
        """Continue what was stopped and whose time has come."""
        now = time.monotonic()
        due = [process for when, process in self._continue_at if everything or when <= now]
        self._continue_at = [] if everything else [(w, p) for w, p in self._continue_at if w > now]
        for process in due:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

    def finished(self) -> int:
        """Return how many trials are finished."""
        return sum(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in self.trials())

    def trials(self) -> list[FrozenTrial]:
        """Return the study's trials, as plain Optuna sees them."""
        try:
            return optuna.load_study(study_name="chaos", storage=self.url).get_trials()
        except KeyError:
            return []

    def wait(self) -> None:
        """Leave all in peace until every parent has ended by itself."""
        self.let_go_on(everything=True)
        for _ in range(3):  # one that was told to end just before ends with 130
            self._note_exits()
            for parent in self.parents:
                if parent.process is None and parent.exits[-1] != 0:
                    parent.process = self._start(parent)
            for parent in self.parents:
                if parent.process is not None:
                    parent.process.wait()
        self._note_exits()

    def kill_all(self) -> None:
        """End whatever is left."""
        self.let_go_on(everything=True)
        for parent in self.parents:
            if parent.process is not None and parent.process.poll() is None:
                parent.process.kill()
                parent.process.wait()

    def _note_exits(self) -> None:
        for parent in self.parents:
            if parent.process is not None and (code := parent.process.poll()) is not None:
                parent.exits.append(code)
                parent.process = None

    def _start(self, parent: Parent) -> subprocess.Popen[bytes]:
        run_dir = self.folder / (f"machine-{parent.number}" if self.has_machines else "runs")
        command = [sys.executable, "-m", "autotune", "run", str(self.study_file), "--storage", self.url]
        command += ["--run-dir", str(run_dir), "--workers", str(self.slots), "--lease", str(LEASE_S)]
        with parent.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _signal(self, victim: psutil.Process, verb: str) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if verb == "stop":
                victim.send_signal(signal.SIGSTOP)
                self._continue_at.append((time.monotonic() + self.chance.uniform(0.5, 2.5 * LEASE_S), victim))
            else:
                victim.send_signal(signal.SIGKILL if verb == "kill" else signal.SIGTERM)

    def _restart_database(self) -> None:
        self.server.stop("immediate" if self.chance.random() < 0.5 else "fast")
        time.sleep(self.chance.uniform(0.0, 4.0))
        self.server.start()


def main() -> int:
    """Run the drill and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--study", choices=list(STUDIES), default="toy")
    parser.add_argument("--parents", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--machines", action="store_true", help="give each parent a run dir of its own")
    parser.add_argument("--trials", type=int, help="default: enough to be disturbed for most of the time")
    options = parser.parse_args()
    if options.trials is None:
        options.trials = max(4, int(0.3 * options.seconds * options.parents * options.slots / TRIAL_S[options.study]))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        drill = Drill(Path(folder), server, options)
        try:
            _disturb(drill, options)
            drill.wait()
            problems = _audit(drill, options.trials)
        finally:
            drill.kill_all()
    for problem in problems:
        print(f"NOT SO: {problem}")
    print("All is as it should be." if not problems else f"{len(problems)} things are not as they should be.")
    return 1 if problems else 0


def _disturb(drill: Drill, options: argparse.Namespace) -> None:
    started = time.monotonic()
    drill.start_missing()
    finished = 0
    while time.monotonic() - started < options.seconds and finished < options.trials:
        time.sleep(drill.chance.uniform(0.1, 1.5))
        drill.let_go_on()
        drill.start_missing()
        drill.disturb()
        finished = drill.finished()
    seconds = time.monotonic() - started
    print(f"{seconds:.0f} s, {options.trials} trials, {options.parents} parents x {options.slots} slots; done to it:")
    for action in ACTIONS:
        print(f"  {drill.done[action]:4d} x {action}")
    print(f"{finished} trials were finished when it was left in peace.", flush=True)


def _audit(drill: Drill, n_trials: int) -> list[str]:
    problems = []
    trials = drill.trials()
    states = Counter(trial.state.name for trial in trials)
    print(f"In the end: {dict(states)}; parents ended with {[Counter(p.exits) for p in drill.parents]}")
    if states["COMPLETE"] != n_trials or states["RUNNING"] or states["FAIL"]:
        reasons = Counter(t.user_attrs.get("failure") for t in trials if t.state == TrialState.FAIL)
        problems.append(f"{n_trials} trials are complete, none failed, none runs: {dict(states)} {dict(reasons)}")
    ends = Counter(map(int, (drill.folder / "ends.log").read_text().split()))
    complete = {trial.number for trial in trials if trial.state == TrialState.COMPLETE}
    twice = {number: count for number, count in ends.items() if count > 1}
    print(f"Trained to the end: {len(ends)} trials, {sum(ends.values())} times")
    if set(ends) != complete or (twice and not drill.has_machines):
        problems.append(f"every trial was trained to its end once: {twice}, {set(ends) ^ complete}")
    for parent in drill.parents:
        output = parent.log.read_text(errors="replace")
        # SIGTERM in the first moments of Python itself ends it in Python's way.
        may = {0, 130, -signal.SIGKILL, -signal.SIGTERM}
        if wrong := set(parent.exits) - may or {parent.exits[-1]} - {0}:
            problems.append(f"parent {parent.number} ends with 0 or 130: {wrong}\n{output[-3000:]}")
        if "Traceback" in output or "locked" in output:
            problems.append(f"parent {parent.number} has nothing to complain of:\n{output[-3000:]}")
        if drill.server.password in output:
            problems.append(f"parent {parent.number} keeps the password to itself")
    return problems + _compare_with_quiet_run(drill, [t for t in trials if t.state == TrialState.COMPLETE])


def _compare_with_quiet_run(drill: Drill, disturbed: list[FrozenTrial]) -> list[str]:
    """Run the same configurations, with the same numbers and the same seed, in peace, and compare bit for bit."""
    storage = f"sqlite:///{drill.folder}/quiet.db"
    direction = "minimize" if "minimize" in drill.study_file.read_text() else "maximize"
    study = optuna.create_study(study_name="chaos", storage=storage, direction=direction)
    by_number = {trial.number: trial for trial in disturbed}
    numbers = range(max(by_number, default=-1) + 1)
    for number in numbers:
        study.enqueue_trial(by_number[number].params if number in by_number else {})
    command = [sys.executable, "-m", "autotune", "run", str(drill.study_file), "--storage", storage]
    command += ["--run-dir", str(drill.folder / "quiet"), "--trials", str(len(numbers))]
    command += ["--workers", str(2 if drill.is_keras else 8)]
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


if __name__ == "__main__":
    sys.exit(main())
