"""The options of the command line: which commands there are, what each takes, and which study is meant by them."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from autotune.distribution import VERSION
from autotune.escaping import say

if TYPE_CHECKING:
    import optuna

    from autotune.running.study import Places

DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 130  # what commands return

Command: TypeAlias = Callable[[argparse.Namespace], int]
Option: TypeAlias = tuple[Sequence[str], dict[str, Any]]


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers like 0.1,0.3,1") from None


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError("a name is empty; give names of studies like first,second")
    return names


def _option(shown: str, text: str | None = None, **how: Any) -> Option:
    """State an option as it is shown, say `--epochs N`; `dest` is the keyword of the public function that takes it."""
    flags = [word for word in shown.split() if word.startswith("-")]
    value = shown.split()[-1]
    if value not in flags:
        how["metavar"] = value
    return flags or [value.lower()], {"help": text, **how}


_PLACES = (
    _option("--storage URL", "the study's records (default: OPTUNA_STORAGE, or SQLite)"),
    _option("--run-dir DIR", "where its files are (default: AUTOTUNE_RUN_DIR, or runs)"),
)
_DATA_DIR = _option("--data-dir DIR", "datasets (default: AUTOTUNE_DATA, or Keras's cache)")
_NAME = _option("NAME")
_OVERRIDES = (
    _option("--epochs N", "epochs of each fold", type=int),
    _option("--folds K", "k-fold cross-validation in place of the study's folds", type=int),
    _option("--seed N", "the seed that all chance comes from", type=int),
    _option("--name NAME", "the study's name in place of the study file's"),
)
_ENGINE = "where trials run: here, or on the Ray cluster at RAY_ADDRESS (default: %(default)s)"
_CPUS = "Ray's CPUs for each slot (default: the number of threads that the study remembers, else 1)"
_LEARN = "begin with the best configurations of earlier studies: names, URL#NAME in another storage, or all of this one"
_TRIALS = _option("--trials N", "total of finished trials; remembered by the study", type=int, dest="n_trials")
_SEARCH = (
    _TRIALS,
    _option("--engine", _ENGINE, choices=["local", "ray"], default="local"),
    _option("--cpus-per-worker C", _CPUS, type=int),
)
_LEASE = "other machines take over this command's trials after not hearing of it for so long (default: 60)"
_SLOTS = (
    _option("--workers N", "trials at a time (default: the GPUs, else the cores)", type=int),
    _option("--gpus GPUS", "GPUs by position or UUID, e.g. 0,2, or none (default: all)"),
    _option("--workers-per-gpu K", "trials that share each GPU and its memory", type=int),
)
_MACHINE = (
    _option("--timeout SECONDS", "stop after so long; running trials wait", type=float, dest="timeout_s"),
    _option("--lease SECONDS", _LEASE, type=float, dest="lease_s"),
    *_SLOTS,
)
_ARTIFACTS = _option(
    "--artifacts URL", "copy checkpoints there, for other machines: s3://BUCKET/PREFIX, gs://..., a folder; remembered"
)
_EVENTS = "write event files for TensorBoard there (RUN_DIR/NAME/tensorboard); remembered; none: no longer"
_MLFLOW = "log each finished trial to MLflow: http://HOST:5000, sqlite:///mlflow.db; remembered; none: no longer"
_TRACKING = (
    _ARTIFACTS,
    _option("--tensorboard DIR", _EVENTS, nargs="?", const="run-dir"),
    _option("--mlflow URI", _MLFLOW),
)
_TRAINING = (*_MACHINE, *_TRACKING, _DATA_DIR)
_GPUS = _option("--gpus GPUS", "GPUs by position or UUID, or none (default: all)")
_JSON = _option("--json", "print JSON and nothing else", action="store_true")
_TRUST = _option(
    "--trust",
    "run the study file that the storage names, even if it has not run here before or has changed since",
    action="store_true",
)
_TOP = _option("--top N", "trials to confirm (default: %(default)s)", type=int, default=5)
_SEEDS = "seeds for each (default: %(default)s)"
_FRACTIONS = _option("--fractions F,...", "shares of the training rows (default: 0.1,0.2,0.4,0.7,1)", type=_numbers)
_DEBUG = (
    "run one trial in this process, for breakpoint() and debuggers; nothing is stored. Of the other options only "
    "--epochs, --folds, --seed and --data-dir count"
)
_WATCH = "show it live, wherever it runs, until its trials are finished or nobody runs it"
_STORES = "show files of this store, too, where studies keep theirs outside of the run dir; may be repeated"

_COMMANDS: Mapping[str, tuple[str, Sequence[Option]]] = {
    "check": (
        "Look for mistakes in a study file before it runs: train a few batches, save, load. Nothing is stored.",
        [_option("STUDY_FILE"), *_OVERRIDES, _TRIALS, *_SLOTS, _DATA_DIR, _JSON],
    ),
    "run": (
        "Run a study file until it has all its trials, going on where it was.",
        [
            _option("STUDY_FILE"),
            *_OVERRIDES,
            _option("--learn-from NAME,...", _LEARN, type=_names),
            *_SEARCH,
            *_TRAINING,
            _option("--debug", _DEBUG, action="store_true"),
        ],
    ),
    "resume": (
        "Go on with a study by its name; the study file is remembered.",
        [_NAME, *_SEARCH, *_TRAINING, _TRUST],
    ),
    "finalize": (
        "Train the best trials again with new seeds, refit the winner on all development rows, and test it, once.",
        [_NAME, _TOP, _option("--repeats R", _SEEDS, type=int, default=5), *_TRAINING, _JSON, _TRUST],
    ),
    "learning-curve": (
        "Train the winner on more and more of the training rows, and say what twice of them should bring.",
        [
            *(_NAME, _FRACTIONS, _option("--repeats R", _SEEDS, type=int, default=3)),
            *(*_MACHINE, _ARTIFACTS, _DATA_DIR, _JSON, _TRUST),
        ],
    ),
    "status": (
        "Show how far a study is, or all of them.",
        [_option("NAME", nargs="?"), _option("--watch", _WATCH, action="store_true"), _JSON],
    ),
    "best": ("Show the best trial of a study.", [_NAME, _JSON]),
    "export": (
        "Write model.keras, which Keras alone can load, and card.json.",
        [_NAME, _option("-o --output DIR", "the folder to write to", required=True)],
    ),
    "explain": (
        "Show what the best model confuses, and what it looks at, on rows it was not trained on.",
        [_NAME, _GPUS, _DATA_DIR, _TRUST],
    ),
    "replay": (
        "Train a finished trial again, and see whether its numbers are the same.",
        [_NAME, _option("--trial N", "the trial's number", type=int, required=True), _GPUS, _DATA_DIR, _TRUST],
    ),
    "report": (
        "Write one HTML page about a study: what was tried, what won, how sure it is, what mattered.",
        [_NAME, _option("-o --output FILE", "the page (default: RUN_DIR/NAME/report.html)")],
    ),
    "refine": (
        "Print the ranges of the next study file, narrower or wider, and the trials to begin it with.",
        [_NAME],
    ),
    "dashboard": (
        "Serve optuna-dashboard on 127.0.0.1.",
        [_option("--port P", type=int, default=8080), _option("--artifacts URL", _STORES, action="append", default=[])],
    ),
    "serve": (
        "Serve the storage to other machines (Optuna's gRPC proxy). There is no authentication: whoever reaches the "
        "port reads and writes all studies.",
        [
            _option("--host H", "0.0.0.0: every network (default: %(default)s)", default="127.0.0.1"),
            _option("--port P", "0 for any (default: %(default)s)", type=int, default=13000),
        ],
    ),
    "datasets": ("List the datasets: what is there, what is missing, how to get it.", [_DATA_DIR]),
}


def parser_for(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        commands: The function of each command; options that were parsed have it as `command`.
    """
    parser = argparse.ArgumentParser(prog="autotune", description="Tune Keras networks with Optuna.")
    parser.add_argument("--version", action="version", version=f"autotune {VERSION}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (text, options) in _COMMANDS.items():
        sub = subparsers.add_parser(name, help=text, description=text)
        sub.set_defaults(command=commands[name])
        for flags, how in (*_PLACES, *options):
            sub.add_argument(*flags, **how)
    return parser


def places_of(options: argparse.Namespace) -> Places:
    """Return where the study's records and files are."""
    from autotune.running.study import find_places

    return find_places(options.storage, options.run_dir, getattr(options, "data_dir", None))


def storage_of(options: argparse.Namespace) -> optuna.storages.BaseStorage | None:
    """Open the storage to look at it; None if it is a file that does not exist (looking creates none)."""
    from autotune.running.storages import open_to_look

    return open_to_look(places_of(options).storage)


def study_of(options: argparse.Namespace, name: str) -> optuna.Study:
    """Return the study of that name.

    Raises:
        UsageError: If there is none.
    """
    from autotune.results.summary import stored_study

    return stored_study(places_of(options), name)


def show_study_file(options: argparse.Namespace) -> None:
    """Say which study file the storage names, before it is run; one that is gone is told of by who runs it."""
    from autotune.running.study import read_settings

    settings = read_settings(study_of(options, options.name))
    if settings is not None and settings.study_file is not None and os.path.isfile(settings.study_file):
        say(f"Study file: {settings.study_file}", sys.stderr)


def taken_by(function: Callable[..., object], options: argparse.Namespace) -> dict[str, Any]:
    """Return those of the options that `function` takes, by its keywords; without those that were not given."""
    taken = inspect.signature(function).parameters
    return {name: value for name, value in vars(options).items() if name in taken and value is not None}


def where(options: argparse.Namespace) -> str:
    """Return the options that another command needs to find the same study."""
    from autotune.running.study import options_of_places

    return options_of_places(options.storage, options.run_dir)
