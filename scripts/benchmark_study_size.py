"""What a study of 10,000 trials with 20 reports each costs: per trial, to be looked at, and to be reported on.

A study is filled with trials as Keras studies have them, all but 2 % of them complete or pruned. Then one slot runs
trials as `autotune run` does: it claims one, asks TPE for its parameters, takes 20 reports and asks the pruner after
each, and tells the result. The trial itself is a process that trains nothing in between, so that all that is counted is
what the parent does, and the way between the two; starting a process (14 ms) is not in it. Then the commands are run,
each in a process of its own, from its start to its end.

Seen on 2 shared x86-64 cores, Python 3.11.7, Optuna 5.0, with 10,000 trials of 20 reports (one run each, 50 trials
measured, 15 of them "before"). Medians of a trial in ms, its 95 % in brackets, commands in s:

    commit                        whole         ask  reports  tell  CPU   status  best  report, size
    before, 2cac92f, load 1 to 2
      sqlite                1060 (1307)         754      165   129         14.6   13.2   224   2.6 MB
      postgresql            1069 (1351)         809      136   139         15.9   14.0   290   2.6 MB
    aac754f, no other work
      sqlite                  58   (83)          36       17     4   53     1.0    0.9    11   1.1 MB
      postgresql              73  (100)          40       25     6   55     1.2    1.0    10   1.1 MB
    8806089, no other work
      sqlite                  34   (41)          18       12     3   31     1.0    1.0    11   1.2 MB
    56d730f, load about 1
      sqlite                  38   (74)                              34
      postgresql              51   (74)                              40     1.4    1.8    15   1.2 MB

What the last step is: TPE is shown 300 trials, not 600, and without Optuna's properties (thinning.py in
autotune/search/samplers); the condition of a write is not written anew each time (quick.py in
autotune/running/storages). To ask PostgreSQL whether it is there only where a connection lay idle brought 42 ms, but a
run could then be left without noticing a restart. The speed of the machine itself changes by half over minutes: the
code of aac754f was seen at 56 to 89 ms with SQLite.

Usage: python scripts/benchmark_study_size.py [--storages sqlite,postgresql] [--trials 10000] [--reports 20]
           [--measured 50]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import optuna
from large_study import NAME, SPACE, curve, declaration, fill
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from postgres_server import NoPostgresError, find_binaries
from storage_kinds import new_storage

from autotune.running.engine import Machine, Session
from autotune.running.planning import Plan, Preparer, RunOptions, open_study
from autotune.running.processes import Sharing, Task
from autotune.running.storages import PatientStorage, open_storage
from autotune.running.study import Budget, StudySource, find_places, read_settings
from autotune.running.tracking import Event, TrialEnded
from autotune.running.trial import Assignment, Outcome, PipedTrial, Rows

_COMMANDS = ("status", "best", "report")
_WARM_UP = 5


@dataclass(frozen=True)
class Cost:
    """What one trial has cost its parent, in seconds.

    Attributes:
        ask: From the end of the trial before it to its last parameter.
        reports: Its reports, and the pruner after each.
        tell: From its last report to its end.
        cpu: The CPU time of the parent in all of it; less depends on what else the machine does.
    """

    ask: float
    reports: float
    tell: float
    cpu: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.ask + self.reports + self.tell


class Trials:
    """A launcher with one process, which runs one trial after another and trains nothing.

    Args:
        n_reports: How often each trial reports.

    Attributes:
        times: Receives when a trial had its parameters, and when it had reported all.
    """

    def __init__(self, n_reports: int) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, there = context.Pipe()
        self.times, sent_times = context.Pipe(duplex=False)
        context.Process(target=_run_trials, args=(there, sent_times, n_reports), daemon=True).start()

    def start(self, task: Task) -> Trial:
        """Start a trial."""
        return Trial(self._connection)

    def preload(self, modules: tuple[str, ...]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def last_words(self) -> str:
        """Return nothing."""
        return ""


class Trial:
    """One trial of that process."""

    pid = server = 0

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def kill(self) -> None:
        """Do nothing: the next trial needs it."""

    def exit_status(self) -> int:
        """Return that all is well."""
        return 0


def _run_trials(connection: Connection, times: Connection, n_reports: int) -> None:
    while True:
        trial = PipedTrial(connection)  # waits until the next one is started
        params = _suggested(trial)
        asked = time.perf_counter()
        values = curve(params, n_reports, random.Random(trial.number))
        for step, value in enumerate(values, start=1):
            trial.report(value, step)
            trial.should_prune()  # all of them go on, so that all cost the same
        times.send((asked, time.perf_counter()))
        for key, value in {"best_epoch": 1, "fit_seconds": 1.0, "n_parameters": 1, "process_seconds": 1.0}.items():
            trial.set_user_attr(key, value)
        trial.is_among_best(max(values))
        connection.send(Outcome("complete", max(values)))


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storages", default="sqlite,postgresql")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--reports", type=int, default=20)
    parser.add_argument("--measured", type=int, default=50, help="trials that are run and measured")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {_commit()}", flush=True)
    for kind in options.storages.split(","):
        if reason := _why_not(kind):
            print(f"{kind}: left out: {reason}")
            continue
        with tempfile.TemporaryDirectory() as folder, new_storage(kind, Path(folder)) as url:
            _measure(kind, url, Path(folder), options)
    return 0


def _measure(kind: str, url: str, folder: Path, options: argparse.Namespace) -> None:
    with _timed(f"{kind}: {options.trials} trials of {options.reports} reports, filled in"):
        fill(open_storage(url), folder, options.trials, options.reports)
    began = time.perf_counter()
    costs, ended = _run(url, folder, options)
    print(f"  to the end of the first trial {ended[0] - began:.2f} s")
    for part in ("ask", "reports", "tell", "whole", "cpu"):
        values = [getattr(cost, part) * 1000 for cost in costs]
        quantiles = statistics.quantiles(values, n=20)
        print(f"  {part:8} median {statistics.median(values):6.1f} ms, 95 % below {quantiles[-1]:6.1f} ms", flush=True)
    for command in _COMMANDS:
        with _timed(f"  autotune {command}"):
            _autotune(command, NAME, "--storage", url, "--run-dir", str(folder))
    report = folder / NAME / "report.html"
    print(f"  the report has {report.stat().st_size / 1e6:.1f} MB")


def _run(url: str, folder: Path, options: argparse.Namespace) -> tuple[list[Cost], list[float]]:
    """Run trials in one slot, and return what each has cost, and when it ended."""
    launcher, stopping = Trials(options.reports), threading.Event()
    costs: list[Cost] = []
    ended: list[float] = []
    cpu: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, TrialEnded):
            now = time.perf_counter()
            asked, reported = launcher.times.recv()
            cpu.append(time.process_time())
            if ended:
                costs.append(Cost(asked - ended[-1], reported - asked, now - reported, cpu[-1] - cpu[-2]))
            ended.append(now)
            if len(ended) == options.measured + _WARM_UP:
                stopping.set()

    source, places = StudySource(None, None, None, True), find_places(url, folder, None)
    preparer = Preparer(RunOptions(source, places, observer=observe), launcher, stopping)
    plan = _plan(open_storage(url), folder, source, options)
    Session(preparer, Machine(1, "none"), Sharing(1)).execute(plan)
    return costs[_WARM_UP - 1 :], ended


def _plan(storage: PatientStorage, folder: Path, source: StudySource, options: argparse.Namespace) -> Plan:
    declared = declaration(2 * options.trials, options.reports)
    study = open_study(storage, declared)
    settings = read_settings(study)
    assert settings is not None
    rows = Rows(folder, folder, "none")
    return Plan(
        study=study,
        storage=storage,
        folder=folder / NAME,
        source=source,
        declared=declared,
        rows=rows,
        settings=settings,
        budget=Budget(settings.n_trials),
        assign=lambda trial: Assignment(rows, ("trial", trial.number)),
        known_space=None,
    )


def _suggested(trial: PipedTrial) -> dict[str, Any]:
    """Ask for the parameters of large_study's space in its order."""
    params: dict[str, Any] = {}
    for name, distribution in SPACE.items():
        if name.startswith(("adam_", "sgd_")) and not name.startswith(f"{params['optimizer']}_"):
            continue
        if isinstance(distribution, CategoricalDistribution):
            params[name] = trial.suggest_categorical(name, distribution.choices)
        elif isinstance(distribution, IntDistribution):
            params[name] = trial.suggest_int(name, distribution.low, distribution.high, step=distribution.step)
        else:
            assert isinstance(distribution, FloatDistribution)
            params[name] = trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    return params


def _autotune(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "autotune", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{arguments} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{what} {time.perf_counter() - began:.2f} s", flush=True)


def _why_not(kind: str) -> str | None:
    if kind == "postgresql":
        try:
            find_binaries()
        except NoPostgresError as error:
            return str(error)
    return None


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True)
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "no commit known"


if __name__ == "__main__":
    sys.exit(main())
