"""The work between two epochs: seeds, history, best epoch, checkpoint, report, pruning.

The order at the end of an epoch is: checkpoint, report, question whether to prune. The checkpoint is copied at the end
of the epoch and written while the next epoch trains (see `saving`). If the process is killed at any point, the resumed
trial finds the epoch in its checkpoint or trains it again. It then reports the epoch again, which changes nothing.

What is covered: row order, Keras's seed generators (dropout, augmentation, any call of `keras.random`), Python's and
NumPy's global generators. What is not covered: `tf.random`, whose hidden counters cannot be restored; the checks before
the first trial refuse it.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import optuna

from autotune.errors import DivergedError, TrainingError
from autotune.keras_inside import all_layers
from autotune.study import StudySpec
from autotune.training.checkpoints import Checkpoint, UnusableCheckpointError
from autotune.training.fitting.batches import Batches, in_tensors
from autotune.training.fitting.measured import Measured
from autotune.training.state import (
    StudyGlobals,
    Watch,
    callback_variables,
    cannot_be_kept,
    put_back,
    state_of,
    training_variables,
)


class EpochKeeper(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """The last callback of `fit`: it sees the changes of all other callbacks, and checkpoints and reports the epoch.

    Args:
        spec: The study.
        trial: The trial to report to.
        seed: The function from names and numbers such as ("epoch", 3) to a seed in this fold.
        batches: The training rows.
        callbacks: The study file's own callbacks, whose state is checkpointed too.
        study_globals: The values at the top level of the study file; those that have changed are checkpointed too.
        save: Called with the checkpoint of each epoch, and whether it is complete. The checkpoint does not change
            afterwards.
        tell: Called with messages for the user.
        reports: Whether epochs are reported, so that the trial may be pruned; true for the first fold only.
        resume: The checkpoint to resume from, written in the same stage; None if this stage begins.
        measured: Knows with which weights an epoch was measured.
        is_refit: Whether there are no validation rows.
        stage: The number of the stage, from 0.
        earlier: The keeper of the stage before; None if there is none, or if `resume` is given.

    Attributes:
        problem: The error that ended the training, to be raised after `fit`; None if there is none.
    """

    def __init__(
        self,
        spec: StudySpec,
        trial: optuna.Trial,
        seed: Callable[..., int],
        batches: Batches,
        callbacks: list[keras.callbacks.Callback],
        study_globals: StudyGlobals,
        save: Callable[[Checkpoint, bool], None],
        tell: Callable[[str], None],
        reports: bool,
        resume: Checkpoint | None,
        measured: Measured,
        is_refit: bool,
        stage: int = 0,
        earlier: EpochKeeper | None = None,
    ) -> None:
        super().__init__()
        self._spec = spec
        self._trial = trial
        self._seed = seed
        self._batches = batches
        self._callbacks = callbacks
        self._study_globals = study_globals
        self._save = save
        self._tell = tell
        self._reports = reports
        self._resume = resume
        self._measured = measured
        self._is_refit = is_refit
        self._vectors: dict[str, int] = {}
        self._stage = stage
        before = resume or earlier
        self.history: dict[str, list[float]] = dict(before.history) if before else {}
        self.best_epoch: int = before.best_epoch if before else 0
        self.best_weights: list[npt.NDArray[Any]] = before.best_weights if before else []
        self.stage_ends: list[int] = list(before.stage_ends) if before else []
        self.problem: Exception | None = None
        self._made_of: MadeOf
        self._watch: Watch
        self._is_whole = True
        self._lost: list[str] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._resume is not None:  # the other callbacks have created their variables by now
            restore(self.model, self._callbacks, self._study_globals, self._resume, self._batches)
        self._made_of, self._watch = MadeOf.now(self.model), Watch(self.model, self._callbacks)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # TensorFlow's own seed is set once, before the model is built: setting it again clears its kernel caches, and
        # the next epoch takes twice as long. Keras's seed generators are in the checkpoint.
        random.seed(self._seed("epoch", epoch))
        np.random.seed(self._seed("epoch", epoch))
        self._batches.start_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            if np.size(value) == 1:
                self.history.setdefault(name, []).append(float(np.reshape(value, ())))
            else:
                self._vectors[name] = np.size(value)
        variables, values = self._values()
        self._keep_best(epoch + 1, {id(variable): value for variable, value in zip(variables, values, strict=True)})
        self._note_changes(epoch + 1)
        self._save_state(variables, values)
        self.judge(epoch + 1)
        if self.problem is not None:
            self.model.stop_training = True
        elif epoch == 0 and self._reports and not self._is_refit:
            self._tell_who_measures()

    def end_stage(self, epoch: int, model: keras.Model) -> None:
        """Write a checkpoint of the end of the stage: callbacks may have changed the model since its last epoch.

        Args:
            epoch: The number of epochs so far.
            model: The model, which no callback of this stage will change any more.
        """
        self.set_model(model)  # if no epoch of this stage was left to train
        self.stage_ends.append(epoch)
        self._save_state(*self._values())

    def _values(self) -> tuple[list[Any], list[npt.NDArray[Any]]]:
        variables = training_variables(self.model)
        return variables, [value_of(variable) for variable in variables]

    def _save_state(self, variables: list[Any], values: list[npt.NDArray[Any]]) -> None:
        held = [value_of(one) for one in callback_variables(self._callbacks, self.model, variables)]
        self._save(self._checkpoint(values, held), self._is_whole and not self._lost)

    def judge(self, epoch: int) -> None:
        """Report `epoch` (from 1), and set `problem` if training must end after it."""
        if self.problem is not None:
            return
        values = self.history.get(self.monitor)
        if values is None:
            self.problem = self._unknown_monitor()
        elif bad := _not_finite(self.history, self.monitor, epoch):
            self.problem = _diverged(bad, epoch)
        elif self._reports:
            self._trial.report(values[epoch - 1], epoch)
            if self._trial.should_prune():
                self.problem = optuna.TrialPruned(f"pruned after epoch {epoch}")

    @property
    def monitor(self) -> str:
        """The metric that counts; in a refit the loss, if a callback computed the metric from validation metrics."""
        monitor = str(self._spec.monitor)
        if self._is_refit and monitor not in self.history:
            return "loss" if "loss" in self.history else next(iter(self.history), monitor)
        return monitor

    def _tell_who_measures(self) -> None:
        """Tell the user, once in a study, if a callback computes the monitor, which is then not known for test rows."""
        names = self._measured.names
        if self._trial.number == 0 and self.monitor not in names:
            of_model = sorted(name for name in self.history if name in names and not name.startswith("val_"))
            self._tell(
                f"{self.monitor} is made by a callback. Candidates are confirmed by it. Callbacks do not run on the "
                f"test rows, so there the metrics that the model is compiled with are measured: {', '.join(of_model)}"
            )

    def _unknown_monitor(self) -> TrainingError:
        name, number = self._spec.monitor, self._trial.number
        if size := self._vectors.get(str(name)):
            return TrainingError(
                f"the metric {name!r} of trial {number} is {size} numbers, one for each class.",
                "The monitored metric must be one number.",
                'Give the metric an average, e.g. keras.metrics.F1Score(average="macro"), "weighted" or "micro".',
            )
        return TrainingError(
            f"the metric {name!r} was not reported after epoch 1 of trial {number}.",
            f"Keras reported: {', '.join(sorted(self.history))}.",
            "Set `monitor` in the study file to one of these.",
        )

    def _note_changes(self, epoch: int) -> None:
        was_whole, made_of = self._is_whole, MadeOf.now(self.model)
        self._is_whole = made_of.continues(self._made_of)
        if self._is_whole:
            self._made_of = made_of
        elif was_whole:
            self._tell(
                f"by epoch {epoch} a callback has changed the optimizer, the training function or the frozen layers, "
                "which no checkpoint holds: if it is interrupted from now on, it trains again from that epoch"
            )
        if self._lost or not self._is_whole:
            return
        self._lost = self._watch.changed()
        if self._watch.is_refused(self._lost, epoch):
            self.problem = cannot_be_kept(self._lost, f"changed in epoch {epoch} of trial {self._trial.number}")
        elif self._lost:
            self._tell(
                f"by epoch {epoch} {', '.join(self._lost)} changed, which no checkpoint holds: if it is interrupted "
                "from now on, it trains again from that epoch"
            )

    def _keep_best(self, epoch: int, state: Mapping[int, npt.NDArray[Any]]) -> None:
        values = self.history.get(self.monitor, [math.nan])
        if self._spec.epoch_policy == "last" or not self.best_epoch:
            better = True
        elif self._spec.direction == "maximize":
            better = values[-1] > values[self.best_epoch - 1]
        else:
            better = values[-1] < values[self.best_epoch - 1]
        if better:
            self.best_epoch = epoch
            self.best_weights = self._weights(state)

    def _weights(self, state: Mapping[int, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return the weights that the epoch was measured with: those of `state`, unless a callback changed them."""
        now = [state[id(weight)] for weight in self.model.weights]
        then = self._measured.weights
        if then is None:
            return now
        return [new if np.array_equal(new, old) else old for new, old in zip(now, then, strict=True)]

    def _checkpoint(self, variables: list[npt.NDArray[Any]], held: list[npt.NDArray[Any]]) -> Checkpoint:
        return Checkpoint(
            identity="",
            finished=(),
            history={name: list(values) for name, values in self.history.items()},
            best_epoch=self.best_epoch,
            stopped=bool(self.model.stop_training),
            callbacks=state_of(self._callbacks),
            variables=variables,
            best_weights=self.best_weights,
            callback_variables=held,
            stage=self._stage,
            stage_ends=list(self.stage_ends),
            study_globals=self._study_globals.changed(),
        )


