"""What each shortcut of ours saves, beside the way of the library that it replaces: both in turn, in one process.

Studies of 100, 1,000 and 10,000 trials, the latter two of which are long searches, with 20 reports each (as
scripts/large_study.py makes them), in SQLite. Each line says how long one call takes with the shortcut and without it:

- read: all trials of a study from the database (autotune/running/storages/rows.py)
- write: one report into the database (autotune/running/storages/quick.py)
- suggest: one suggestion of TPE (autotune/search/samplers/thinning.py)
- show: the answer with which the dashboard draws a study (autotune/results/dashboard/few_curves.py)
- train: one epoch of a small network on 1,000 rows in batches of 32 (autotune/training/fitting/grouping.py)
- start: a process that has Keras imported (autotune/running/processes/fork_server.py)

Usage: python scripts/benchmark_shortcuts.py [--trials 100,1000,10000] [--calls 9] [--only read,write,...]
Prints medians and their ratio. The calls with and without a shortcut alternate, so that other work on the machine slows
both.

Measured on 2 shared x86-64 cores without other work, Python 3.11.7, Optuna 5.0, TensorFlow 2.21, commit b94c82a, one
run: medians of 7 calls each in ms (with, without):

    trials       100             1,000             10,000
    read          19, 108        136, 1,953        1,664, 20,866
    write x 10     3,  26          3,    17            4,     30
    suggest       42,  42         42,    85           37,    659
    show          36,  45        431,   611        2,752,  5,046
    start         40, 7,686
    train        109, 160

Deleted, because it did not pay: a percentile pruner that read each finished trial once. Optuna's own takes 0.4, 0.8 and
3.7 ms for a decision, ours took 0.1, 0.2 and 0.3.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
from large_study import fill
from optuna.storages import RDBStorage
from optuna.trial import TrialState

Call = Callable[[], object]
Pair = tuple[str, Call, Call]


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", default="100,1000,10000")
    parser.add_argument("--calls", type=int, default=9, help="calls of each way, in turn")
    parser.add_argument("--only", default="read,write,suggest,show,train,start")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {commit.stdout.strip()}")
    only = options.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        for n_trials in map(int, options.trials.split(",")):
            for pair in _of_a_study(Path(folder) / str(n_trials), n_trials, only):
                _compare(pair, options.calls)
        for pair in _of_a_trial(only):
            _compare(pair, options.calls)
    return 0


def _compare(pair: Pair, n_calls: int) -> None:
    name, ours, theirs = pair
    ours(), theirs()  # what is done once
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(n_calls):
        for call, spent in zip((ours, theirs), seconds, strict=True):
            began = time.perf_counter()
            call()
            spent.append(time.perf_counter() - began)
    with_it, without = (1000 * statistics.median(spent) for spent in seconds)
    print(f"{name:24} with {with_it:9.2f} ms   without {without:9.2f} ms   {without / with_it:6.1f} times", flush=True)


def _of_a_study(folder: Path, n_trials: int, only: list[str]) -> Iterator[Pair]:
    """Give the calls whose time depends on how many trials a study has."""
    from autotune.running.storages import open_storage, sqlite_url
    from autotune.search.history import GivenTrials, StorageView
    from autotune.search.samplers import SeededSampler, tpe

    folder.mkdir()
    storage = open_storage(sqlite_url(folder / "study.db"))
    study = fill(storage, folder, n_trials, n_reports=20)
    database: Any = storage.inner._backend
    study_id = study._study_id
    read = lambda kind: kind._get_trials(database, study_id, None, set(), -1)  # noqa: E731 -- reason: said once
    if "read" in only:
        yield f"read, {n_trials} trials", lambda: read(type(database)), lambda: read(RDBStorage)
    if "write" in only:
        trial_id, steps = storage.create_new_trial(study_id), itertools.count()
        storage.set_trial_state_values(trial_id, TrialState.RUNNING)

        def write(kind: Any) -> None:
            for _ in range(10):
                kind.set_trial_intermediate_value(database, trial_id, next(steps), 0.5)

        yield f"write x 10, {n_trials} trials", lambda: write(type(database)), lambda: write(RDBStorage)
    trials = storage.get_all_trials(study_id, deepcopy=False)
    known = optuna.Study(study.study_name, StorageView(study, GivenTrials(trials)))
    if "suggest" in only:
        samplers = SeededSampler(tpe, 0), SeededSampler(lambda seed: tpe(seed), 0)  # which is not known to be TPE
        yield f"suggest, {n_trials} trials", *(_suggest(one, known, storage) for one in samplers)  # type: ignore[misc]  # reason: two
    if "show" in only:
        yield f"show, {n_trials} trials", *_shown(storage, study_id)  # type: ignore[misc]  # reason: two


def _suggest(sampler: Any, study: optuna.Study, storage: Any) -> Call:
    study_id = storage.get_study_id_from_name(study.study_name)

    def suggest() -> None:
        trial = storage.get_trial(storage.create_new_trial(study_id))
        sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))

    return suggest


def _shown(storage: Any, study_id: int) -> tuple[Call, Call]:
    """Return how the dashboard's server answers a page that asks for all trials, with few curves and with all."""
    import optuna_dashboard

    from autotune.results.dashboard import FewCurves

    def asking(app: Any) -> Call:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": f"/api/studies/{study_id}",
            "QUERY_STRING": "after=0",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
        }
        return lambda: b"".join(app(dict(environ), lambda *head: None))

    return asking(optuna_dashboard.wsgi(FewCurves(storage))), asking(optuna_dashboard.wsgi(storage))


