"""`KeepEpochs`: a callback that keeps and reports each epoch of `Model.fit`; it loads Keras.

What is covered: all variables of the model, its optimizers and its callbacks; the state of the other callbacks, with
Keras's history; Python's, NumPy's and Keras's global generators. So an interrupted `fit` goes on in the middle.
What is not covered: the position in a `tf.data.Dataset` or in a Python generator; the hidden counters of `tf.random`.
docs/objectives.md says which data have an order that survives.
"""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import keras
import numpy as np
import optuna
import tensorflow as tf
from optuna.trial import BaseTrial

from autotune.errors import KeepingError, TrainingError
from autotune.keras_inside import batch_of_fit, begin_fit_at, callbacks_of_fit
from autotune.running.trial.keeping import keeper_of
from autotune.training.checkpoints import KeptState, UnusableCheckpointError
from autotune.training.fitting import MadeOf, assign, make_variables, value_of
from autotune.training.state import (
    Watch,
    callback_variables,
    cannot_be_kept,
    go_on_writing,
    put_back,
    refuse_unkept,
    state_of,
    training_variables,
)


class KeepEpochs(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """Keeps each epoch of a `fit`, reports it, and stops `fit` if the pruner says so.

    After an interruption the objective builds the same model and calls the same `fit` again: this callback restores
    everything, and `fit` begins with the first epoch that was not kept. Its history has all epochs. A `fit` that had
    ended before the interruption trains nothing, and has the weights and the history of its end.

    It makes itself the last callback of `fit`, so that it sees what the others have done. If the trial is pruned, each
    callback's `on_train_end` has run before `optuna.TrialPruned` is raised. Outside of `autotune run`, with a trial of
    Optuna itself, nothing is kept: the callback only reports and prunes.

    Args:
        trial: The trial that the objective got.
        monitor: The metric to report, by Keras's name, e.g. "val_accuracy".
        name: A name of this `fit`. Each further `fit` of an objective needs a callback with a name of its own. Its
            epochs are reported after those of the `fit` before.

    Raises:
        KeepingError: When `fit` begins, if the name is used twice, or the backend of Keras is not TensorFlow.
        TrainingError: After the first epoch, if Keras does not report the metric, or state cannot be kept.

    Example:
        model.fit(x, y, epochs=20, callbacks=[autotune.KeepEpochs(trial, monitor="val_accuracy")])
    """

    def __init__(self, trial: BaseTrial, monitor: str, name: str = "") -> None:
        super().__init__()
        self._trial = trial
        self._monitor = monitor
        self._loop = f"fit {name}"
        self._keeper = keeper_of(trial)
        self._others: list[keras.callbacks.Callback] = []
        self._resume: KeptState | None = None
        self._before = 0  # the last step before this `fit`
        self._is_pruned = False
        self._is_whole = True
        self._made_of: MadeOf
        self._watch: Watch

    def set_model(self, model: keras.Model) -> None:
        """Begin a `fit`: become its last callback, and look for what was kept of it."""
        super().set_model(model)
        self._others = self._make_last()
        self._refuse_misuse()
        self._resume = self._keeper.find(self._loop)
        self._before = self._resume.step - self._resume.epoch if self._resume else self._keeper.step
        self._is_pruned = self._keeper.is_pruned
        if self._resume is not None:
            go_on_writing(self._others)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._resume is not None:
            self._restore(self._resume)
        elif self._keeper.keeps:
            refuse_unkept(self.model, self._others)
        if self._is_pruned:
            begin_fit_at(self.model, self.params["epochs"])
        if self._keeper.keeps:
            self._made_of, self._watch = MadeOf.now(self.model), Watch(self.model, self._others)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        begin_fit_at(self.model, None)  # the next `fit` of this model begins where it is told to

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = self._monitored(epoch + 1, logs or {})
        step = self._before + epoch + 1
        if self._keeper.keeps and self._can_keep(epoch + 1):
            self._keeper.save(self._loop, KeptState(epoch + 1, step, self._state()), value, {})
        if self._keeper.report(value, step):
            self._is_pruned = True
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        begin_fit_at(self.model, None)
        if self._is_pruned:
            raise optuna.TrialPruned(f"pruned after step {self._keeper.step}")

    def _make_last(self) -> list[keras.callbacks.Callback]:
        """Put this callback behind all others, which are returned."""
        listed = callbacks_of_fit()
        if listed is None:
            raise KeepingError(
                "KeepEpochs was used outside of the callbacks of fit.",
                "It keeps the state of all callbacks, so it must be one of them.",
                "Give it to fit: model.fit(..., callbacks=[..., autotune.KeepEpochs(trial, monitor=...)])",
            )
        others = [one for one in listed.callbacks if one is not self]
        listed.callbacks = [*others, self]  # a new list, because Keras is going through the old one
        return others

    def _refuse_misuse(self) -> None:
        if self._loop in self._keeper.begun or any(isinstance(one, KeepEpochs) for one in self._others):
            raise KeepingError(
                f"two KeepEpochs of trial {self._trial.number} have the name {self._loop.removeprefix('fit ')!r}.",
                "Each fit has one KeepEpochs, new for this fit, with a name of its own.",
                'Give the second one a name: autotune.KeepEpochs(trial, monitor=..., name="fine-tuning")',
            )
        if self._keeper.keeps and keras.backend.backend() != "tensorflow":
            raise KeepingError(
                f"KeepEpochs cannot keep a model of the backend {keras.backend.backend()!r}.",
                "It knows where Keras's TensorFlow backend has its state.",
                "Set KERAS_BACKEND=tensorflow, or write the loop yourself with autotune.kept and autotune.keep.",
            )

    def _restore(self, kept: KeptState) -> None:
        """Restore the state after a kept epoch; the other callbacks have created theirs by now."""
        state = kept.state
        make_variables(self.model, len(state["variables"]), partial(_train_on_nothing, self.model))
        try:
            variables = training_variables(self.model)
            assign(variables, state["variables"])
            assign(callback_variables(self._others, self.model, variables), state["callback_variables"])
            put_back(self._others, state["callbacks"])
        except UnusableCheckpointError as error:
            raise KeepingError(
                f"the checkpoint of trial {self._trial.number} {error}.",
                "The objective must build the same model and give fit the same callbacks whenever it is called.",
                "Correct the study file; the trial then starts over.",
            ) from error
        random.setstate(state["python"])
        np.random.set_state(state["numpy"])
        begin_fit_at(self.model, self.params["epochs"] if state["stopped"] else kept.epoch)

    def _state(self) -> dict[str, Any]:
        variables = training_variables(self.model)
        held = callback_variables(self._others, self.model, variables)
        return {
            "variables": [value_of(one) for one in variables],
            "callback_variables": [value_of(one) for one in held],
            "callbacks": state_of(self._others),
            "python": random.getstate(),
            "numpy": np.random.get_state(),
            "stopped": bool(self.model.stop_training),
        }

    def _can_keep(self, epoch: int) -> bool:
        """Tell whether a checkpoint can hold everything that has changed since `fit` began."""
        if not self._is_whole:
            return False
        lost = self._watch.changed()
        if self._watch.is_refused(lost, epoch):
            raise cannot_be_kept(lost, f"changed in epoch {epoch} of trial {self._trial.number}")
        before, self._made_of = self._made_of, MadeOf.now(self.model)
        if not self._made_of.continues(before):
            lost.append("the optimizer, the training function or the frozen layers")
        if lost:
            self._is_whole = False
            self._keeper.tell(
                f"by epoch {epoch} {', '.join(lost)} changed, which no checkpoint holds: if it is interrupted from now "
                "on, it trains again from that epoch"
            )
        return self._is_whole

    def _monitored(self, epoch: int, logs: dict[str, Any]) -> float:
        value = logs.get(self._monitor)
        if value is not None and np.size(value) == 1:
            return float(np.reshape(value, ()))
        what = "was not reported" if value is None else f"was {np.size(value)} numbers, not one,"
        raise TrainingError(
            f"the metric {self._monitor!r} {what} after epoch {epoch} of trial {self._trial.number}.",
            f"Keras reported: {', '.join(sorted(logs))}.",
            "Give KeepEpochs one of these as `monitor`.",
        )


def _train_on_nothing(model: keras.Model) -> None:
    """Train a step on a batch of zeros, so that layers, optimizers and metrics make the variables of their first use.

    Everything that the step changes is restored then. No rows are read, because an iterator would lose them.
    """
    model.train_step(keras.tree.map_structure(_zeros, batch_of_fit()))
    model.reset_metrics()


def _zeros(spec: tf.TensorSpec) -> tf.Tensor:
    return tf.zeros([size or 1 for size in spec.shape], spec.dtype)
