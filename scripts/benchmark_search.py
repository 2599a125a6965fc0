"""How good searches are after 50 to 1,000 epochs, on learning curves of LCBench: Optuna, KerasTuner, Ray and ours.

Nothing is trained: a surrogate answers with the validation accuracy after each of 50 epochs (scripts/lcbench.py). Every
method may spend the same number of epochs, counted one by one as they are reported, by one worker or by several that
train asynchronously on a simulated clock (scripts/simulated_search.py); an epoch takes as long as the surrogate says
for the configuration. With --start-epochs beginning a trial costs as much as so many of its epochs, which only ours is
told: the others cannot be. With --noise each report has a deviation that (task, configuration, epoch, seed) decide.
With --earlier K ours learn from K earlier searches on other development tasks (scripts/earlier_searches.py).
With --guess ours are told a guess (scripts/guessing.py).
With --curves they are synthetic, of a family that searches find hard (scripts/synthetic_curves.py): all its tasks, for
samplers and pruners of Optuna only, as some have choices, and trainings that diverge.

Reported is the normalised regret: 0 for the best final accuracy of 10,000 random configurations, 1 for their median;
below 0 is better than all of these. Once for the final accuracy, without noise, of the configuration that the method
would hand over by its own rule, and once for the best value seen: the accuracy, without noise, where a report was the
best. Means are over tasks, after the mean over a task's seeds; the standard error is that of the tasks' means.

Ours is the harness: the clock, the budget, the regret, and the calls. The decisions are those of each library's own
code (scripts/search_methods.py, search_peers.py, multi_fidelity_peers.py). A method whose library is not installed is
skipped: `pip install '.[benchmarks]'` brings all but PyTorch, for Optuna's Gaussian process, and Syne Tune. Its
releases with MOBSTER ask for NumPy 1: `pip install --no-deps syne-tune==0.13.0 autograd ujson dill statsmodels patsy`.

Usage: python scripts/benchmark_search.py --data-dir DIR [--tasks development|judging] [--methods random,...]
           [--curves FAMILY] [--seeds 1] [--budget 1000] [--workers 1] [--noise 0.0] [--start-epochs 0]
           [--earlier 0] [--worst] [--guess good|bad|usual] [--json FILE]

DIR/lcbench has the surrogate (default: AUTOTUNE_DATA). Methods are developed on the development tasks, every second
one; the judging tasks are for the end. FILE gets a line of JSON for each run as soon as it is done, and a run that is
in it already is not done again: what was killed goes on. After a method has changed, begin another file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import multi_fidelity_peers
import optuna
import search_methods
import search_peers
from earlier_searches import EarlierSearches
from guessing import guess_of
from lcbench import LCBench, Surrogate, Task
from simulated_search import NotHereError, Setting, Standing, simulate
from synthetic_curves import FAMILIES, Synthetic

from autotune.errors import UsageError
from autotune.seeds import derive_seed

CHECKPOINTS = (50, 100, 200, 250, 500, 1000)
METHODS = {**search_methods.METHODS, **search_peers.METHODS, **multi_fidelity_peers.METHODS}


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        method: The method's name here.
        task: The task's name.
        setting: How it was run.
        standings: How good it was at each checkpoint.
    """

    method: str
    task: str
    setting: Setting
    standings: tuple[Standing, ...]