@dataclass(frozen=True)
class MadeOf:
    """The parts of a model that `build` makes and a callback may replace.

    A checkpoint holds values only, not another optimizer or which layers are frozen. After such a change no checkpoint
    is written, and an interrupted trial trains again from the epoch before the change, with its callbacks.

    Attributes:
        optimizer: The optimizer.
        train_function: Keras's function of a training step.
        trainable: Each layer and variable, by its `id`, and whether it is trained.
    """

    optimizer: Any
    train_function: Any
    trainable: Mapping[int, tuple[Any, bool]]

    @classmethod
    def now(cls, model: keras.Model) -> MadeOf:
        """Return the parts of a model as they are now."""
        trainable = {id(one): (one, bool(one.trainable)) for one in (*all_layers(model), *model.variables)}
        return cls(model.optimizer, model.train_function, trainable)

    def continues(self, before: MadeOf) -> bool:
        """Tell whether nothing of `before` has been replaced; layers and variables may have been added at first use."""
        if self.optimizer is not before.optimizer or self.train_function is not before.train_function:
            return False
        return all(self.trainable.get(key, (one, None))[1] == was for key, (one, was) in before.trainable.items())


def restore(
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
    study_globals: StudyGlobals,
    checkpoint: Checkpoint,
    batches: Batches,
) -> None:
    """Restore a freshly built model, its callbacks and the study file's values from a checkpoint.

    Raises:
        UnusableCheckpointError: If it is of another model or of other callbacks, e.g. if a callback rebuilds the model.
    """
    make_variables(model, len(checkpoint.variables), partial(train_step, model, batches))
    variables = training_variables(model)
    assign(variables, checkpoint.variables)
    assign(callback_variables(callbacks, model, variables), checkpoint.callback_variables)
    put_back(callbacks, checkpoint.callbacks)
    study_globals.put_back(checkpoint.study_globals)


