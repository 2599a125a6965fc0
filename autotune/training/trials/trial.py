"""Train one trial on each fold in turn, and return its score."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import keras
import optuna

from autotune.data.splits import Split
from autotune.disk import disk_full
from autotune.study import StudySpec
from autotune.training.checkpoints import (
    Checkpoint,
    CheckpointCopies,
    CheckpointWriter,
    FoldScore,
    TrialFolder,
    UnusableCheckpointError,
)
from autotune.training.inspection import TrialEvents, is_of_own_class, measure_latency_ms, save_weights
from autotune.training.outputs import leave_pictures, leaving_history
from autotune.training.records import (
    Refit,
    Timer,
    note_folds,
    noting_time,
)
from autotune.training.state import StudyGlobals
from autotune.training.trials.fold import FoldJob, train_fold, trial_identity


@dataclass(frozen=True)
class TrialScore:
    """The result of a trial.

    Attributes:
        value: The mean of the folds' values.
        folds: The score of each fold.
        n_parameters: The number of weights of its network; of the largest network if there are several folds.
        latency_ms: Milliseconds that the saved network takes for one row; NaN if the study does not minimize it.
    """

    value: float
    folds: tuple[FoldScore, ...]
    n_parameters: int
    latency_ms: float


def train_trial(
    spec: StudySpec,
    trial: optuna.Trial,
    split: Split,
    folder: TrialFolder,
    tell: Callable[[str], None] = print,
    *,
    place: tuple[int | str, ...],
    refit: Refit | None = None,
    has_reported: bool = False,
    is_among_best: Callable[[float], bool] = lambda value: True,
    timer: Timer | None = None,
) -> TrialScore:
    """Train `trial` on every fold; resume from its checkpoint if it has one.

    Args:
        spec: A Keras study.
        trial: Optuna's trial, or an object with the same methods.
        split: The rows and the folds.
        folder: The trial's folder, for its checkpoint and its model.
        tell: Called with messages for the user about the trial's checkpoint.
        place: The parts of the trial's seeds that identify the trial, e.g. `("trial", 12)`.
        refit: The settings of a training without validation rows; None if all folds have some.
        has_reported: Whether the trial has reported before, on this machine or another one.
        is_among_best: Tells whether a trial with this value is good enough to keep its model and to draw its confusion
            matrix.
        timer: Counts the seconds; None for a new timer.

    Raises:
        optuna.TrialPruned: If the pruner stops the trial; every `on_train_end` has run by then.
        DivergedError: If the loss became NaN or infinite.
        TrainingError: If the study file's monitor, model or fit arguments cannot be used.
        OSError: If the disk is full.
    """
    timer = timer or Timer()
    copies = CheckpointCopies(folder, tell)
    spec = refit.apply(spec) if refit else spec
    study_globals = StudyGlobals((spec.build, spec.fit, spec.batch, spec.score))
    with (
        noting_time(trial, timer),
        leaving_history(folder, copies, str(spec.monitor), timer),
        CheckpointWriter(copies) as writer,
    ):
        data, folds = split.data, split.folds
        events = TrialEvents(folder.events, len(folds)) if folder.events else None
        checkpoint = copies.load(trial_identity(spec, trial, place, split.digest), has_reported)
        if checkpoint and not refit and checkpoint.history and str(spec.monitor) not in checkpoint.history:
            checkpoint = None  # the study file has been corrected since, and the checkpoint lacks its new metric
        finished = checkpoint.finished if checkpoint else ()
        if checkpoint:
            timer.go_on_from(checkpoint)
            _report_again(trial, spec, checkpoint, len(folds))
        for number in range(len(finished), len(folds)):
            train, validation = data.subset(folds[number].train), data.subset(folds[number].validation)
            job = FoldJob(
                *(spec, trial, place, writer, number, train, validation, refit, finished, split.digest, timer, events),
                *(tell, len(folds), study_globals),
            )
            try:
                model, score = train_fold(job, checkpoint)
            except UnusableCheckpointError as error:
                tell(f"its checkpoint {error}; it starts over")
                model, score = train_fold(job, None)
            finished, checkpoint = (*finished, score), None
            note_folds(trial, finished, len(folds))
            if number > 0:
                _report_folds(trial, finished, spec.epochs)
                if trial.should_prune():
                    raise optuna.TrialPruned(f"pruned after {len(finished)} folds")
        value = fmean(score.value for score in finished)
        if events:
            events.write_value(str(spec.monitor), value, max(map(len, finished[-1].history.values())))
        # With several folds, the predictions of all of them would have to be kept before the trial's value is known.
        is_kept = spec.keep_models > 0 and len(folds) == 1
        is_good = is_kept and len(validation) > 0 and is_among_best(value)
        # A trial that is not among the best now will never be, but it may be cheaper than all better trials.
        if refit or is_good or (is_kept and spec.minimize):
            with timer.spending("saving"):
                _save_model(model, folder, job.seed("build"))
        if is_good:
            with timer.spending("pictures"):
                leave_pictures(folder, model, validation, spec.one_hot)
    latency_ms = measure_latency_ms(model, train) if "latency" in spec.minimize else math.nan
    n_parameters = max(score.n_parameters for score in finished)
    return TrialScore(value, finished, n_parameters, latency_ms)


def _report_again(trial: optuna.Trial, spec: StudySpec, checkpoint: Checkpoint, n_folds: int) -> None:
    """Report the checkpoint's epochs again, as a killed parent may not have stored them; a known report is ignored."""
    values, finished = checkpoint.histories[0].metrics.get(str(spec.monitor), []), checkpoint.finished
    for epoch, value in enumerate(values if finished else values[:-1], start=1):  # `judge` reports the last one
        trial.report(value, epoch)
    if finished:
        note_folds(trial, finished, n_folds)
    for n in range(2, len(finished) + 1):
        _report_folds(trial, finished[:n], spec.epochs)


def _report_folds(trial: optuna.Trial, finished: tuple[FoldScore, ...], epochs: int) -> None:
    """Report the mean of the finished folds, at the steps after the first fold's epochs."""
    epochs = max(epochs, *map(len, finished[0].history.values()))  # `fit` may train more epochs than the study says
    trial.report(fmean(score.value for score in finished), epochs + len(finished) - 1)


def _save_model(model: keras.Model, folder: TrialFolder, build_seed: int) -> None:
    beside = folder.model.with_name(f"saving-{os.getpid()}.keras")
    try:
        model.save(beside)
        os.replace(beside, folder.model)
    except Exception as error:  # Keras cannot save every model (e.g. a loss without a name); the trial is still valid
        if disk_full(error, folder.path):
            raise
        print(f"The model could not be saved: {type(error).__name__}: {error}")
    finally:
        beside.unlink(missing_ok=True)
    if is_of_own_class(model):
        save_weights(model, folder.weights, build_seed)