def main() -> int:
    """Run the searches and print the tables; 2 if something is missing."""
    options = _parser().parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        methods = _chosen(options.methods, search_methods.METHODS if options.curves else METHODS)
        surrogate = Synthetic(options.curves) if options.curves else LCBench(_data_dir(options.data_dir))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    tasks = surrogate.tasks if options.curves else surrogate.tasks[options.tasks == "judging" :: 2]
    checkpoints = tuple(at for at in CHECKPOINTS if at <= options.budget) or (options.budget,)
    if not 0 <= options.start_epochs < checkpoints[0]:
        print(
            f"--start-epochs {options.start_epochs} is out of range: by the first look, after {checkpoints[0]} epochs, "
            "a trial has to have reported something. Give an integer from 0 to less than that.",
            file=sys.stderr,
        )
        return 2
    settings = [
        Setting(
            *(options.budget, checkpoints, options.workers, options.noise, seed),
            *(options.start_epochs, options.earlier, options.worst, options.guess),
        )
        for seed in range(options.seeds)
    ]
    print(_heading(options, len(tasks)), flush=True)
    known = _read(options.json)
    runs = []
    for run in _runs(surrogate, tasks, methods, settings, known):
        runs.append(run)
        if options.json and run not in known:
            _append(options.json, run)
    print_tables(runs)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", metavar="DIR", type=Path)
    parser.add_argument("--curves", choices=FAMILIES, default="", help="synthetic ones, in place of LCBench's")
    parser.add_argument("--tasks", choices=["development", "judging"], default="development")
    parser.add_argument("--methods", metavar="NAMES", default="", help="default: all")
    parser.add_argument("--seeds", metavar="N", type=int, default=1, help="the seeds 0 to N - 1")
    parser.add_argument("--budget", metavar="EPOCHS", type=int, default=CHECKPOINTS[-1])
    parser.add_argument("--workers", metavar="N", type=int, default=1)
    parser.add_argument("--noise", metavar="POINTS", type=float, default=0.0)
    parser.add_argument("--start-epochs", metavar="N", type=int, default=0, help="that beginning a trial takes")
    parser.add_argument("--earlier", metavar="K", type=int, default=0, help="earlier searches to learn from")
    parser.add_argument("--worst", action="store_true", help="learn the worst trials of the earlier searches")
    parser.add_argument(
        "--guess", choices=["good", "bad", "usual"], default="", help="what the author guesses, for ours"
    )
    parser.add_argument("--json", metavar="FILE", type=Path)
    return parser


def _chosen(names: str, there: Collection[str]) -> list[str]:
    methods = names.split(",") if names else list(there)
    if unknown := sorted({*methods} - {*there}):
        raise UsageError(
            f"There is no method {', '.join(unknown)}.", f"There are {', '.join(there)}.", "Correct --methods."
        )
    return methods


def _data_dir(given: Path | None) -> Path:
    if given is None and not os.environ.get("AUTOTUNE_DATA"):
        raise UsageError(
            "No folder of data is named.", "It has LCBench's surrogate.", "Give --data-dir or set AUTOTUNE_DATA."
        )
    return given or Path(os.environ["AUTOTUNE_DATA"])


def _heading(options: argparse.Namespace, n_tasks: int) -> str:
    noise = f"noise of {options.noise:g} points" if options.noise else "no noise"
    start = f", {options.start_epochs} epochs to begin a trial" if options.start_epochs else ""
    worst = " whose worst trials count as their best" if options.worst else ""
    earlier = f", {options.earlier} earlier searches{worst}" if options.earlier else ""
    kind = f'tasks of "{options.curves}"' if options.curves else f"{options.tasks} tasks"
    what = f"{n_tasks} {kind}, {options.seeds} seeds, {options.workers} workers, {noise}{start}{earlier}"
    what += f", a {options.guess} guess" if options.guess else ""
    where = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return f"{what}; {where}, Optuna {optuna.__version__}"


def _runs(
    surrogate: Surrogate,
    tasks: Sequence[str],
    methods: Sequence[str],
    settings: Sequence[Setting],
    known: Sequence[Run],
) -> Iterator[Run]:
    """Give each method's runs; those that are known are not done again."""
    done = {(run.method, run.task, run.setting): run for run in known}
    opened = {name: Task(surrogate, name) for name in tasks}  # they remember curves, for all methods
    known_tasks = {name: opened.get(name) or Task(surrogate, name) for name in surrogate.tasks[::2]}
    earlier = EarlierSearches(known_tasks | opened)
    for method in methods:
        try:
            for name, task in opened.items():
                for setting in settings:
                    yield done.get((method, name, setting)) or run_search(method, task, setting, earlier)
                print(f"{method}: task {name} is done", file=sys.stderr, flush=True)
        except NotHereError as error:
            print(f"{method} is skipped: {error}", flush=True)