def make_variables(model: keras.Model, number: int, step: Callable[[], None]) -> None:
    """Make those variables of a freshly built model that it makes at their first use, if there are any.

    Args:
        model: The model.
        number: The number of variables that a checkpoint holds.
        step: Trains one step.
    """
    if len(training_variables(model)) != number:
        with contextlib.suppress(Exception):  # if the step fails, some variables are still missing
            step()
    if len(training_variables(model)) == number - 1:
        keras.random.uniform(())  # makes the generator of `keras.random`, if no step uses it


def train_step(model: keras.Model, batches: Batches) -> None:
    """Train one step outside of `fit`, so that optimizers and layers create the variables of their first use."""
    model.train_step(in_tensors(batches[0]))
    model.reset_metrics()


def assign(variables: Sequence[Any], values: Sequence[npt.NDArray[Any]]) -> None:
    """Give variables the values that `value_of` has returned.

    Raises:
        UnusableCheckpointError: If their shapes or dtypes differ; no variable is changed then.
    """
    found = [(tuple(variable.shape), _dtype(variable)) for variable in variables]
    if found != [(value.shape, value.dtype.name) for value in values]:
        raise UnusableCheckpointError("is of a model with other variables")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _dtype(variable: Any) -> str:
    return str(keras.backend.standardize_dtype(variable.dtype))


def value_of(variable: Any) -> npt.NDArray[Any]:
    """Return a copy of a variable's value as an array, also for a scalar.

    Raises:
        TrainingError: If its values on the devices of a strategy differ, because a checkpoint can hold only one.
    """
    value = np.asarray(variable.numpy())
    for other in getattr(variable.value, "values", ()):  # one for each device
        if not np.array_equal(value, other.numpy(), equal_nan=value.dtype.kind == "f"):
            raise TrainingError(
                f"the variable {variable.path} has another value on each device of its model's strategy.",
                "A saved model and a checkpoint hold one value of each variable.",
                "Give the layer's variables an aggregation, or build the model for one device.",
            )
    return value


def _not_finite(history: dict[str, list[float]], monitor: str, epoch: int) -> str:
    for name in ("loss", "val_loss", monitor):
        if name in history and not math.isfinite(history[name][epoch - 1]):
            return f"{name} was {history[name][epoch - 1]}"
    return ""


def _diverged(what: str, epoch: int) -> DivergedError:
    return DivergedError(
        f"{what} after epoch {epoch}.",
        "The loss and the metric must be finite numbers.",
        "If many trials fail like this, lower the largest learning rate or clip the gradients.",
    )
