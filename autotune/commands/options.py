"""The options of the command line: which commands there are, what each takes, and which study is meant by them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from autotune.escaping import say

if TYPE_CHECKING:
    import optuna

    from autotune.running.study import Places

DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 130  # what commands return

Command: TypeAlias = Callable[[argparse.Namespace], int]


def parser_for(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        commands: The function of each command; options that were parsed have it as `command`.
    """
    parser = argparse.ArgumentParser(prog="autotune", description="Tune Keras networks with Optuna.")
    parser.add_argument("--version", action="version", version=f"autotune {_version()}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=text, description=text)
        sub.set_defaults(command=commands[name])
        sub.add_argument("--storage", metavar="URL", help="the study's records (default: OPTUNA_STORAGE, or SQLite)")
        sub.add_argument("--run-dir", metavar="DIR", help="where its files are (default: AUTOTUNE_RUN_DIR, or runs)")
        return sub

    def add_data_dir(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--data-dir", metavar="DIR", help="datasets (default: AUTOTUNE_DATA, or Keras's cache)")

    run = add("run", "Run a study file until it has all its trials, going on where it was.")
    run.add_argument("study_file", metavar="STUDY_FILE")
    run.add_argument("--epochs", type=int, metavar="N", help="epochs of each fold")
    run.add_argument("--folds", type=int, metavar="K", help="k-fold cross-validation in place of the study's folds")
    run.add_argument("--seed", type=int, metavar="N", help="the seed that all chance comes from")
    run.add_argument("--name", help="the study's name in place of the study file's")
    resume = add("resume", "Go on with a study by its name; the study file is remembered.")
    resume.add_argument("name", metavar="NAME")
    finalize = add(
        "finalize",
        "Train the best trials again with new seeds, refit the winner on all development rows, and test it, once.",
    )
    finalize.add_argument("name", metavar="NAME")
    finalize.add_argument("--top", type=int, default=5, metavar="N", help="trials to confirm (default: %(default)s)")
    finalize.add_argument("--repeats", type=int, default=5, metavar="R", help="seeds for each (default: %(default)s)")
    curve = add(
        "learning-curve",
        "Train the winner on more and more of the training rows, and say what twice of them should bring.",
    )
    curve.add_argument("name", metavar="NAME")
    shares = "shares of the training rows (default: 0.1,0.2,0.4,0.7,1)"
    curve.add_argument("--fractions", type=_numbers, metavar="F,...", help=shares)
    curve.add_argument("--repeats", type=int, default=3, metavar="R", help="seeds for each (default: %(default)s)")
    for sub in (run, resume):
        sub.add_argument("--trials", type=int, metavar="N", help="total of finished trials; remembered by the study")
        engine = "where trials run: here, or on the Ray cluster at RAY_ADDRESS (default: %(default)s)"
        sub.add_argument("--engine", choices=["local", "ray"], default="local", help=engine)
        cpus = "Ray's CPUs for each worker (default: as many as the study remembers threads, else 1)"
        sub.add_argument("--cpus-per-worker", type=int, metavar="C", help=cpus)
    for sub in (run, resume, finalize, curve):
        sub.add_argument("--timeout", type=float, metavar="SECONDS", help="stop after so long; running trials wait")
        lease = "other machines take over this command's trials after not hearing of it for so long (default: 60)"
        sub.add_argument("--lease", type=float, default=60.0, metavar="SECONDS", help=lease)
        sub.add_argument(
            "--workers", type=int, metavar="N", help="trials at a time (default: the GPUs, else the cores)"
        )
        sub.add_argument("--gpus", metavar="GPUS", help="GPUs by position or UUID, e.g. 0,2, or none (default: all)")
        sub.add_argument("--workers-per-gpu", type=int, metavar="K", help="trials that share each GPU and its memory")
        where = "copy checkpoints there, for other machines: s3://BUCKET/PREFIX, gs://..., a folder; remembered"
        sub.add_argument("--artifacts", metavar="URL", help=where)
        if sub is not curve:
            events = "write event files for TensorBoard there (RUN_DIR/NAME/tensorboard); remembered; none: no longer"
            sub.add_argument("--tensorboard", nargs="?", const="run-dir", metavar="DIR", help=events)
            runs = (
                "log each finished trial to MLflow: http://HOST:5000, sqlite:///mlflow.db; remembered; none: no longer"
            )
            sub.add_argument("--mlflow", metavar="URI", help=runs)
        add_data_dir(sub)
    status = add("status", "Show how far a study is, or all of them.")
    status.add_argument("name", nargs="?", metavar="NAME")
    watch = "show it live, wherever it runs, until its trials are finished or nobody runs it"
    status.add_argument("--watch", action="store_true", help=watch)
    best = add("best", "Show the best trial of a study.")
    best.add_argument("name", metavar="NAME")
    exported = add("export", "Write model.keras, which Keras alone can load, and card.json.")
    exported.add_argument("name", metavar="NAME")
    exported.add_argument("-o", "--output", required=True, metavar="DIR", help="the folder to write to")
    explained = add(
        "explain", "Show what the best model confuses, and what it looks at, on rows it was not trained on."
    )
    explained.add_argument("name", metavar="NAME")
    replay = add("replay", "Train a finished trial again, and see whether its numbers are the same.")
    replay.add_argument("name", metavar="NAME")
    replay.add_argument("--trial", type=int, required=True, metavar="N", help="the trial's number")
    for sub in (explained, replay):
        sub.add_argument("--gpus", metavar="GPUS", help="GPUs by position or UUID, or none (default: all)")
        add_data_dir(sub)
    for sub in (status, best, finalize, curve):
        sub.add_argument("--json", action="store_true", help="print JSON and nothing else")
    for sub in (resume, finalize, curve, explained, replay):
        unasked = "run the study file that the storage names, even if it has not run here before or has changed since"
        sub.add_argument("--trust", action="store_true", help=unasked)
    report = add(
        "report", "Write one HTML page about a study: what was tried, what won, how sure it is, what mattered."
    )
    report.add_argument("name", metavar="NAME")
    report.add_argument("-o", "--output", metavar="FILE", help="the page (default: RUN_DIR/NAME/report.html)")
    refine = add(
        "refine", "Print the ranges of the next study file, narrower or wider, and the trials to begin it with."
    )
    refine.add_argument("name", metavar="NAME")
    dashboard = add("dashboard", "Serve optuna-dashboard on 127.0.0.1.")
    dashboard.add_argument("--port", type=int, default=8080, metavar="P")
    stores = "show files of this store, too, where studies keep theirs outside of the run dir; may be repeated"
    dashboard.add_argument("--artifacts", metavar="URL", action="append", default=[], help=stores)
    serve = add(
        "serve",
        "Serve the storage to other machines (Optuna's gRPC proxy). There is no authentication: whoever reaches the "
        "port reads and writes all studies.",
    )
    serve.add_argument("--host", default="127.0.0.1", metavar="H", help="0.0.0.0: every network (default: %(default)s)")
    serve.add_argument("--port", type=int, default=13000, metavar="P", help="0 for any (default: %(default)s)")
    datasets = add("datasets", "List the datasets: what is there, what is missing, how to get it.")
    add_data_dir(datasets)
    return parser


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers like 0.1,0.3,1") from None


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("autotune")
    except PackageNotFoundError:
        return "(not installed)"


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


def training_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `run`, `finalize` and `learning_curve` take alike: the machine, the storage and the data."""
    return {
        "workers": options.workers,
        "gpus": options.gpus,
        "workers_per_gpu": options.workers_per_gpu,
        "timeout_s": options.timeout,
        "lease_s": options.lease,
        "storage": options.storage,
        "data_dir": options.data_dir,
        "artifacts": options.artifacts,
    }


def where(options: argparse.Namespace) -> str:
    """Return the options that another command needs to find the same study."""
    from autotune.running.storages import shown_url

    storage = shown_url(options.storage) if options.storage else None
    given = {"--storage": storage, "--run-dir": options.run_dir}
    return "".join(f" {name} {shlex.quote(value)}" for name, value in given.items() if value)
