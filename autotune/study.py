"""What a study file declares, loaded and checked."""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import cloudpickle
import optuna

from autotune.data import Dataset, Folds, GroupKFold, Holdout, KFold, with_k
from autotune.errors import StudyFileError, UsageError
from autotune.failures import summary_of
from autotune.stopping_rule import StopWhenFlat
from autotune.study_name import EXPECTED, cut, is_study_name

Direction = Literal["maximize", "minimize"]
EpochPolicy = Literal["best", "last"]
Cost = Literal["parameters", "latency"]

_loading: Path | None = None  # the study file that this process is in the middle of running


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A question to a network, or to any Optuna objective, and how to search for its answer.

    Either `build`, `dataset` and `monitor` are given (a Keras study) or `objective` alone (a plain Optuna study).

    Args:
        name: The study's name in the storage and its folder in the run dir.
        direction: Whether a larger ("maximize") or a smaller ("minimize") value is better.
        minimize: What else is to be small, of a Keras study: "parameters", the number of the network's weights, and
            "latency", milliseconds for one row by the saved model, the fastest of 50. The study has several objectives
            then, of which `monitor` is the first: trials are pruned and ranked by it, and `autotune best` shows which
            of them no other one beats in everything.
        build: `build(trial, data) -> keras.Model`, compiled. `data` holds the training rows of one fold.
        dataset: The name of a dataset (see `autotune datasets`), or a function without arguments that returns a
            `Dataset` of development rows.
        monitor: The metric that is the trial's value, as Keras names it, e.g. "val_accuracy".
        one_hot: Whether the model is given labels one-hot, float32 of shape (b, n_classes), as cross-entropy with label
            smoothing, mean squared error and focal loss need them; else as integers of shape (b,).
        folds: Who trains on which rows: `Holdout(fraction)`, `KFold(k)` or `GroupKFold(k)`.
        train_fraction: Share of each fold's training rows that the search trains on, in (0, 1]: classes stay in
            proportion and groups whole, and validation rows are the same. `autotune finalize` confirms and refits on
            all rows. It cannot change while a study goes on.
        fit: Optional `fit(trial) -> dict` of arguments for `keras.Model.fit`: batch_size, callbacks, class_weight ...
        epochs: Epochs of training of each fold, at least 1.
        epochs_per_pass: In how many epochs training goes once through its rows, at least 1. With 5, an epoch is a fifth
            of them, so that trials report, keep a checkpoint and may be pruned five times as often: for data of which
            one pass takes long. Whatever counts epochs counts these: `epochs`, callbacks, schedules, pruners.
        objective: A plain Optuna objective, `objective(trial) -> float`.
        n_trials: How many finished (complete or pruned) trials the study is to have, at least 1.
        seed: The one seed that all chance in the study comes from, at least 0.
        epoch_policy: Which epoch's value and weights count: "best" or "last".
        sampler: A function from a seed to an Optuna sampler, e.g.
            `lambda seed: optuna.samplers.TPESampler(seed=seed)`. It is called anew for every suggestion, with a
            seed from (study seed, trial, parameter), so that a search that was interrupted suggests the same.
            None for TPE as in `autotune.search.tpe`.
        baseline: The hyperparameters of the configuration that the study has to beat, all that it is asked for, e.g.
            the article's; trained beside the candidates by `autotune finalize`. None for none.
        enqueue: Hyperparameters to begin a new study with, a dict for each trial, e.g. what an earlier study has found;
            what a dict leaves out is suggested.
        test_dataset: A function that returns the test rows, where `dataset` is a function too; only `autotune finalize`
            calls it, once. Named datasets have test rows of their own.
        pruner: An Optuna pruner; reports are made after each epoch, counted from 1. None for
            `autotune.NoiseAwarePruner()`: three epochs of grace, and then what is worse than five peers or more at the
            same epoch, by more than noise explains, is stopped.
        keep_models: How many of the best trials keep their `model.keras`, at least 0.
        max_failures_in_a_row: The study stops when so many trials fail one after another, at least 1; ten times as
            many where they ran out of memory or time or diverged, and other configurations have worked.
        count_failed: Whether a failed trial counts as one of `n_trials`, unless it was lost with its worker.
        max_retries: How often a trial whose worker or process was killed runs again without having reported anything
            new in between, at least 0; then it fails with the reason "lost".
        retry_errors: How often a trial that an error has ended is tried again, as itself and from its checkpoint, at
            least 0: for data sources that are not always there. It waits a second first, and twice as long each time.
        trial_timeout_s: For how many seconds a trial may run in one go, larger than 0; then it fails with the reason
            "timeout". None for any time.
        stop: `stop_when_flat(patience)` to end the study, by its `monitor`, before it has all its trials. None for
            never.

    Raises:
        StudyFileError: If the arguments contradict each other or are out of range.
    """

    name: str
    direction: Direction
    minimize: Sequence[Cost] = ()
    build: Callable[[optuna.Trial, Dataset], Any] | None = None
    dataset: str | Callable[[], Dataset] | None = None
    monitor: str | None = None
    one_hot: bool = False
    folds: Folds = Holdout(0.1)  # noqa: RUF009 -- reason: frozen, and equal to every other Holdout(0.1)
    train_fraction: float = 1.0
    fit: Callable[[optuna.Trial], Mapping[str, Any]] | None = None
    epochs: int = 10
    epochs_per_pass: int = 1
    objective: Callable[[optuna.Trial], float] | None = None
    n_trials: int = 50
    seed: int = 0
    epoch_policy: EpochPolicy = "best"
    sampler: Callable[[int], optuna.samplers.BaseSampler] | None = None
    pruner: optuna.pruners.BasePruner | None = None
    baseline: Mapping[str, Any] | None = None
    enqueue: Sequence[Mapping[str, Any]] = ()
    test_dataset: Callable[[], Dataset] | None = None
    keep_models: int = 3
    max_failures_in_a_row: int = 5
    count_failed: bool = False
    max_retries: int = 2
    retry_errors: int = 0
    trial_timeout_s: float | None = None
    stop: StopWhenFlat | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_kind(self)
        _check_parts(self)
        _check_choice("direction", self.direction, ("maximize", "minimize"))
        _check_minimize(self)
        _check_rows(self)
        _check_choice("epoch_policy", self.epoch_policy, ("best", "last"))
        _check_at_least("epochs", self.epochs, 1)
        _check_at_least("epochs_per_pass", self.epochs_per_pass, 1)
        _check_at_least("n_trials", self.n_trials, 1)
        _check_at_least("seed", self.seed, 0)
        _check_at_least("keep_models", self.keep_models, 0)
        _check_at_least("max_failures_in_a_row", self.max_failures_in_a_row, 1)
        _check_at_least("max_retries", self.max_retries, 0)
        _check_at_least("retry_errors", self.retry_errors, 0)
        _check_choice("count_failed", self.count_failed, (False, True))
        _check_choice("one_hot", self.one_hot, (False, True))
        _check_stop(self.stop)
        _check_timeout(self.trial_timeout_s)
        _check_search(self)


@dataclass(frozen=True)
class Overrides:
    """What the command line says in place of the study file. None leaves the study file's word."""

    name: str | None = None
    epochs: int | None = None
    folds: int | None = None
    seed: int | None = None

    def apply(self, spec: StudySpec) -> StudySpec:
        """Return `spec` with what is given here in place of its own."""
        changes: dict[str, Any] = {
            "name": self.name,
            "epochs": self.epochs,
            "folds": with_k(spec.folds, self.folds) if self.folds is not None else None,
            "seed": self.seed,
        }
        return dataclasses.replace(spec, **{key: value for key, value in changes.items() if value is not None})


