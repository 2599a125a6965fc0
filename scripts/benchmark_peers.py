"""Time to quality on real training: Optuna alone, KerasTuner, Ray Tune and this package on the same task.

The task is a study of this repository, its network, its space and its most epochs a trial: studies/digits_cnn.py (the
quick version) or studies/mnist_cnn.py. All methods have the same rows, the same holdout, the same cores and the same
time on the wall, which begins with the start of their process, imports included. Runs follow each other in turn, all
methods with one seed and then with the next, so that what else the machine does hits them alike. A search does not know
when its time is up: its processes are ended then.

Each search is one small module in scripts/peers that says how its tuner is configured: optuna_script.py (TPE,
MedianPruner, the pruning callback of optuna-integration), keras_tuner_search.py (Hyperband, BayesianOptimization),
ray_tune.py (OptunaSearch with ASHA, 1 and 2 trials at a time), ours.py (the study file, 1 and 2 slots) and curves.py
(the same with CurveSampler and CurvePruner). None is told of a configuration to begin with: the study's baseline and
the usual values of `autotune.spaces` are left out. Of the digits three tenths are held out, 432 rows: with the study's
own tenth, 145 rows, most searches came to 100 %, and which was first was a matter of luck. Ours validates in batches of
512 rows, as it does for everybody, the scripts of the others in Keras's default, the batch size: at most some 0.4 s a
pass on MNIST. What is not installed is skipped: `pip install ".[benchmarks]"`. The figures are of any epoch of
any trial, whether or not the tuner keeps that epoch's weights.

Usage: python scripts/benchmark_peers.py [--data digits|mnist] [--budget SECONDS|Nx] [--seeds 3] [--methods NAMES]
           [--trials N] [--until ACCURACY] [--earlier SECONDS] [--data-dir DIR] [--json FILE]

With --budget 5x each search has five times as long as the first trial of the plain Optuna script takes here, imports
included: the median over the seeds, measured before all else. So a slow machine gives as many trials as a quick one.
With --earlier S `autotune-curves-learned` learns from a search of S seconds on the digits, made anew for each seed and
not counted: what does a team gain on MNIST that has searched other data before? With --until 1.0 a search ends as soon
as it has classified all rows rightly: there is nothing left to compare. DIR has mnist.npz (default: AUTOTUNE_DATA).
FILE is written anew after each run. Say with every figure: what the first lines say, and this command.

Measured on a shared virtual machine with two x86-64 cores, Python 3.11.7, TensorFlow 2.21, Optuna 5.0, KerasTuner
1.4.8, Ray 2.60. Digits, seeds 0 to 4, budgets in first trials of the plain script; seconds to the highest accuracy that
all reach with a seed (97.5 to 99.5 %), the median, and with each seed; "begins" is when the first epoch had ended:

                           two cores, 5x (25 s)            two cores, 20x (119 s)          one core, 5x (82 s)
                          begins  common  seeds                begins  common  seeds                begins  common
   optuna                      4      12  21,  5,  9, 12, 22        4      48   35, 55, 17, 105, 48      4      26
   keras-tuner-bayesian        4      12  12, 17,  7, 18,  6        8      44   24, 82, 44,  61, 13      5      37
   ray-2; ray-1                                                    14      34   44, 28, 23,  71, 34     12      28
   autotune-2; -1              4       6   5,  7,  6,  7,  6        7      13   13,  8,  6,  82, 16      6      12
   autotune-curves-2; -1       4       8  21,  6,  7, 11,  8        8      23   42,  7, 10,  45, 23      5      19

Two cores at commit cf538c2, one at 08213a6. So with the study's own sampler and pruner ours needs .52, .37 and .49 of
the time of the fastest peer, with `CurveSampler` and `CurvePruner` .66, .68 and .73. The machine had no other work in
the first case, where ours begins as early as a plain script; in the second and third, where it begins later, other
processes had what these left (nice 19). Commands: `--budget 5x --seeds 5`, `--budget 20x --seeds 5`, and the first
one under `taskset -c 0`.

Before, on that machine without other work. Digits, commit 9b3d9ea, `--seeds 3 --budget 60 --until 1.0` and `--methods`
with those named here; seconds and percent, medians over the seeds 0 to 2:

                          97.0 %  98.0 %  99.0 %  99.3 %  common  seed 0  seed 1  seed 2    best  epochs outside     MiB
   optuna                      7       8      24      24      24      24      24      22   99.31     243    21 %     770
   keras-tuner-hyperband      27      31      57      57      56      58      50      56   99.31     159    42 %     795
   keras-tuner-bayesian        7      16      48       -      48      17      48      50   99.08     300    28 %     707
   ray-2                      12      12      35      35      26      59      22      26   99.31     244    36 %    2082
   autotune-curves-2           7       7       8       9       7       8       7       7   99.54     615    41 %     848

"common" is the highest that all reach within the minute: 98.85, 99.08 and 98.61 %; ours needs 0.29 of the time of the
fastest peer there, with each seed less than half of whichever peer was first. To 99.0 % ours took 8, 7 and 20 s, Optuna
24 and 22 and once more than the minute, Ray 22 and 35 and once more, the Bayesian search 17 and 48 and once more,
Hyperband 58, 50 and 57. Of ours three seconds are imports. To begin a trial is reckoned as 15 epochs here
(`start_epochs`), by the phases of scripts/benchmark_overhead.py. Two more seeds of ours alone, and the three once more
(fc09899, `--seeds 5 --budget 40`): 98.6 % after 10, 7, 7, 8 and 8 s, 99.0 % after 15, 7, 10, 8 and 8; the three at
f77c16e (`--budget 22 --until .9907`): to the same "common" after 11, 10 and 7 s.

What made the difference is how a trial trains: since groups of batches are trained on in a loop of TensorFlow's own
(`autotune/training/fitting/grouping.py`) an epoch of these networks takes 35 ms in place of 82, and the minute has 105
trials in place of 72. Before (c2d2ff6, the same call) ours took 19, 8 and 17 s to a common of 98.61, 99.08 and 98.61 %,
0.90 of Ray's time; before half of its suggestions were bold (bcfcfb2) 22, 10 and 15 s, 0.82 of Ray's; before its scale
was fitted and a trial went on by what it gains on the best value (2568944, five seeds, `--budget 90`, three methods) a
median of 25 s, Ray 28 and Optuna 46. Three seeds say little about a search: near the top 432 rows differ by one or two
from one epoch to the next, and how soon the first good network is met differs between seeds as it does between methods.

MNIST, commit 9b3d9ea, `--seeds 1 --budget 500 --until 0.99` and those named here; seconds:

                         97.0 %   97.8 %   98.5 %   98.8 %  common   99.0 %     best   trials   epochs  outside      MiB
    optuna                  193      247      432        -     453        -    98.72        4       43      4 %     1240
    keras-tuner-hyperband    48       76      372      487     398        -    98.95       16       34     13 %     1591
    keras-tuner-bayesian    111      131      255      255     255      295    99.03        2       26      3 %     1201
    ray-2                   128      150      203      282     282      354    99.12        6       42     14 %     2925
    autotune-curves-2        33       33       67      121     121      121    99.02       10       13      7 %     1431

"common" is 98.72 %. Ours needs 0.47 of the time of the fastest peer there, 0.43 to 97.8 %, 0.33 to 98.5 % and 0.41 to
99.0 %, and 13 passes where the others need 26 to 43. In another run of the same seed, alone (fc09899), it was at 98.8 %
after 100 s, and beside the Bayesian search alone (f77c16e, `--budget 300 --until 0.9872`) at 99.0 % after 127 s, which
came to 98.95 % after 260. One seed says little: at c2d2ff6, before groups of batches were trained on in a loop of
TensorFlow's own, it took 41 s to 97.8 %, 119 to 98.8 and 434 to 99.0; at bcfcfb2, before half of its suggestions were
bold, 41, 232 and 232, and with a trial going on from 0.8 of what a new one is worth it was at 98.8 % after 101 s and at
99.37 % after 280. Before its scale was fitted and a trial went on by what it gains on the best value (2568944,
`--budget 780`) it took 168 s to 98.5 %, 223 to 98.8 and 493 to 99.0; with whole passes as epochs (51f2493, `--budget
600`) 225 s to 97.8 %, and it came to 98.43 %. For ours an epoch is a quarter of a pass (`epochs_per_pass`), so that the
first trials are looked at after half a pass, and its values are seen four times a pass, those of the others once, every
11 s or so; epochs are counted in passes here. In so few passes, four to seven whole trials of a space of some twenty
hyperparameters, chance decides much; the hours in which a model of the space could matter more have not been measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from peers.journal import Journal
from peers.measuring import environment_of_searches, run_for
from peers.methods import METHODS
from peers.one import NOT_HERE
from peers.problems import PROBLEMS
from peers.table import ROUNDING, Run, new_run, table

from autotune.errors import AutotuneError, UsageError
from autotune.running.processes import available_cores

SCRIPTS = Path(__file__).resolve().parent
_PACKAGES = ("tensorflow", "keras", "optuna", "optuna-integration", "keras-tuner", "ray")
_PLAIN = "optuna"  # the script whose first trial is a measure of time
_MOST_S = 3_600.0  # for that trial
_WORDS_OF_A_FAILURE = 2_000  # characters of the end of its log


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        data: The name of the problem.
        data_dir: Where its data are; None for Keras's own cache.
        methods: Which methods.
        seeds: How many seeds, from 0.
        budget_s: Seconds for each search.
        enough: How many trials are enough, so that a search is ended before its time; None for any number.
        until: Which validation accuracy is enough, in [0, 1].
        cores: How many cores each search has.
        earlier_s: Seconds for the earlier search that some learn from; 0 for none.
    """

    data: str
    data_dir: Path | None
    methods: tuple[str, ...]
    seeds: int
    budget_s: float
    enough: int | None
    until: float
    cores: int
    earlier_s: float = 0.0