def run_search(method: str, task: Task, setting: Setting, earlier: EarlierSearches | None = None) -> Run:
    """Run one search.

    Args:
        method: The method's name.
        task: The task.
        setting: How it is run.
        earlier: The earlier searches, where the setting has some.

    Raises:
        NotHereError: If the method needs what is not here.
    """
    # Each task gets a seed of its own: else all would begin with the same, lucky or unlucky, configuration.
    make = METHODS[method]
    if make is search_methods.curves:
        start_epochs = float(setting.start_epochs or 1)
        make = partial(search_methods.curves, start_epochs=start_epochs, epoch_policy=task.epoch_policy)
    if method in search_methods.LEARNING and (setting.earlier or setting.guess):
        n, worst = setting.earlier, setting.worst
        origins = earlier.origins(task.name, setting.seed, n, worst) if n and earlier else ()
        guesses = [guess_of(task, setting.guess, setting.seed)] if setting.guess else ()
        make = partial(search_methods.LEARNING[method], origins=origins, guesses=guesses)
    searching = make(task.space, derive_seed(setting.seed, "method", task.name))
    standings = simulate(searching, task, setting)
    return Run(method, task.name, setting, tuple(standings))


def _append(file: Path, run: Run) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(dataclasses.asdict(run)) + "\n")


def _read(file: Path | None) -> list[Run]:
    if file is None or not file.exists():
        return []
    return [_run(json.loads(line)) for line in file.read_text("utf-8").splitlines()]


def _run(stored: dict[str, Any]) -> Run:
    setting = Setting(**{**stored["setting"], "checkpoints": tuple(stored["setting"]["checkpoints"])})
    standings = tuple(Standing(**standing) for standing in stored["standings"])
    return Run(stored["method"], stored["task"], setting, standings)


def print_tables(runs: Sequence[Run]) -> None:
    """Print the regret of what is handed over, that of the best value seen, and what the methods cost."""
    of_method: dict[str, list[Run]] = {}
    for run in runs:
        of_method.setdefault(run.method, []).append(run)
    for title, measure in (("handed over, its final accuracy", "chosen"), ("best value seen", "seen")):
        print(f"\nNormalised regret, {title}: mean ± standard error\n{'epochs':<24}", end="")
        print(*(f"{standing.epochs:>16}" for standing in runs[0].standings) if runs else "", sep="")
        for method, of_it in of_method.items():
            print(f"{method:<24}", *(f"{cell:>16}" for cell in _cells(of_it, measure)), sep="")
    print(f"\n{'cost, mean of a search':<24}{'trials':>16}{'method s':>16}{'ms / trial':>16}{'clock h':>16}")
    for method, of_it in of_method.items():
        print(_cost(method, [run.standings[-1] for run in of_it]))


def _cells(runs: Sequence[Run], measure: str) -> Iterator[str]:
    for at in range(len(runs[0].standings)):
        of_task: dict[str, list[float]] = {}
        for run in runs:
            of_task.setdefault(run.task, []).append(getattr(run.standings[at], measure))
        means = [statistics.fmean(values) for values in of_task.values()]
        error = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.nan
        yield f"{statistics.fmean(means):.3f} ± {error:.3f}"


def _cost(method: str, last: Sequence[Standing]) -> str:
    trials, seconds, clock_s = (
        statistics.fmean(getattr(standing, name) for standing in last) for name in ("trials", "method_s", "clock_s")
    )
    return f"{method:<24}{trials:>16.1f}{seconds:>16.2f}{1000 * seconds / trials:>16.1f}{clock_s / 3600:>16.2f}"


if __name__ == "__main__":
    sys.exit(main())
