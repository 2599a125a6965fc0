"""Where the time of a trial goes, beside a bare Keras loop over the same hyperparameters.

1. How long a trial process takes to start, once the fork server is up.
2. Trials of a study with one worker and no pruning, each followed by the same training in a bare loop: while one of
   them runs the other one waits. What a trial has told of its time is printed phase by phase.

"The same training": the same model, rows, one-hot labels, batch size, callbacks, epochs and number of threads; the
same deterministic operations; validation after each epoch, in batches of the same size. The bare loop builds and fits
one model after the other in one process, on arrays in memory, and has trained before anything is measured. It asks
nobody for hyperparameters and keeps nothing: no checkpoint, no report, no model, no picture, no log.

A trial is measured by the parent, from the claim of the trial until its end is in the storage. CPU seconds are those of
the parent, the fork server and the trial process; on a machine with other work they say more than the clock.

Usage: python scripts/benchmark_overhead.py [STUDY_FILE] [--trials 6] [--epochs N] [--fraction F] [--data-dir DIR]
Say with every figure: the commit, the machine and its cores, and this command.

Measured on a shared virtual machine with two x86-64 cores, Python 3.11.7, TensorFlow 2.21.
- Since groups of batches are trained on in a loop of TensorFlow's own (autotune/training/fitting/grouping.py), no other
  work, commit e266936: `studies/mnist_cnn.py --epochs 5 --trials 1` (54,000 rows, two threads): of 57.3 s of a trial
  55.9 are tracing, training and validation, and 1.4, 2.4 %, all else; the bare loop takes 79.8 s: 0.72 of it by the
  clock, 0.96 in CPU time. One pair. `--epochs 5 --trials 4` (digits, commit cfdd34b): 0.73 by the clock and 0.78 in CPU
  time, medians 1.2 and 1.7 s.
- Before: `studies/mnist_cnn.py --epochs 5 --trials 1` (54,000 rows, two threads, seed 0), commit 5620d93: of
  101.5 s, 99.9 are tracing, training and validation, 0.2 building; all else is 1.4 s, 1.4 %, half of it the confusion
  matrix of a trial that is among the best. The bare loop took 92.5 s, and 142.2 CPU seconds against 148.1. One pair:
  an epoch of either takes from 18 to 29 s. Epochs in turn in one process (6,400 rows, 14 of each) took 2.82 CPU
  seconds with the rows as trials get them and 2.80 with arrays in memory: the training itself costs the same.
- With other work (load 6 to 11) `--trials 3 --fraction 0.05`, which shows what does not grow with the training rows;
  all three trials were among the best of their study when they ended: a model is saved, its mistakes counted and drawn.
  Commit 91373ef: 59.7 CPU seconds against 53.2 (1.2, 1.4 and 3.9 s a trial); commit eee4099, before the changes: 61.9
  against 56.8 (-0.2, 0.3 and 5.0 s). The spread is larger than what was changed; either mean is 1.0 to 1.3 % of the CPU
  seconds of a whole training. By the clock, a trial: checkpoints 361 ms before and 47 after, pictures 7.5 s and
  5.9 s.
- No other work, `--epochs 5 --trials 4` (digits, where a trial takes 2.5 s): tracing 1,146 ms of a trial at commit
  574a1ff and 810 since metrics are built beforehand (adf4a06); a trial 1.16 and 1.08 times as long as the bare loop.
What was changed for it, in CPU milliseconds of one trial: a step is traced once, which was twice (bare Keras still
does), 300 less; checkpoints, as far as training waits for them, from 5 x 50
to 5 x 2; the predictions of 6,000 rows behind a confusion matrix from 920 to 600 (compiled); pictures from 450 to 300
(drawn once, not twice); a model is saved (90) only if it is among the best.
In one process, one thread, an epoch of 17 batches of 64 digits and its validation took 35 ms in groups and 82 one by
one, one of 4,096 rows of MNIST 540 and 811; the same numbers.
What did not help: larger validation batches (the same time with 512 and with 3,000 rows); a picture drawn by the fork
server before the first trial (30 less); XLA, which Keras leaves out where operations are deterministic;
TensorFlow without its graph optimizer: 0.1 s less to trace a network of digits, but the spoken digits' epochs took a
tenth longer, and texts came to other last digits.
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
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, get_args

import optuna
import psutil

import autotune
from autotune.running.planning import KERAS_MODULES
from autotune.running.processes import new_launcher
from autotune.running.tracking import Event, TrialEnded, TrialStarted
from autotune.training.records import Phase

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study_file", nargs="?", default=str(ROOT / "studies" / "digits_cnn.py"))
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the training rows")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _print_conditions()
    _measure_starts(options.starts)
    pairs = _measure_trials(options)
    _print_phases([pair.ended for pair in pairs])
    _print_pairs(pairs)


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


@dataclass(frozen=True)
class Pair:
    """A trial, and the bare loop over its hyperparameters.

    Attributes:
        ended: What the trial has told.
        cpu_s: The CPU seconds of parent, fork server and trial process.
        bare_s: The seconds of the bare loop.
        bare_cpu_s: Its CPU seconds.
    """

    ended: TrialEnded
    cpu_s: float
    bare_s: float
    bare_cpu_s: float


class Comparison:
    """An observer of a run with one slot, which keeps the slot waiting while the bare loop does what a trial has done.

    Args:
        bare: Does so.
        known: The process of the bare loop, whose time is not that of the trials.
    """

    def __init__(self, bare: Connection, known: int) -> None:
        self._bare = bare
        self._known = known
        self._cpu_s = 0.0
        self.pairs: list[Pair] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self._cpu_s = _cpu_seconds(without=self._known)
        elif isinstance(event, TrialEnded):
            cpu_s = _cpu_seconds(without=self._known) - self._cpu_s
            self._bare.send(json.dumps(event.params))
            self.pairs.append(Pair(event, cpu_s, *self._bare.recv()))


def _cpu_seconds(without: int) -> float:
    """Return what this process, those it has started, and those that they have, have spent; but for one of them."""
    me = psutil.Process()
    others = [process for process in me.children(recursive=True) if process.pid != without]
    return sum(sum(process.cpu_times()[:4]) for process in (me, *others))


def _measure_trials(options: argparse.Namespace) -> list[Pair]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    with tempfile.TemporaryDirectory() as folder:
        study_file = Path(folder) / "unpruned.py"
        study_file.write_text(Path(options.study_file).read_text() + _UNPRUNED.format(fraction=options.fraction))
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        facts = {"data_dir": options.data_dir, "epochs": options.epochs, "threads": len(os.sched_getaffinity(0))}
        arguments = (theirs, str(study_file), facts)
        bare = multiprocessing.get_context("spawn").Process(target=_bare_loop, args=arguments, daemon=True)
        bare.start()
        assert bare.pid is not None
        comparison = Comparison(ours, bare.pid)
        ours.recv()  # it is ready
        autotune.run(
            study_file,
            n_trials=options.trials,
            workers=1,
            epochs=options.epochs,
            run_dir=folder,
            storage=f"sqlite:///{folder}/autotune.db",
            data_dir=options.data_dir,
            observer=comparison,
        )
        bare.kill()
    return comparison.pairs


_UNPRUNED = """

