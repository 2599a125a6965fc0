"""Take an SQLite database away from a study that runs, again and again, and go on each time from what was saved."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import optuna
from chaos_studies import compare_with_quiet_run, left_behind, run_command

WAYS = ("deleted", "moved", "replaced", "deleted with its log")


def lose_databases(folder: Path, study: str, n_trials: int, n_losses: int) -> list[str]:
    """Disturb a study in a new folder, and return what is not as it should be.

    Args:
        folder: Where, new.
        study: The text of the study file, which has `n_trials` trials.
        n_trials: How many.
        n_losses: How often its database is lost, each time after a trial, if there are trials left.
    """
    folder.mkdir()
    study_file = folder / "chaos.py"
    study_file.write_text(study)
    database, options = folder / "runs" / "autotune.db", ["--workers", "2"]
    for n in range(n_losses):
        way = WAYS[n % len(WAYS)]
        is_over, code, output = _run_and_lose(study_file, database, way, options)
        if is_over:
            n_losses = n
            break
        saved = re.search(r"--storage (sqlite:///(.*\.saved.*\.db))$", output, re.MULTILINE)
        if code != 1 or saved is None or "Traceback" in output or "Best value" in output:
            return [f"a run whose database was {way} ends with 1 and says where it was saved: {code}\n{output[-3000:]}"]
        options, database = ["--workers", "2", "--storage", saved[1]], Path(saved[2])
    done = subprocess.run(
        run_command(study_file, folder / "runs", *options), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        return [f"the last run ends with 0: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"]
    print(f"Its database was lost {n_losses} times.")
    trials = optuna.load_study(study_name="chaos", storage=f"sqlite:///{database}").get_trials()
    states = Counter(trial.state.name for trial in trials)
    problems = [] if states == {"COMPLETE": n_trials} else [f"{n_trials} trials are complete: {dict(states)}"]
    problems += [f"nothing is left behind: {process}" for process in left_behind(folder)]
    return problems + compare_with_quiet_run(study_file, [trial for trial in trials if trial.values])


def _run_and_lose(study_file: Path, database: Path, way: str, options: list[str]) -> tuple[bool, int, str]:
    """Run the study, and take its database away when the next trial has ended.

    Returns:
        Whether it had all its trials before, its exit code, and what it has printed.
    """
    log = study_file.with_suffix(".log")
    command = run_command(study_file, study_file.parent / "runs", *options)
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as run:
        while run.poll() is None and not re.search(r"^\[\d+/\d+\] trial", log.read_text(), re.MULTILINE):
            time.sleep(0.05)
        if run.poll() == 0:
            return True, 0, log.read_text()
        _lose(database, way)
    return False, run.returncode, log.read_text()


def _lose(database: Path, way: str) -> None:
    if way == "moved":
        database.rename(database.with_name("moved.db"))
    elif way == "replaced":
        copy = database.with_name("copy.db")
        shutil.copy(database, copy)
        copy.replace(database)
    else:
        for path in database.parent.glob(f"{database.name}*" if "log" in way else database.name):
            path.unlink()