def _of_a_trial(only: list[str]) -> Iterator[Pair]:
    if "start" in only:
        yield "start", *_started()  # type: ignore[misc]  # reason: two
    if "train" in only:
        yield "train", *_trained()  # type: ignore[misc]  # reason: two


class _Ready:
    """A task: say that Keras is imported."""

    def __call__(self, connection: Any) -> None:
        import keras

        connection.send(keras.__version__)


def _started() -> tuple[Call, Call]:
    from autotune.running.processes import new_launcher

    launcher = new_launcher(("keras", "tensorflow"), dict(os.environ))

    def start() -> None:
        process = launcher.start(_Ready())
        process.connection.recv()
        process.exit_status()

    return start, lambda: subprocess.run([sys.executable, "-c", "import keras"], capture_output=True, check=True)


def _trained() -> tuple[Call, Call]:
    import keras
    import numpy as np

    from autotune import Dataset
    from autotune.training.fitting import Batches, configure_tensorflow, in_groups

    configure_tensorflow(1)  # as in a trial process
    chance = np.random.default_rng(0)
    data = Dataset(chance.random((1000, 8, 8, 1), np.float32), chance.integers(0, 10, 1000))

    def training(size: int) -> Call:
        layers = keras.layers
        model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(16, 3), layers.Flatten(), layers.Dense(10)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        rows = Batches(data, 32, pass_seed=lambda epoch: epoch)
        epochs = _epochs(model, rows, size)
        return lambda: next(epochs)

    def _epochs(model: Any, rows: Batches, size: int) -> Iterator[None]:
        """Train one epoch for each request, all in one `fit`, as a trial does."""
        import threading

        turn, done = threading.Semaphore(0), threading.Semaphore(0)

        class Wait(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                turn.acquire()

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                done.release()

        def fit() -> None:
            with in_groups(model, rows, None, size) as (x, _):
                model.fit(x, epochs=1_000_000, verbose=0, callbacks=[Wait()])

        threading.Thread(target=fit, daemon=True).start()
        while True:
            turn.release()
            done.acquire()
            yield

    return training(16), training(1)


if __name__ == "__main__":
    sys.exit(main())
