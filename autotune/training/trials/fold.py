"""Train one trial on one fold, stage after stage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import keras
import optuna

from autotune.data.rows import Dataset
from autotune.seeds import derive_seed
from autotune.study import StudySpec
from autotune.training.checkpoints import (
    Checkpoint,
    CheckpointWriter,
    FoldScore,
    UnusableCheckpointError,
)
from autotune.training.fitting import (
    KERAS_BATCH_SIZE,
    Batches,
    BatchFunction,
    EpochKeeper,
    Measured,
    PhaseWatch,
    Scores,
    Stage,
    Unvalidated,
    build_metrics,
    built_model,
    can_be_evaluated,
    compare,
    fixed_batch_size,
    group_size,
    in_groups,
    prepare_stage,
    restore,
    rows_at_a_time,
    shared,
    stages_of,
)
from autotune.training.inspection import TrialEvents
from autotune.training.records import (
    MEASURED_AGAIN,
    MONITORED_LOSS,
    Refit,
    Timer,
    describe_loss,
    is_loss,
)
from autotune.training.state import StudyGlobals, go_on_writing, refuse_unkept


def trial_identity(spec: StudySpec, trial: optuna.Trial, place: tuple[int | str, ...], split: str) -> str:
    """Return a digest of everything that decides a trial's numbers, to recognise the trial's own checkpoint."""
    facts = [spec.name, spec.seed, trial.number, *place, split]
    text = json.dumps([*facts, sorted(trial.params.items())], default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class FoldJob:
    """One fold of one trial: the study, the rows, and the writers of checkpoints and events.

    Attributes:
        spec: The study.
        trial: The trial.
        place: The parts of the trial's seeds that identify the trial.
        writer: Writes the trial's checkpoints.
        number: The number of the fold, from 0.
        train: The training rows.
        validation: The validation rows; none in a refit.
        refit: The settings of a refit; None if there are validation rows.
        finished: The scores of the folds before.
        split: The digest of data and folds.
        timer: Counts the trial's seconds.
        events: The writer of the trial's event files; None for none.
        tell: Called with messages for the user.
        n_folds: The number of folds.
        study_globals: The values at the top level of the study file, since the trial began.
    """

    spec: StudySpec
    trial: optuna.Trial
    place: tuple[int | str, ...]
    writer: CheckpointWriter
    number: int
    train: Dataset
    validation: Dataset
    refit: Refit | None
    finished: tuple[FoldScore, ...]
    split: str
    timer: Timer
    events: TrialEvents | None
    tell: Callable[[str], None]
    n_folds: int
    study_globals: StudyGlobals

    @property
    def keeps_model(self) -> bool:
        """Whether the model may be kept; trials with several folds keep no model."""
        return self.spec.keep_models > 0 and self.n_folds == 1

    def seed(self, *place: int | str) -> int:
        """Return the seed for a part of this fold, e.g. ("epoch", 3)."""
        return derive_seed(self.spec.seed, *self.place, "fold", self.number, *place)

    def save(self, checkpoint: Checkpoint, is_whole: bool) -> None:
        """Complete the checkpoint of an epoch with the trial's identity, folds and times, and write it.

        A checkpoint that does not hold the whole state of the network is not written, because a trial that resumes from
        it would end with other numbers.
        """
        identity = trial_identity(self.spec, self.trial, self.place, self.split)  # the trial has all parameters by now
        whole = dataclasses.replace(
            checkpoint,
            identity=identity,
            finished=self.finished,
            fit_seconds=self.timer.fit_seconds,
            process_seconds=self.timer.process_seconds,
        )
        with self.timer.spending("checkpoints"):
            (self.writer.save if is_whole else self.writer.note)(whole)


def train_fold(job: FoldJob, checkpoint: Checkpoint | None) -> tuple[keras.Model, FoldScore]:
    """Build the model and train it; return it with the weights of its best epoch, and the score of that epoch.

    Args:
        job: The fold.
        checkpoint: The checkpoint to resume from; None to begin.

    Raises:
        UnusableCheckpointError: The checkpoint does not fit the model or its stages.
    """
    keras.utils.clear_session()  # Keras numbers names from here, so that the second fold has "auc", not "auc_1"
    keras.utils.set_random_seed(job.seed("build"))
    with job.timer.spending("build"):
        model = built_model(job.spec, job.trial, job.train)
    if is_loss(job.spec.monitor) and not job.refit:
        job.trial.set_user_attr(MONITORED_LOSS, describe_loss(model))
    stages = _stages(job)
    keeper = None
    for number, stage in enumerate(stages):
        if stage.before is not None:
            keras.utils.set_random_seed(job.seed("stage", number))
            prepare_stage(model, stage.before, job.trial.number)
        if checkpoint is None or checkpoint.stage == number:
            is_last = number == len(stages) - 1
            keeper = _train_stage(job, model, stage, _Turn(number, is_last, keeper, checkpoint))
            checkpoint = None
    if keeper is None:
        raise UnusableCheckpointError("was written in a stage that `fit` does not return any more")
    best = keeper.best_epoch
    value = keeper.history[keeper.monitor][best - 1]
    return model, FoldScore(value, best, keeper.history, model.count_params(), keeper.stage_ends)


def _stages(job: FoldJob) -> list[Stage]:
    stages = stages_of(job.spec, job.trial)
    if job.refit is None:
        return stages
    lengths = job.refit.lengths(len(stages))
    return [
        dataclasses.replace(stage, epochs=length, callbacks=job.refit.callbacks(stage.callbacks))
        for stage, length in zip(stages, lengths, strict=False)
    ]


class _Turn(NamedTuple):
    """The place of a stage in the training of a fold.

    Attributes:
        number: Its number, from 0.
        is_last: Whether it is the last one.
        earlier: The keeper of the stage before; None if it was trained by another process, or if there is none.
        checkpoint: The checkpoint to resume from, written in this stage; None if it begins.
    """

    number: int
    is_last: bool
    earlier: EpochKeeper | None
    checkpoint: Checkpoint | None

    @property
    def start(self) -> int:
        """The number of epochs before this stage."""
        known = self.checkpoint or self.earlier
        return known.stage_ends[self.number - 1] if known and self.number else 0

    @property
    def is_over(self) -> bool:
        """Whether another process has trained this stage to its end."""
        return self.checkpoint is not None and len(self.checkpoint.stage_ends) > self.number


def _train_stage(job: FoldJob, model: keras.Model, stage: Stage, turn: _Turn) -> EpochKeeper:
    """Train a stage, and return its keeper; after the last stage the model has the weights of the best epoch."""
    checkpoint, callbacks, arguments = turn.checkpoint, stage.callbacks, dict(stage.arguments)
    training, validation = _batches(job, model, arguments)
    if checkpoint:
        go_on_writing(callbacks)
    else:
        refuse_unkept(model, callbacks)
    passed = [Unvalidated(callback, job.tell) for callback in callbacks] if job.refit else callbacks
    measured = Measured(passed, validates=validation is not None)
    keeper = EpochKeeper(
        *(job.spec, job.trial, job.seed, training, callbacks, job.study_globals, job.save, job.tell),
        reports=job.number == 0,
        resume=checkpoint,
        measured=measured,
        is_refit=job.refit is not None,
        stage=turn.number,
        earlier=turn.earlier,
    )
    if job.events:
        job.events.write_hyperparameters(job.trial.params)
    of_ours = [PhaseWatch(job.timer), *([job.events.callback(job.number)] if job.events else [])]
    scores = (
        [Scores(job.spec.score, job.validation, validates=validation is not None)]
        if job.spec.score and len(job.validation)
        else []
    )
    done = checkpoint.epochs if checkpoint else turn.start
    end = turn.start + stage.epochs
    if done and checkpoint:
        keeper.judge(done)
    is_to_fit = keeper.problem is None and done < end and not (checkpoint and (checkpoint.stopped or turn.is_over))
    size = group_size(model, training, validation, [*of_ours, *callbacks], arguments) if is_to_fit else 1
    with in_groups(model, training, validation, size) as (training_rows, validation_rows):
        if is_to_fit:
            with job.timer.fitting():
                model.fit(
                    training_rows,
                    validation_data=validation_rows,
                    epochs=end,
                    initial_epoch=done,
                    shuffle=False,
                    callbacks=[*scores, measured, of_ours[0], *passed, *of_ours[1:], keeper],
                    **{"verbose": 2, **arguments},
                )
        elif checkpoint:
            job.study_globals.put_back(checkpoint.study_globals)
        if keeper.problem is not None:
            raise keeper.problem
        if not turn.is_last:
            if not is_to_fit and checkpoint:
                _end_again(job, model, callbacks, checkpoint, training, is_over=turn.is_over)
            if not turn.is_over:
                keeper.end_stage(max(map(len, keeper.history.values())), model)
            return keeper
        model.set_weights(keeper.best_weights)
        if validation is not None and job.keeps_model:
            again = model.evaluate(
                validation_rows, verbose=0, return_dict=True, steps=arguments.get("validation_steps")
            )
            _tell_of_difference(job, compare(keeper.history, keeper.best_epoch, again, keeper.monitor))
    return keeper


def _end_again(
    job: FoldJob,
    model: keras.Model,
    callbacks: list[keras.callbacks.Callback],
    checkpoint: Checkpoint,
    training: Batches,
    is_over: bool,
) -> None:
    """Restore the model as it was when a stage ended; let the callbacks end it if they had not yet."""
    ending = keras.callbacks.CallbackList(callbacks, model=model)
    if not is_over:
        ending.on_train_begin()  # callbacks create their variables there
    restore(model, callbacks, job.study_globals, checkpoint, training)
    if not is_over:
        ending.on_train_end()


def _batches(job: FoldJob, model: keras.Model, arguments: dict[str, Any]) -> tuple[Batches, Batches | None]:
    """Return the batches of training and of validation; remove the arguments of `fit` that they need."""
    spec = job.spec
    batch_size, validation_batch = _batch_sizes(job, model, arguments)
    shuffled = partial(job.seed, "rows") if arguments.pop("shuffle", True) else None
    change = BatchFunction(spec.batch, job.trial, job.seed) if spec.batch else None
    training = Batches(
        job.train,
        batch_size,
        one_hot=spec.one_hot,
        pass_seed=shuffled,
        epochs_per_pass=spec.epochs_per_pass,
        change=change,
    )
    with job.timer.spending("build"):
        build_metrics(model, training)
    if not len(job.validation) or not can_be_evaluated(model):
        return training, None
    return training, Batches(job.validation, validation_batch, one_hot=spec.one_hot, as_column=training.as_column)


def _batch_sizes(job: FoldJob, model: keras.Model, arguments: dict[str, Any]) -> tuple[int, int]:
    """Remove the batch sizes of training and validation from the arguments of `fit`, and return them."""
    n_devices = model.distribute_strategy.num_replicas_in_sync
    size = arguments.pop("batch_size", None) or KERAS_BATCH_SIZE
    most = max(n_devices, rows_at_a_time(model, job.train))
    default = fixed_batch_size(model) or max(size, most // n_devices * n_devices)
    validation = arguments.pop("validation_batch_size", None) or default
    if n_devices == 1:
        return size, validation
    return shared(size, n_devices, len(job.train)), shared(validation, n_devices, len(job.validation))


def _tell_of_difference(job: FoldJob, difference: str) -> None:
    if difference:
        job.trial.set_user_attr(MEASURED_AGAIN, difference)
        job.tell(
            f"{difference}: the model draws at random in validation too, or a callback or a layer of the study file's "
            "own has state that no model file holds"
        )
