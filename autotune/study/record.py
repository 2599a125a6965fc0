"""The `StudySpec` that a study file declares, and the options of the command line that override it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import optuna

from autotune.data.rows import Dataset
from autotune.data.splits import Folds, Holdout, with_k
from autotune.stopping_rule import StopWhenFlat
from autotune.study.checks import Cost, Direction, EpochPolicy, check

RowsFunction: TypeAlias = Callable[[], Dataset] | Callable[[Path | None], Dataset]


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """The declaration of a study: what is trained or computed, how it is scored, and how the search goes.

    Give either `build`, `dataset` and `monitor` (a Keras study) or `objective` alone (a plain Optuna study).

    Args:
        name: The study's name in the storage and its folder in the run dir.
        direction: Whether a larger ("maximize") or a smaller ("minimize") value is better.
        minimize: Costs of the network that a Keras study also minimizes: "parameters", the number of its weights, and
            "latency", milliseconds of the saved model for one row, the fastest of 50. The study then has several
            objectives. `monitor` is the first: trials are pruned and ranked by it. `autotune best` shows the Pareto
            front.
        build: `build(trial, data) -> keras.Model`, compiled. `data` holds the training rows of one fold.
        dataset: The name of a dataset (see `autotune datasets`), or a function that returns a `Dataset` of development
            rows. If the function has an argument, it gets the data folder (`--data-dir`), a `Path` or None.
        monitor: The metric that is the trial's value, by Keras's name, e.g. "val_accuracy".
        one_hot: Whether the model gets labels one-hot, float32 of shape (b, n_classes), as cross-entropy with label
            smoothing, mean squared error and focal loss need them; otherwise labels are integers of shape (b,).
        folds: How rows are split into training and validation rows: `Holdout(fraction)`, `KFold(k)`, `GroupKFold(k)`,
            `Latest(fraction, gap)` for the newest rows, `Given(rows)` for rows of your own, or any splitter of
            scikit-learn, e.g. `TimeSeriesSplit(5, gap=24)`.
        train_fraction: Share of each fold's training rows that the search trains on, in (0, 1]. Classes stay in
            proportion, groups stay whole, and validation rows stay the same. `autotune finalize` confirms and refits
            on all rows. It cannot change once the study has started.
        fit: Optional `fit(trial) -> dict` of arguments for `keras.Model.fit`: batch_size, callbacks, class_weight ...
            A list of such dicts makes several stages, one after another, each with its `epochs` and, if need be, a
            function `before(model)` that is called first, e.g. to unfreeze layers and compile again.
        batch: Optional `batch(trial, batch, rng) -> batch`, which changes each batch of training, e.g. MixUp, random
            crops or noise. `batch` is (x, y) or (x, y, sample_weight) in NumPy arrays, and `rng` a
            `numpy.random.Generator` whose numbers depend on the seed, the trial, the fold, the epoch and the batch.
        score: Optional `score(model, rows) -> dict` of numbers, called after each epoch with the validation rows, a
            `Dataset`, for scores that Keras does not compute; `monitor` may name one of them.
        epochs: Epochs of training of each fold, at least 1.
        epochs_per_pass: Number of epochs for one pass through the training rows, at least 1. With 5, an epoch is a
            fifth of the rows, and trials report, write a checkpoint and may be pruned five times as often. Use it for
            data of which one pass takes long. `epochs`, callbacks, schedules and pruners all count these epochs.
        devices_per_trial: Number of GPUs that each trial trains on, at least 1. With 2 or more `build` is called in the
            scope of a `tf.distribute.MirroredStrategy`, a slot has as many GPUs, and `batch_size` is a multiple of
            their number. Without GPUs the CPU counts as that many devices.
        objective: A plain Optuna objective, `objective(trial) -> float`.
        n_trials: Number of finished (complete or pruned) trials after which the study ends, at least 1.
        seed: The seed that all random numbers of the study come from, at least 0.
        epoch_policy: Which epoch's value and weights count: "best" or "last".
        sampler: A function from a seed to an Optuna sampler, e.g.
            `lambda seed: optuna.samplers.TPESampler(seed=seed)`. It is called again for every suggestion, with a seed
            from (study seed, trial, parameter), so that an interrupted search suggests the same values. None for TPE
            as in `autotune.search.samplers.tpe`.
        baseline: The configuration that the study has to beat, a value for each of its hyperparameters, e.g. the
            article's. `autotune finalize` trains it together with the candidates, and it is one of the guesses. None
            for none.
        enqueue: Configurations of the first trials of a new study, a dict for each trial, e.g. the best of an earlier
            study. Hyperparameters that a dict does not give are suggested.
        guess: Configurations that you expect to be good, a dict or a list of dicts; the baseline is one too, and the
            last one are the usual values that the functions of `autotune.spaces` know, if `build` and `fit` call any.
            The first trials try them, and may be pruned; early suggestions lean towards them. Hyperparameters that a
            dict does not give are suggested. None for no guess, neither the baseline nor usual values.
        learn_from: Names of earlier studies whose best configurations are the first trials of a new study, after those
            in `enqueue`: studies of the same storage, "URL#NAME" for one of another storage, or "all" for all searches
            of the storage. Hyperparameters are compared by their names; values are moved into the ranges of this study,
            and what an earlier study does not have is suggested.
        test_dataset: A function that returns the test rows, like `dataset`, if that is a function too. Only
            `autotune finalize` calls it, once. Named datasets have their own test rows.
        pruner: An Optuna pruner; reports are made after each epoch, counted from 1. None for
            `autotune.NoiseAwarePruner()`: from the third epoch on, and once five other trials have reached the same
            epoch, it stops a trial that is worse than the better ones of them by more than noise explains.
        keep_models: How many of the best trials keep their `model.keras`, at least 0.
        max_failures_in_a_row: The study stops when this many trials fail one after another, at least 1. The limit is
            ten times as high for trials that ran out of memory or time or diverged, if other configurations worked. A
            Keras study in which no trial has finished an epoch stops after the first error if other configurations, on
            a few batches, stop with an error, too.
        count_failed: Whether a failed trial counts as one of `n_trials`, unless it was lost with its parent.
        max_retries: How often a trial whose parent or process was killed runs again without a new report in between,
            at least 0; after that it fails with the reason "lost".
        retry_errors: How often a trial that ended with an error is retried, from its checkpoint and with the same
            number, at least 0. Use it for data sources that are sometimes unreachable. The first retry waits a second,
            and each later one twice as long.
        trial_timeout_s: Number of seconds that a trial may run without interruption, larger than 0; after that it
            fails with the reason "timeout". None for no limit.
        stop: `stop_when_flat(patience)` to end the study early, judged by its `monitor`. None to run all trials.

    Raises:
        StudyFileError: If the arguments contradict each other or are out of range.
    """

    name: str
    direction: Direction
    minimize: Sequence[Cost] = ()
    build: Callable[[optuna.Trial, Dataset], Any] | None = None
    dataset: str | RowsFunction | None = None
    monitor: str | None = None
    one_hot: bool = False
    folds: Folds = Holdout(0.1)  # noqa: RUF009 -- reason: frozen, and equal to every other Holdout(0.1)
    train_fraction: float = 1.0
    fit: Callable[[optuna.Trial], Mapping[str, Any]] | None = None
    batch: Callable[[optuna.Trial, Any, np.random.Generator], Any] | None = None
    score: Callable[[Any, Dataset], Mapping[str, Any]] | None = None
    epochs: int = 10
    epochs_per_pass: int = 1
    devices_per_trial: int = 1
    objective: Callable[[optuna.Trial], float] | None = None
    n_trials: int = 50
    seed: int = 0
    epoch_policy: EpochPolicy = "best"
    sampler: Callable[[int], optuna.samplers.BaseSampler] | None = None
    pruner: optuna.pruners.BasePruner | None = None
    baseline: Mapping[str, Any] | None = None
    enqueue: Sequence[Mapping[str, Any]] = ()
    guess: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = ()
    learn_from: Sequence[str] | str = ()
    test_dataset: RowsFunction | None = None
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
    """Values from the command line that replace those of the study file; None keeps the study file's value."""

    name: str | None = None
    epochs: int | None = None
    folds: int | None = None
    seed: int | None = None

    def apply(self, spec: StudySpec) -> StudySpec:
        """Return `spec` with the values that are not None replaced."""
        changes: dict[str, Any] = {
            "name": self.name,
            "epochs": self.epochs,
            "folds": with_k(spec.folds, self.folds) if self.folds is not None else None,
            "seed": self.seed,
        }
        return dataclasses.replace(spec, **{key: value for key, value in changes.items() if value is not None})