class NotHereError(Exception):
    """A method needs a package that is not installed."""


class SearchFailedError(AutotuneError):
    """A search has ended before its time with an error."""


def main() -> int:
    """Run the searches and print the table; 1 if one has failed or none could run, 2 for a mistake in usage."""
    options = _parser().parse_args()
    try:
        plan = _plan(options)
        PROBLEMS[plan.data].rows(plan.data_dir, seed=0)  # to say now what is missing
    except (UsageError, SearchFailedError, NotHereError) as error:
        print(error, file=sys.stderr)
        return 2
    conditions = _conditions(plan)
    print(*conditions, sep="\n", flush=True)
    runs: list[Run] = []
    failed = 0
    for found in _runs(plan):
        if isinstance(found, SearchFailedError):
            failed += 1
            print(found, file=sys.stderr, flush=True)
            continue
        runs.append(found)
        if options.json:
            _write(options.json, conditions, runs)
    if runs:
        print("", *table(runs, PROBLEMS[plan.data].thresholds), sep="\n")
    return 0 if runs and not failed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    budgets = ", ".join(f"{name}: {problem.budget_s:g}" for name, problem in PROBLEMS.items())
    parser.add_argument("--data", choices=PROBLEMS, default="digits")
    parser.add_argument("--data-dir", metavar="DIR", type=Path)
    every = ",".join(name for name, method in METHODS.items() if not method.learns)
    parser.add_argument("--methods", metavar="NAMES", default=every, help="default: %(default)s")
    parser.add_argument("--seeds", metavar="N", type=int, default=3, help="the seeds 0 to N - 1")
    parser.add_argument("--budget", metavar="SECONDS|Nx", type=_budget, help=f"default: {budgets}")
    parser.add_argument("--trials", metavar="N", type=int, help="end a search as soon as it has so many: for a try")
    parser.add_argument("--until", metavar="ACCURACY", type=float, default=math.inf, help="end a search then")
    parser.add_argument(
        "--earlier", metavar="SECONDS", type=float, default=0.0, help="of a search on digits to learn from"
    )
    parser.add_argument("--json", metavar="FILE", type=Path)
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    methods = tuple(options.methods.split(","))
    if unknown := sorted({*methods} - {*METHODS}):
        raise UsageError(
            f"there is no method {', '.join(unknown)}.", f"There are {', '.join(METHODS)}.", "Correct --methods."
        )
    if any(METHODS[method].learns for method in methods) != (options.earlier > 0):
        raise UsageError(
            f"--earlier is {options.earlier:g} and the methods are {', '.join(methods)}.",
            "autotune-curves-learned learns from an earlier search, and no other method does.",
            "Give both or neither, for example --earlier 120.",
        )
    budget_s, first_trials = options.budget or (PROBLEMS[options.data].budget_s, 0.0)
    if budget_s <= 0 or options.seeds < 1:
        raise UsageError(
            f"the budget is {budget_s:g} s and there are {options.seeds} seeds.",
            "Each search has some time, and there is one at least.",
            "Correct --budget or --seeds.",
        )
    data_dir = options.data_dir or os.environ.get("AUTOTUNE_DATA")
    plan = Plan(
        options.data,
        Path(data_dir).absolute() if data_dir else None,
        methods,
        options.seeds,
        budget_s,
        options.trials,
        options.until,
        available_cores(),
        options.earlier,
    )
    return dataclasses.replace(plan, budget_s=first_trials * _first_trial_s(plan)) if first_trials else plan


