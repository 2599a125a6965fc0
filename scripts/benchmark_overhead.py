"""Where the time of a trial goes, beside a bare Keras loop over the same hyperparameters.

1. How long a trial process takes to start, once the fork server is up.
2. Trials of a study with one worker and no pruning: the wall-clock time of each, how much of it was `Model.fit`, and
   the rest: process, data, build, suggestions, storage, saving the model. Checkpoints and reports happen in `fit`.
3. The same hyperparameters in a plain loop of build and fit in one process, with the same number of threads, before
   and after 2, since the machine may be noisy. The ratio of the two totals is what isolation and safety cost.

Usage: python scripts/benchmark_overhead.py [STUDY_FILE] [--trials 6] [--epochs N] [--data-dir DIR]
Say with every figure: the commit, the machine and its cores, and this command.

Measured at commit 24a4e07 on a shared virtual machine with two x86-64 cores, Python 3.11.7, TensorFlow 2.21, with
`--trials 5` (digits, 20 epochs of about a quarter of a second, seed 0, one thread): a trial process starts in 18 ms
(median of 20; slowest 20 ms); 0.70 s of a trial, 7.4 % of it, is spent outside `fit`; the trials take 1.32 times as
long as the bare loop, which writes no checkpoints and is not deterministic.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import optuna

import autotune
from autotune.running.events import Event, TrialEnded
from autotune.running.planning import KERAS_MODULES
from autotune.running.processes import new_launcher

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study_file", nargs="?", default=str(ROOT / "studies" / "digits_cnn.py"))
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _print_conditions()
    _measure_starts(options.starts)
    _measure_trials(options)


def _print_conditions() -> None:
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    print(f"commit {commit or 'unknown'}, {platform.machine()}, {os.cpu_count()} cores, {platform.python_version()}")


def _say_hello(connection: Connection) -> None:
    connection.send("hello")


def _measure_starts(n: int) -> None:
    launcher = new_launcher(KERAS_MODULES, {"TF_CPP_MIN_LOG_LEVEL": "2"})
    milliseconds = []
    for _ in range(n + 1):
        started = time.monotonic()
        process = launcher.start(_say_hello)
        process.connection.recv()
        milliseconds.append(1000 * (time.monotonic() - started))
        process.exit_status()
    launcher.close()
    first, others = milliseconds[0], milliseconds[1:]
    print(f"fork server with TensorFlow up after {first / 1000:.1f} s")
    print(f"start of a trial process: median {statistics.median(others):.0f} ms, slowest {max(others):.0f} ms, n={n}")


def _measure_trials(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ended: list[TrialEnded] = []

        def observe(event: Event) -> None:
            if isinstance(event, TrialEnded):
                ended.append(event)

        study_file = Path(folder) / "unpruned.py"
        study_file.write_text(Path(options.study_file).read_text() + _UNPRUNED)
        study = autotune.run(
            study_file,
            n_trials=options.trials,
            workers=1,
            epochs=options.epochs,
            run_dir=folder,
            storage=f"sqlite:///{folder}/autotune.db",
            data_dir=options.data_dir,
            observer=observe,
        )
        settings = study.user_attrs["autotune"]
        configurations = [trial.params for trial in study.trials]
        plain = partial(_bare_in_new_process, str(study_file), configurations, settings)
        before, after = plain(), plain()
    _print_table(ended, study, [(one + other) / 2 for one, other in zip(before, after, strict=True)])


_UNPRUNED = """

import dataclasses

study = dataclasses.replace(study, pruner=optuna.pruners.NopPruner())
"""


def _print_table(ended: list[TrialEnded], study: optuna.Study, bare: list[float]) -> None:
    print(f"{'trial':>5} {'wall s':>8} {'fit s':>8} {'outside s':>10} {'outside %':>10} {'bare s':>8} {'ratio':>6}")
    fits = {trial.number: trial.user_attrs["fit_seconds"] for trial in study.trials}
    for event, plain in zip(ended, bare, strict=True):
        outside = event.seconds - fits[event.number]
        share = 100 * outside / event.seconds
        ratio = event.seconds / plain
        print(
            f"{event.number:>5} {event.seconds:>8.2f} {fits[event.number]:>8.2f} {outside:>10.2f} {share:>10.1f} "
            f"{plain:>8.2f} {ratio:>6.2f}"
        )
    walls = sum(event.seconds for event in ended)
    outside = walls - sum(fits.values())
    print(
        f"all: {walls:.1f} s, of which outside fit {outside:.1f} s ({100 * outside / walls:.1f} %), "
        f"{outside / len(ended):.2f} s per trial; bare loop {sum(bare):.1f} s; ratio {walls / sum(bare):.2f}"
    )


def _bare_in_new_process(
    study_file: str, configurations: list[dict[str, Any]], settings: dict[str, Any]
) -> list[float]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    process = context.Process(target=_bare_loop, args=(theirs, study_file, json.dumps(configurations), settings))
    process.start()
    seconds: list[float] = ours.recv()
    process.join()
    return seconds


def _bare_loop(connection: Connection, study_file: str, configurations: str, settings: Mapping[str, Any]) -> None:
    """What people write by hand: for each configuration build the model and fit it on arrays."""
    import keras
    import tensorflow as tf

    from autotune.data import load_development, split

    tf.config.threading.set_intra_op_parallelism_threads(settings["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(settings["threads"])
    spec = autotune.load_study_file(study_file)
    assert spec.build is not None
    assert isinstance(spec.dataset, str)
    data = load_development(spec.dataset, Path(settings["data_dir"]) if settings["data_dir"] else None)
    (fold, *_) = split(spec.folds, data.y, spec.seed)
    train, validation = data.take(fold.train), data.take(fold.validation)
    seconds = []
    for params in json.loads(configurations):
        started = time.monotonic()
        keras.utils.set_random_seed(0)
        trial: Any = optuna.trial.FixedTrial(params)
        model = spec.build(trial, data)
        arguments = dict(spec.fit(trial)) if spec.fit else {}
        model.fit(*train, validation_data=validation, epochs=settings["epochs"], verbose=0, **arguments)
        seconds.append(time.monotonic() - started)
        keras.backend.clear_session()
    connection.send(seconds)


if __name__ == "__main__":
    main()
