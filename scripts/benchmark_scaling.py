"""How many trials a minute there are with 1 to 64 slots, on each kind of storage, beside the ideal.

Sleeping trials show what the framework costs: each draws a parameter, and reports and asks the pruner five times in
its sleep. The ideal is slots / seconds. The time counts from the start of the first trial to the end of the last.
With --mnist it shows as well what two slots of one thread do against one slot of two, with real MNIST trials.

Usage: python scripts/benchmark_scaling.py [--storages sqlite,postgresql,journal,grpc] [--slots 1,2,4,8,16,64]
           [--seconds 5] [--rounds 12] [--mnist DATA_DIR]

Measured at commit 207efa9 (one run each, 2 shared x86-64 cores, Python 3.11.7, Optuna 5.0), percent of the ideal:

    slots            1     2     4     8    16    64
    sqlite        98.9  98.2  97.4  97.4  96.1  87.5    --rounds 4
    postgresql    98.8  98.7  98.2  97.6  96.6  91.3    --rounds 4
    journal       99.3  99.3  98.8  98.2  97.3  92.3    --rounds 4
    grpc          98.7  98.5  97.6  96.8  95.8  87.5    --rounds 4, in front of PostgreSQL
    postgresql                                  93.8    --rounds 12, 720.6 trials/min

Few rounds show less: at the start all slots want a trial at once, later they have spread out. With real MNIST trials
(--storages "" --mnist DIR, at commit 1beb223, two runs): 38.6 and 36.3 s with one slot of two threads, 22.1 and 23.0 s
with two slots of one thread, 1.66 times as many trials.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from storage_kinds import KINDS, new_storage

SLEEPING = """
import time

import optuna

from autotune import StudySpec


def objective(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    for step in range(1, 6):
        time.sleep(%(seconds)f / 5)
        trial.report(x, step)
        trial.should_prune()
    return x


study = StudySpec(name="scaling", objective=objective, direction="minimize", n_trials=%(trials)d,
                  pruner=optuna.pruners.NopPruner())
"""
MNIST = """
import keras

from autotune import Holdout, StudySpec, models


def build(trial, data):
    rate = trial.suggest_float("learning_rate", 1e-3, 1.0001e-3)
    return models.build_cnn(data, blocks=1, filters=16, optimizer=keras.optimizers.Adam(rate))


study = StudySpec(name="scaling", dataset="mnist", folds=Holdout(0.1), build=build, fit=lambda t: {"batch_size": 128},
                  monitor="val_accuracy", direction="maximize", epochs=2, n_trials=4, keep_models=0)
"""


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storages", default=",".join(KINDS))
    parser.add_argument("--slots", default="1,2,4,8,16,64")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=12, help="trials for each slot")
    parser.add_argument("--mnist", metavar="DATA_DIR")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}", flush=True)
    slots = [int(number) for number in options.slots.split(",") if number]
    for kind in filter(None, options.storages.split(",")):
        _print_sleeping(kind, slots, options.seconds, options.rounds)
    if options.mnist:
        _print_mnist(options.mnist)
    return 0


def _print_sleeping(kind: str, slots: list[int], seconds: float, rounds: int) -> None:
    print(
        f"\n{kind}: trials of {seconds:g} s, {rounds} for each slot\n  slots  trials/min    ideal   of it", flush=True
    )
    for number in slots:
        with tempfile.TemporaryDirectory() as folder, new_storage(kind, Path(folder)) as url:
            code = SLEEPING % {"seconds": seconds, "trials": number * rounds}
            trials = _run(Path(folder), code, url, ["--workers", str(number)])
        speed = len(trials) / _seconds(trials) * 60
        ideal = number / seconds * 60
        print(f"  {number:5d}  {speed:10.1f} {ideal:8.1f}  {speed / ideal:6.1%}", flush=True)


def _print_mnist(data_dir: str) -> None:
    print("\nreal MNIST, 4 trials of 2 epochs: seconds from the first start to the last end", flush=True)
    found: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(2):  # each way twice, in turns: the machine may be busier at times
        for workers in (1, 2) if turn == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{folder}/autotune.db"
                arguments = ["--workers", str(workers), "--data-dir", data_dir, "--gpus", "none"]
                found[workers].append(_seconds(_run(Path(folder), MNIST, url, arguments)))
            print(f"  {workers} slot(s) of {2 // workers} thread(s): {found[workers][-1]:.1f} s", flush=True)
    ratio = statistics.mean(found[1]) / statistics.mean(found[2])
    print(f"  two slots of one thread finish {ratio:.2f} times as many trials as one slot of two threads")


def _run(folder: Path, code: str, url: str, arguments: list[str]) -> list[FrozenTrial]:
    (folder / "scaling.py").write_text(code)
    command = [sys.executable, "-m", "autotune", "run", str(folder / "scaling.py"), "--storage", url]
    done = subprocess.run([*command, "--run-dir", str(folder / "runs"), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the run failed:\n{done.stdout}{done.stderr}")
    from autotune.running.storages import open_storage

    trials = optuna.load_study(study_name="scaling", storage=open_storage(url)).get_trials()
    assert all(trial.state == TrialState.COMPLETE for trial in trials)
    return trials


def _seconds(trials: list[FrozenTrial]) -> float:
    first = min(trial.datetime_start for trial in trials if trial.datetime_start)
    return (max(trial.datetime_complete for trial in trials if trial.datetime_complete) - first).total_seconds()


if __name__ == "__main__":
    sys.exit(main())