def _budget(text: str) -> tuple[float, float]:
    """Return the seconds of each search, and 0; for "5x" the most seconds of one trial, and 5."""
    number = float(text.removesuffix("x"))
    return (_MOST_S, number) if text.endswith("x") else (number, 0.0)


def _first_trial_s(plan: Plan) -> float:
    """Return the seconds until the first trial of the plain script has ended, a median over the seeds."""
    one = dataclasses.replace(plan, enough=1)
    found = [_run(one, _PLAIN, seed).first_trial_s for seed in range(plan.seeds)]
    print(f"first trials of {_PLAIN}: {', '.join(f'{seconds:.1f}' for seconds in found)} s", flush=True)
    return statistics.median(found)


def _conditions(plan: Plan) -> list[str]:
    describe = ["git", "-C", str(SCRIPTS), "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    return [
        f"commit {commit or 'unknown'}, {platform.machine()}, {plan.cores} cores, Python {platform.python_version()}",
        ", ".join(f"{package} {_version(package)}" for package in _PACKAGES),
        f"{plan.data}, {plan.seeds} seeds, {plan.budget_s:g} s for each search",
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _runs(plan: Plan) -> Iterator[Run | SearchFailedError]:
    """Run each method with one seed, then each with the next; those that are not here or fail only once."""
    left = [method for method in plan.methods if _fits(method, plan.cores)]
    for seed in range(plan.seeds):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            learns = any(METHODS[method].learns for method in left)
            earlier = _search_before(plan, seed, Path(folder)) if learns else ""
            for method in tuple(left):
                try:
                    run = _run(plan, method, seed, earlier if METHODS[method].learns else "")
                except NotHereError as error:
                    print(f"{method} is skipped: {error}", flush=True)
                    left.remove(method)
                except SearchFailedError as error:
                    left.remove(method)
                    yield error
                else:
                    best = 100 * run.best_after(run.seconds)
                    print(f"{method}, seed {seed}: {best:.2f} % in {run.n_trials} trials", flush=True)
                    yield run


def _search_before(plan: Plan, seed: int, folder: Path) -> str:
    """Search the digits with our curves, and return the study as "URL#NAME"."""
    on_digits = dataclasses.replace(plan, data="digits", budget_s=plan.earlier_s, enough=None, until=math.inf)
    _run_in(folder, on_digits, "autotune-curves-2", seed)
    return f"sqlite:///{folder}/files/autotune.db#digits-cnn"


def _fits(method: str, cores: int) -> bool:
    if METHODS[method].slots <= cores:
        return True
    print(f"{method} is skipped: it needs {METHODS[method].slots} cores, and there is {cores}", flush=True)
    return False


def _run(plan: Plan, method: str, seed: int, earlier: str = "") -> Run:
    """Run one search in a folder of its own.

    Raises:
        NotHereError: If what it needs is not installed.
        SearchFailedError: If the search has failed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        return _run_in(Path(name), plan, method, seed, earlier)


def _run_in(place: Path, plan: Plan, method: str, seed: int, earlier: str = "") -> Run:
    folder, log = place / "files", place / "log.txt"
    folder.mkdir()
    journal = Journal(f"{place}/journal.jsonl", time.time())
    command = [*_command(plan, method, seed, folder, journal), *(("--earlier", earlier) if earlier else ())]
    environment = environment_of_searches(SCRIPTS)
    measured = run_for(command, plan.budget_s, log, folder, environment, partial(_is_enough, plan, journal))
    words = log.read_text("utf-8", errors="replace").strip()
    if measured.status == NOT_HERE:
        raise NotHereError(words.splitlines()[-1])
    if measured.status is not None:
        raise SearchFailedError(
            f"{method} has ended before its time (exit status {measured.status}).",
            "A search goes on until its time is up.",
            f"Look at the last that it has said:\n{words[-_WORDS_OF_A_FAILURE:]}",
        )
    return new_run(method, seed, journal, measured)


def _is_enough(plan: Plan, journal: Journal) -> bool:
    if plan.until > 1.0 and plan.enough is None:  # as nearly always: nothing is read
        return False
    epochs, ends = journal.read(math.inf)
    is_reached = any(epoch.val_accuracy >= plan.until - ROUNDING for epoch in epochs)
    return is_reached or (plan.enough is not None and len(ends) >= plan.enough)


def _command(plan: Plan, method: str, seed: int, folder: Path, journal: Journal) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "peers.one", method),
        *("--data", plan.data),
        *(("--data-dir", str(plan.data_dir)) if plan.data_dir else ()),
        *("--seed", str(seed)),
        *("--cores", str(plan.cores)),
        *("--folder", str(folder)),
        *("--journal", journal.path),
        *("--began", repr(journal.began)),
    ]


def _write(file: Path, conditions: Sequence[str], runs: Sequence[Run]) -> None:
    found = {"conditions": conditions, "runs": [dataclasses.asdict(run) for run in runs]}
    file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
