"""Disturb a study in every way there is, for a given time, and audit what became of it.

Several parents work on one study in PostgreSQL and share a run dir; with --machines each has its own, so that a result
which a parent could not write down in time has to be computed again by another. At random moments a parent or a trial
process, or a trial's process group, is killed (KILL, TERM) or stopped and continued (STOP, CONT), the database is
restarted, at once or after a pause, or an attribute of another study in it is garbled. Each trial starts processes that
never end. Parents that have ended are started again. When the time is over all is left in peace, and the audit asks:
exactly the budget, no trial lost, none running, none trained twice to its end, no process left behind, every study that
can be read in `autotune status`, and every value and report equal, bit for bit, to that of a quiet run of the same
configurations with the same seed. At last the database of a study in SQLite is deleted, moved and replaced under it.

Usage: python scripts/chaos.py [--seconds 600] [--seed 0] [--study toy|keras] [--parents 3] [--slots 2] [--trials N]
           [--machines]
Prints what was done and what was found; exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import contextlib
import os
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
import sqlalchemy
from chaos_files import lose_databases
from chaos_studies import STUDIES, TRIAL_S, compare_with_quiet_run, left_behind, run_command
from optuna.trial import FrozenTrial, TrialState
from postgres_server import PostgresServer

LEASE_S = 4.0
ACTIONS = {
    "kill a parent": 3,
    "terminate a parent": 3,
    "stop a parent": 3,
    "kill a trial": 4,
    "terminate a trial": 2,
    "stop a trial": 3,
    "kill a group": 2,
    "kill a process server": 1,
    "restart the database": 1,
    "garble an attribute": 2,
}

GARBAGE = ("{", "null", "[]", "1e999", '"\\u001b[2J"', '{"threads": "../../.."}', "")


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
        self._has_other = False
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
        elif what == "attribute":
            self._garble_attribute()
        else:
            found = {"parent": [psutil.Process(parent.process.pid)], "trial": parent.trials(), "group": parent.trials()}
            victims = found.get(what, parent.servers())
            if not victims:
                return
            victim = self.chance.choice(victims)
            if what == "group":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(victim.pid, signal.SIGKILL)
            else:
                self._signal(victim, verb)
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
        options = ["--storage", self.url, "--workers", str(self.slots), "--lease", str(LEASE_S)]
        command = run_command(self.study_file, run_dir, *options)
        with parent.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _signal(self, victim: psutil.Process, verb: str) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if verb == "stop":
                victim.send_signal(signal.SIGSTOP)
                self._continue_at.append((time.monotonic() + self.chance.uniform(0.5, 2.5 * LEASE_S), victim))
            else:
                victim.send_signal(signal.SIGKILL if verb == "kill" else signal.SIGTERM)

    def _garble_attribute(self) -> None:
        """Write what nobody expects into an attribute of a copy of the study, or of one of its trials."""
        if not self._has_other:  # Optuna could not say so once that is garbled
            if not self.trials():
                return
            self._has_other = True
            optuna.copy_study(
                from_study_name="chaos", from_storage=self.url, to_storage=self.url, to_study_name="other"
            )
        of, kind = self.chance.choice(["study", "trial"]), self.chance.choice(["user", "system"])
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        study = "(SELECT study_id FROM studies WHERE study_name = 'other')"
        whose = f"IN (SELECT trial_id FROM trials WHERE study_id = {study})" if of == "trial" else f"= {study}"
        with engine.begin() as connection:
            table = f"{of}_{kind}_attributes"
            keys = connection.exec_driver_sql(f"SELECT DISTINCT key FROM {table} WHERE {of}_id {whose}").scalars().all()
            if keys:
                update = sqlalchemy.text(f"UPDATE {table} SET value_json = :value WHERE key = :key AND {of}_id {whose}")
                connection.execute(update, {"value": self.chance.choice(GARBAGE), "key": self.chance.choice(keys)})

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
            n_losses = max(1, int(options.seconds / 60))
            n_trials = 4 * n_losses  # a run may end another trial, or two, before it is noticed
            study = STUDIES[options.study] % {"trials": n_trials}
            problems += lose_databases(Path(folder) / "files", study, n_trials, n_losses)
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
    problems += [f"nothing is left behind: {process}" for process in left_behind(drill.folder)]
    problems += _look(drill)
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
    return problems + compare_with_quiet_run(drill.study_file, [t for t in trials if t.state == TrialState.COMPLETE])


def _look(drill: Drill) -> list[str]:
    command = [sys.executable, "-m", "autotune", "status", "--storage", drill.url, "--run-dir", str(drill.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and "chaos" in done.stdout and "Traceback" not in done.stderr:
        return []
    return [f"`autotune status` shows what can be read: {done.returncode}\n{done.stdout}{done.stderr[-2000:]}"]


if __name__ == "__main__":
    sys.exit(main())