import dataclasses

study = dataclasses.replace(study, pruner=optuna.pruners.NopPruner(), train_fraction={fraction})
"""


def _print_phases(ended: list[TrialEnded]) -> None:
    print(f"\n{'phase':<12} {'ms':>8} {'%':>6}   (mean of {len(ended)} trials)")
    whole = statistics.fmean(event.seconds for event in ended)
    for phase in get_args(Phase):
        seconds = statistics.fmean(event.phases.get(phase, 0.0) for event in ended)
        print(f"{phase:<12} {1000 * seconds:>8.0f} {100 * seconds / whole:>6.1f}")


def _print_pairs(pairs: list[Pair]) -> None:
    columns = ("trial", "wall s", "bare s", "ratio", "CPU s", "bare", "ratio")
    print("\n" + " ".join(f"{column:>8}" for column in columns))
    for pair in pairs:
        clock = pair.ended.seconds, pair.bare_s, pair.ended.seconds / pair.bare_s
        cpu = pair.cpu_s, pair.bare_cpu_s, pair.cpu_s / pair.bare_cpu_s
        print(f"{pair.ended.number:>8} " + " ".join(f"{figure:>8.3f}" for figure in (*clock, *cpu)))
    wall = sum(pair.ended.seconds for pair in pairs) / sum(pair.bare_s for pair in pairs)
    cpu_s = sum(pair.cpu_s for pair in pairs) / sum(pair.bare_cpu_s for pair in pairs)
    median = statistics.median(pair.ended.seconds / pair.bare_s for pair in pairs)
    print(f"all trials by all bare loops: {wall:.3f} by the clock, {cpu_s:.3f} in CPU time; median ratio {median:.3f}")


def _bare_loop(connection: Connection, study_file: str, facts: Mapping[str, Any]) -> None:
    """What people write by hand: for each configuration build the model and fit it on arrays."""
    import keras
    import numpy as np

    from autotune.data.sources import load_development
    from autotune.data.splits import split, train_on_part
    from autotune.training.fitting import configure_tensorflow

    configure_tensorflow(facts["threads"])
    spec = autotune.load_study_file(study_file)
    assert spec.build is not None
    assert isinstance(spec.dataset, str)
    data = load_development(spec.dataset, Path(facts["data_dir"]) if facts["data_dir"] else None)
    folds = train_on_part(spec.folds, split(spec.folds, data, spec.seed), spec.train_fraction, data, spec.seed)
    parts = [data.subset(rows) for rows in (folds[0].train, folds[0].validation)]
    labels = np.eye(data.n_classes or 0, dtype=np.float32)
    train, validation = [(part.x, labels[part.y] if spec.one_hot else part.y) for part in parts]

    def fit(params: Mapping[str, Any], epochs: int) -> None:
        keras.utils.set_random_seed(0)
        trial: Any = optuna.trial.FixedTrial(dict(params))
        model = spec.build(trial, parts[0])
        arguments = {"verbose": 2, **(spec.fit(trial) if spec.fit else {})}
        arguments["validation_batch_size"] = max(arguments.get("batch_size") or 32, 512)  # as trials do
        model.fit(*train, validation_data=validation, epochs=epochs, **arguments)

    connection.send("ready")
    is_warm = False
    while True:
        params = json.loads(connection.recv())
        if not is_warm:
            fit(params, 1)
            is_warm = True
        started, cpu = time.monotonic(), time.process_time()
        keras.utils.clear_session()
        fit(params, facts["epochs"] or spec.epochs)
        connection.send((time.monotonic() - started, time.process_time() - cpu))


if __name__ == "__main__":
    main()
