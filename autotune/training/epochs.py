"""What happens between two epochs: seeds, history, best epoch, checkpoint, report, pruning.

The order at the end of an epoch is: checkpoint, then report, then ask whether to prune. The checkpoint is copied then,
and written while the next epoch is trained (see `saving`). A trial that is killed anywhere in between finds the epoch
in its checkpoint, or trains it again; it reports it (again, which changes nothing) and asks again.

What is covered: row order, Keras's seed generators (dropout, augmentation, any `keras.random` call that is given a
generator that its layer holds), Python's and NumPy's global generators. What is not covered: `tf.random`, and
`keras.random` without a seed, called directly in a model: their hidden counters are not restored.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import optuna

from autotune.errors import DivergedError, TrainingError
from autotune.study import StudySpec
from autotune.training.batches import Batches
from autotune.training.checkpoint import Checkpoint, is_plain


class EpochKeeper(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """The last callback of `fit`: it sees what the others did to an epoch, and keeps it.

    Args:
        spec: The study.
        trial: The trial to report to.
        seed: From a place such as ("epoch", 3) to the seed of that place in this fold.
        batches: The training rows.
        callbacks: The study file's own callbacks, whose state is kept too.
        save: What to do with the checkpoint of an epoch, and whether it holds all there is; nothing in it is changed
            later.
        tell: Told what the person should know.
        reports: Whether epochs are reported and may be pruned (the first fold's are).
        resume: The checkpoint to go on from.

    Attributes:
        problem: Why training was ended, to be raised after `fit`; None if it was not.
    """

    def __init__(
        self,
        spec: StudySpec,
        trial: optuna.Trial,
        seed: Callable[..., int],
        batches: Batches,
        callbacks: list[keras.callbacks.Callback],
        save: Callable[[Checkpoint, bool], None],
        tell: Callable[[str], None],
        reports: bool,
        resume: Checkpoint | None,
    ) -> None:
        super().__init__()
        self._spec = spec
        self._trial = trial
        self._seed = seed
        self._batches = batches
        self._callbacks = callbacks
        self._save = save
        self._tell = tell
        self._reports = reports
        self._resume = resume
        self.history: dict[str, list[float]] = dict(resume.history) if resume else {}
        self.best_epoch = resume.best_epoch if resume else 0
        self.best_weights: list[npt.NDArray[Any]] = resume.best_weights if resume else []
        self.problem: Exception | None = None
        self._made_of: tuple[Any, ...] = ()
        self._is_whole = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._made_of = made_of(self.model)
        if self._resume is None:
            return
        for callback, state in zip(self._callbacks, self._resume.callbacks, strict=True):
            vars(callback).update(state)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # TensorFlow's own seed is set once, before the model is built: setting it again clears its kernel caches, and
        # the next epoch takes twice as long. Keras's seed generators are in the checkpoint.
        random.seed(self._seed("epoch", epoch))
        np.random.seed(self._seed("epoch", epoch))
        self._batches.start_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        state = {id(variable): value_of(variable) for variable in training_variables(self.model)}
        self._keep_best(epoch + 1, state)
        self._note_changes(epoch + 1)
        self._save(self._checkpoint(state), self._is_whole)
        self.judge(epoch + 1)
        if self.problem is not None:
            self.model.stop_training = True

    def judge(self, epoch: int) -> None:
        """Report `epoch` (from 1) and find out whether training is to end with it."""
        spec, values = self._spec, self.history.get(str(self._spec.monitor))
        if values is None:
            self.problem = _unknown_monitor(spec, self._trial.number, self.history)
        elif bad := _not_finite(self.history, spec, epoch):
            self.problem = _diverged(bad, epoch)
        elif self._reports:
            self._trial.report(values[epoch - 1], epoch)
            if self._trial.should_prune():
                self.problem = optuna.TrialPruned(f"pruned after epoch {epoch}")

    def _note_changes(self, epoch: int) -> None:
        was_whole, self._is_whole = self._is_whole, made_of(self.model) == self._made_of
        if was_whole and not self._is_whole:
            self._tell(
                f"until epoch {epoch} a callback has changed the optimizer, the training function or what is frozen, "
                "which no checkpoint holds: if it is interrupted from now on, it trains again from that epoch"
            )

    def _keep_best(self, epoch: int, state: Mapping[int, npt.NDArray[Any]]) -> None:
        values = self.history.get(str(self._spec.monitor), [math.nan])
        if self._spec.epoch_policy == "last" or not self.best_epoch:
            better = True
        elif self._spec.direction == "maximize":
            better = values[-1] > values[self.best_epoch - 1]
        else:
            better = values[-1] < values[self.best_epoch - 1]
        if better:
            self.best_epoch = epoch
            self.best_weights = [state[id(weight)] for weight in self.model.weights]

    def _checkpoint(self, state: Mapping[int, npt.NDArray[Any]]) -> Checkpoint:
        return Checkpoint(
            identity="",
            finished=(),
            history={name: list(values) for name, values in self.history.items()},
            best_epoch=self.best_epoch,
            stopped=bool(self.model.stop_training),
            callbacks=[copy.deepcopy(_plain_state(callback)) for callback in self._callbacks],
            variables=[state[id(variable)] for variable in training_variables(self.model)],
            best_weights=self.best_weights,
        )


def made_of(model: keras.Model) -> tuple[Any, ...]:
    """Return what a network that is built anew has as `build` made it, and a callback may have put another in place of.

    A checkpoint holds values, neither another optimizer nor what is frozen: after such a change none is written, and a
    trial that is interrupted trains again from the epoch before it, callbacks and all.
    """
    return model.optimizer, model.train_function, [layer.trainable for layer in model._flatten_layers()]


def training_variables(model: keras.Model) -> list[keras.Variable]:
    """Return all that changes while `model` trains: weights, seed generators, optimizer, in a fixed order."""
    optimizer = list(model.optimizer.variables) if model.optimizer is not None else []
    return list(model.variables) + optimizer


def restore(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Put the variables of `checkpoint` into a freshly built `model`."""
    variables = training_variables(model)
    for variable, value in zip(variables, checkpoint.variables, strict=True):
        variable.assign(value)


def value_of(variable: keras.Variable) -> npt.NDArray[Any]:
    """Return a copy of a variable's value, a scalar's too as an array.

    Raises:
        TrainingError: If it has another value on each device of a strategy, of which only one could be kept.
    """
    value = np.asarray(variable.numpy())
    for other in getattr(variable.value, "values", ()):  # of each device
        if not np.array_equal(value, other.numpy(), equal_nan=value.dtype.kind == "f"):
            raise TrainingError(
                f"the variable {variable.path} has another value on each device of its model's strategy.",
                "A model is saved, and a trial goes on from its checkpoint, with one value of each variable.",
                "Give the layer's variables an aggregation, or build the model for one device.",
            )
    return value


def _plain_state(callback: keras.callbacks.Callback) -> dict[str, Any]:
    kept = {name: value for name, value in vars(callback).items() if is_plain(value)}
    left = {"_model", "params", "_params"}
    if hasattr(callback, "monitor_op"):
        left.add("min_delta")  # Keras turns its sign after the first epoch that a fresh callback sees
    return {name: value for name, value in kept.items() if name not in left}


def _not_finite(history: dict[str, list[float]], spec: StudySpec, epoch: int) -> str:
    for name in ("loss", "val_loss", str(spec.monitor)):
        if name in history and not math.isfinite(history[name][epoch - 1]):
            return f"{name} was {history[name][epoch - 1]}"
    return ""


def _diverged(what: str, epoch: int) -> DivergedError:
    return DivergedError(
        f"{what} after epoch {epoch}.",
        "Loss and metric of a network that trains are finite.",
        "If many trials end so, lower the largest learning rate or clip the gradients.",
    )


def _unknown_monitor(spec: StudySpec, number: int, history: dict[str, list[float]]) -> TrainingError:
    return TrainingError(
        f"the metric {spec.monitor!r} was not reported after epoch 1 of trial {number}.",
        f"Keras reported: {', '.join(sorted(history))}.",
        "Set `monitor` in the study file to one of these.",
    )