def load_study_file(path: str | Path) -> StudySpec:
    """Run a study file and return the `study` it declares.

    Its folder is put on `sys.path`, as Python does for a script, so that it can import its neighbours.

    Raises:
        StudyFileError: If the file is missing, cannot be run, or declares no `study`.
    """
    path = Path(path).resolve()
    tree = check_study_file(path)
    module = ModuleType(f"autotune_study_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    sys.path.insert(0, str(path.parent))
    global _loading
    _loading, before = path, _loading
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise StudyFileError(
            f"{path} stopped with {summary_of(error, path)}.",
            "A study file runs from top to bottom without an error.",
            f"Run it alone to see the whole traceback: python {path}",
        ) from error
    finally:
        _loading = before
    # A sampler or pruner that the file defines travels to the parent, which cannot import the file.
    cloudpickle.register_pickle_by_value(module)
    return _declared_study(vars(module), path)


def refuse_while_loading() -> None:
    """Refuse to start a run from a study file that is just being loaded, which would go on for ever.

    Raises:
        StudyFileError: If a study file is being loaded.
    """
    if _loading is not None:
        raise StudyFileError(
            f"{_loading} starts a run while it is loaded.",
            "Every trial process loads the study file, and is only to find `study` in it.",
            'Put the call below `if __name__ == "__main__":`.',
        )


def check_study_file(path: Path) -> ast.Module:
    """Parse a study file without running it.

    Raises:
        StudyFileError: If it cannot be read or is not Python.
    """
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except (OSError, ValueError, RecursionError, MemoryError) as error:  # the parser's own limits, too
        raise StudyFileError(
            f"the study file {path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            "A study file is a Python file that declares `study = StudySpec(...)`.",
            "Check the path; README.md shows a study file of one screen.",
        ) from error
    except SyntaxError as error:
        raise StudyFileError(
            f"{path}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}",
            f"A study file is Python that this interpreter ({'.'.join(map(str, sys.version_info[:2]))}) understands.",
            "Correct that line and run the same command again.",
        ) from error


def imports_keras(tree: ast.Module) -> bool:
    """Say whether a parsed study file looks as if its trials need TensorFlow (wrong only costs time)."""
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    heavy = ("keras", "tensorflow", "autotune.models", "autotune.spaces")
    return any(name == root or name.startswith(root + ".") for name in names for root in heavy)


def _declared_study(namespace: Mapping[str, Any], path: Path) -> StudySpec:
    spec = namespace.get("study")
    if isinstance(spec, StudySpec):
        return spec
    raise StudyFileError(
        f"{path} declares no study: `study` is {'missing' if spec is None else type(spec).__name__}.",
        "A study file ends with `study = StudySpec(name=..., direction=..., ...)`.",
        "Add that line; README.md shows a study file of one screen.",
    )


def _check_name(name: str) -> None:
    if not is_study_name(name):
        raise StudyFileError(f"name={cut(name)} cannot name a study.", EXPECTED, "Choose a name like 'mnist-cnn'.")


def _check_kind(spec: StudySpec) -> None:
    keras_parts = {"build": spec.build, "dataset": spec.dataset, "monitor": spec.monitor}
    given = [name for name, value in keras_parts.items() if value is not None]
    missing = [name for name, value in keras_parts.items() if value is None]
    if spec.objective is not None and given:
        raise StudyFileError(
            f"the study has an objective and also {', '.join(given)}.",
            "A study is either a Keras study (build, dataset, monitor) or an Optuna objective.",
            "Remove one of the two.",
        )
    if spec.objective is None and missing:
        raise StudyFileError(
            f"the study has no {' and no '.join(missing)}.",
            "A Keras study needs build, dataset and monitor; a plain Optuna study needs objective.",
            f"Give StudySpec {', '.join(f'{name}=...' for name in missing)}.",
        )


def _check_parts(spec: StudySpec) -> None:
    for name in ("build", "fit", "objective", "test_dataset"):
        value = getattr(spec, name)
        if value is not None and not callable(value):
            raise StudyFileError(
                f"{name}={value!r} cannot be called.",
                f"`{name}` is a function{'' if name == 'test_dataset' else ' that takes a trial'}.",
                f"Write def {name}(...): ... and give its name.",
            )
    if spec.baseline is not None and not isinstance(spec.baseline, Mapping):
        raise StudyFileError(
            f"baseline={spec.baseline!r} is no dict.",
            "It gives each hyperparameter of the configuration to beat its value.",
            'Write, for example, baseline={"blocks": 3, "dropout": 0.0}.',
        )
    if not isinstance(spec.enqueue, (list, tuple)) or not all(isinstance(one, Mapping) for one in spec.enqueue):
        raise StudyFileError(
            f"enqueue={spec.enqueue!r} is no list of dicts.",
            "Each gives hyperparameters of a trial to begin with their values.",
            'Write, for example, enqueue=[{"blocks": 3, "dropout": 0.2}].',
        )
    if not isinstance(spec.folds, (Holdout, KFold, GroupKFold)):
        raise StudyFileError(
            f"folds={spec.folds!r} is unknown.",
            "It is Holdout(fraction), KFold(k) or GroupKFold(k).",
            "Write, for example, folds=Holdout(0.1).",
        )


def _check_minimize(spec: StudySpec) -> None:
    costs = spec.minimize
    is_list = isinstance(costs, (list, tuple)) and len(set(map(str, costs))) == len(costs)
    if not is_list or not set(costs) <= set(get_args(Cost)):
        raise StudyFileError(
            f"minimize={costs!r} is unknown.",
            f"It lists what else is to be small, each once: {', '.join(map(repr, get_args(Cost)))}.",
            'Write, for example, minimize=["parameters"].',
        )
    if costs and spec.objective is not None:
        raise StudyFileError(
            f"the study has an objective and also minimize={costs!r}.",
            "What a network costs is measured where there is one: in a Keras study (build, dataset, monitor).",
            "Leave `minimize` out, or return one value that weighs both.",
        )


def _check_rows(spec: StudySpec) -> None:
    value: object = spec.train_fraction
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 1:
        raise StudyFileError(
            f"train_fraction={value!r} is out of range.",
            "It is the share of the training rows that the search trains on, larger than 0 and at most 1.",
            "Write, for example, train_fraction=0.25, or leave it out to search on all of them.",
        )
    given = [name for name in ("train_fraction", "epochs_per_pass") if getattr(spec, name) != 1]
    if given and spec.objective is not None:
        raise StudyFileError(
            f"the study has an objective and also {given[0]}={getattr(spec, given[0])!r}.",
            "Training rows are known in a Keras study (build, dataset, monitor).",
            f"Leave `{given[0]}` out, and take a part of the rows in the objective.",
        )


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise StudyFileError(
            f"{name}={value!r} is unknown.",
            f"Choices: {', '.join(map(str, choices))}.",
            f"Set `{name}` in the study file.",
        )


def _check_stop(value: object) -> None:
    if value is not None and not isinstance(value, StopWhenFlat):
        raise StudyFileError(
            f"stop={value!r} is no rule.",
            "It is stop_when_flat(patience), or None.",
            "Write, for example, stop=autotune.stop_when_flat(patience=20).",
        )


def _check_timeout(value: object) -> None:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0):
        return
    raise StudyFileError(
        f"trial_timeout_s={value!r} is out of range.",
        "It is a number of seconds larger than 0, or None for any time.",
        "Set `trial_timeout_s` in the study file.",
    )


def _check_at_least(name: str, value: object, least: int) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return
    raise StudyFileError(
        f"{name}={value!r} is out of range.",
        f"`{name}` is an integer of at least {least}.",
        f"Set `{name}` to {least} or more.",
    )


def _check_search(spec: StudySpec) -> None:
    if isinstance(spec.sampler, optuna.samplers.BaseSampler) or (spec.sampler and not callable(spec.sampler)):
        kind = type(spec.sampler).__name__
        raise StudyFileError(
            f"sampler is a {kind} object.",
            "It is to be a function from a seed to a sampler: seeds come from (study seed, trial).",
            f"Write sampler=lambda seed: optuna.samplers.{kind}(seed=seed).",
        )
    if spec.pruner is not None and not isinstance(spec.pruner, optuna.pruners.BasePruner):
        raise StudyFileError(
            f"pruner={spec.pruner!r} is no Optuna pruner.",
            "It is an object such as optuna.pruners.MedianPruner(n_warmup_steps=3).",
            "Use optuna.pruners.NopPruner() to prune nothing, or leave it out.",
        )
