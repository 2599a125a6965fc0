"""What a study file declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from autotune.data import Dataset, Folds, Holdout, with_k
from autotune.stopping_rule import StopWhenFlat
from autotune.study.checks import Cost, Direction, EpochPolicy, check


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
            None for TPE as in `autotune.search.samplers.tpe`.
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
        check(self)


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
