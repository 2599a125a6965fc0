"""Many slots, several parents and a polled dashboard on one storage: the trials must come out exact, each run once.

Usage: python scripts/stress_storage.py [--storage sqlite] [--slots 16] [--trials 320] [--seconds 1.0] [--parents 1]
           [--machines]
Prints what was found; exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import optuna
from storage_kinds import KINDS, new_storage

from autotune.running.storages import open_storage

STUDY = """
import time
from pathlib import Path

from autotune import StudySpec


def objective(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    with Path(__file__).with_name("calls.log").open("a") as calls:
        calls.write(f"{{trial.number}}\\n")
    for step in range(1, 5):
        time.sleep({seconds} / 4)
        trial.report(x + step, step)
        trial.should_prune()
    return x


study = StudySpec(name="stress", objective=objective, direction="minimize", n_trials={trials}, seed=0)
"""


def main() -> int:
    """Run the stress and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", choices=KINDS, default="sqlite")
    parser.add_argument("--machines", action="store_true", help="give each parent a run dir of its own")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--trials", type=int, default=320)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--parents", type=int, default=1)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as name, new_storage(options.storage, Path(name)) as storage:
        folder = Path(name)
        (folder / "stress.py").write_text(STUDY.format(seconds=options.seconds, trials=options.trials))
        optuna.create_study(
            study_name="other", storage=open_storage(storage)
        )  # so that the dashboard has a file to open
        started = time.monotonic()
        with Dashboard(storage, folder) as dashboard:
            outputs = _run_parents(folder, storage, options)
        seconds = time.monotonic() - started
        trials = optuna.load_study(study_name="stress", storage=open_storage(storage)).trials
        calls = Counter((folder / "calls.log").read_text().split())
    ideal = options.trials * options.seconds / (options.slots * options.parents)
    print(f"{len(trials)} trials in {seconds:.1f} s (ideal {ideal:.1f} s), dashboard polled {dashboard.polls} times")
    problems = _problems(trials, options.trials, [*outputs, dashboard.errors])
    if set(calls.values()) != {1} or len(calls) != options.trials:
        problems.append(f"each trial was run once: {calls.most_common(3)}, {len(calls)} trials")
    for problem in problems:
        print(f"NOT SO: {problem}")
    return 1 if problems else 0


class Dashboard:
    """`autotune dashboard` on a storage, polled as an open page polls it."""

    def __init__(self, storage: str, folder: Path) -> None:
        self._log = folder / "dashboard.txt"
        command = [sys.executable, "-m", "autotune", "dashboard", "--port", "0", "--storage", storage]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self._over = threading.Event()
        self._poller = threading.Thread(target=self._poll)
        self.polls = 0
        self.errors = ""

    def __enter__(self) -> Dashboard:
        self._poller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._poller.join()
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self.errors += self._log.read_text()

    def _poll(self) -> None:
        assert self._process.stdout is not None
        found = re.search(r"http://\S+", self._process.stdout.readline())
        if found is None:
            self.errors += "the dashboard did not start"
            return
        while not self._over.wait(0.2):
            try:
                studies = json.loads(_get(f"{found[0]}api/studies"))
                for study in studies["study_summaries"]:
                    _get(f"{found[0]}api/studies/{study['study_id']}")
                self.polls += 1
            except OSError as error:
                self.errors += f"{error}\n"


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        content: bytes = answer.read()
        return content


def _run_parents(folder: Path, storage: str, options: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "autotune", "run", str(folder / "stress.py"), "--workers", str(options.slots)]
    command += ["--storage", storage, "--run-dir"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    run_dirs = [folder / (f"machine-{n}" if options.machines else "runs") for n in range(options.parents)]
    processes = [subprocess.Popen([*command, str(run_dir)], **pipes) for run_dir in run_dirs]
    outputs = [process.communicate()[0] for process in processes]
    return [f"{output}\nexit code {p.returncode}" for output, p in zip(outputs, processes, strict=True)]


def _problems(trials: list[optuna.trial.FrozenTrial], expected: int, outputs: list[str]) -> list[str]:
    states = Counter(trial.state.name for trial in trials)
    finished = states["COMPLETE"] + states["PRUNED"]
    problems = [f"{expected} trials are finished, not {finished}"] if finished != expected else []
    if states["RUNNING"] or states["FAIL"]:
        problems.append(f"no trial is running or failed: {dict(states)}")
    if any(trial.state.is_finished() and len(trial.intermediate_values) != 4 for trial in trials):
        problems.append("every trial has four reports")
    for output in outputs:
        if "locked" in output or "Traceback" in output or ("exit code" in output and "exit code 0" not in output):
            problems.append(f"an output without errors:\n{output[-2000:]}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
