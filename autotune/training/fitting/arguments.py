"""Checks of the arguments for `keras.Model.fit` that a study file's `fit` returns, once or for several stages."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import optuna

from autotune.errors import TrainingError
from autotune.study import StudySpec
from autotune.training.fitting.building import build_optimizer
from autotune.training.fitting.grouping import forget_functions

# A study file must not give these: rows, their order and the first epoch are set here, so that a trial is repeatable.
_OURS = (
    "x",
    "y",
    "validation_data",
    "validation_split",
    "initial_epoch",
    "steps_per_epoch",
    "sample_weight",
    "validation_freq",
)
_COUNTS = ("batch_size", "validation_batch_size", "epochs")
_PRUNING = {"KerasPruningCallback", "TFKerasPruningCallback"}  # of optuna-integration, which need not be installed


@dataclass(frozen=True)
class Stage:
    """One call of `keras.Model.fit` in the training of a fold.

    Attributes:
        epochs: The number of its epochs, at least 1.
        before: Called with the model before the stage, e.g. to unfreeze layers and compile again; None for nothing.
        callbacks: Its callbacks.
        arguments: The other arguments of `fit`.
    """

    epochs: int
    before: Callable[[keras.Model], Any] | None
    callbacks: list[keras.callbacks.Callback]
    arguments: dict[str, Any]


def stages_of(spec: StudySpec, trial: optuna.Trial) -> list[Stage]:
    """Return what the study file's `fit` returns for a trial: one stage, or several that follow each other.

    Raises:
        TrainingError: If an argument cannot be used.
    """
    found = spec.fit(trial) if spec.fit else {}
    if not isinstance(found, (list, tuple)):
        return [_stage(spec, trial, found, needs_epochs=False)]
    if not found:
        raise TrainingError(
            f"fit returned {found!r} in trial {trial.number}.",
            "It returns a dict of arguments for keras.Model.fit, or a list of such dicts, one for each stage.",
            'Return, for example, {"batch_size": 64}.',
        )
    return [_stage(spec, trial, one, needs_epochs=True) for one in found]


def _stage(spec: StudySpec, trial: optuna.Trial, found: Any, needs_epochs: bool) -> Stage:
    arguments = _checked(trial, found)
    epochs, before = arguments.pop("epochs", None), arguments.pop("before", None)
    if needs_epochs and epochs is None:
        raise TrainingError(
            f"fit returned a stage without epochs in trial {trial.number}.",
            "Each of several stages says how many epochs it has.",
            'Return, for example, [{"epochs": 5}, {"epochs": 10, "before": unfreeze}].',
        )
    if before is not None and not callable(before):
        raise TrainingError(
            f"fit returned before={before!r} in trial {trial.number}.",
            "`before` is a function that gets the model before the stage.",
            "Give the name of the function, without parentheses.",
        )
    return Stage(int(epochs or spec.epochs), before, arguments.pop("callbacks"), arguments)


def _checked(trial: optuna.Trial, arguments: Any) -> dict[str, Any]:
    if not isinstance(arguments, Mapping):
        raise TrainingError(
            f"fit returned {arguments!r} in trial {trial.number}.",
            "It must return a dict of arguments for keras.Model.fit.",
            'Return, for example, {"batch_size": 64}.',
        )
    if wrong := sorted(set(arguments) & set(_OURS)):
        raise TrainingError(
            f"fit returned {', '.join(wrong)} in trial {trial.number}.",
            "Rows, weights and their order come from `dataset` and `folds`; epochs start where the trial was "
            "interrupted.",
            f"Remove {', '.join(wrong)} from the dict that `fit` returns.",
        )
    for name in _COUNTS:
        count = arguments.get(name)
        if count is not None and not (isinstance(count, numbers.Integral) and int(count) >= 1):
            raise TrainingError(
                f"fit returned {name}={count!r} in trial {trial.number}.",
                f"`{name}` is an integer of at least 1.",
                f"Correct {name}, or leave it out.",
            )
    return {**arguments, "callbacks": _callbacks(arguments.get("callbacks"), trial.number)}


def prepare_stage(model: keras.Model, before: Callable[[keras.Model], Any], number: int) -> None:
    """Call the study file's `before` of a stage, and create the variables of a new optimizer.

    Args:
        model: The model.
        before: Changes it, e.g. unfreezes layers and compiles again.
        number: The number of the trial.

    Raises:
        TrainingError: If the model has other weights afterwards, or was not compiled again for other trainable ones.
    """
    weights = [(weight.path, tuple(weight.shape)) for weight in model.weights]
    optimizer, trainable = model.optimizer, [id(one) for one in model.trainable_variables]
    with model.distribute_strategy.scope():
        before(model)
    now = [(weight.path, tuple(weight.shape)) for weight in model.weights]
    if sorted(now) != sorted(weights):
        raise TrainingError(
            f"before has changed the number or the shapes of the weights of trial {number}: {len(weights)} before, "
            f"{len(now)} after.",
            "The stages of a trial train one model, whose best epoch may be in any of them.",
            "Build all layers in `build`, and freeze or unfreeze them, or change the loss and the optimizer, in "
            "`before`.",
        )
    if not model.compiled or (model.optimizer is optimizer and [id(v) for v in model.trainable_variables] != trainable):
        raise TrainingError(
            f"before has changed what is trainable in trial {number}, and has not compiled the model again.",
            "Keras takes a change of `trainable` into account when the model is compiled.",
            "Call model.compile(optimizer=..., loss=..., metrics=[...]) at the end of `before`.",
        )
    forget_functions(model)  # also in a process that did not train the stage before
    if model.optimizer is not None and not model.optimizer.built:
        with model.distribute_strategy.scope():
            build_optimizer(model, number)


def _callbacks(given: Any, number: int) -> list[keras.callbacks.Callback]:
    """Return the callbacks as a list; Keras also accepts None, a single callback or a CallbackList."""
    if isinstance(given, keras.callbacks.CallbackList):
        given = given.callbacks
    callbacks = [given] if isinstance(given, keras.callbacks.Callback) else list(given or ())
    for callback in callbacks:
        _check_callback(callback, number)
    return callbacks


def _check_callback(callback: Any, number: int) -> None:
    kind = type(callback).__name__
    if not isinstance(callback, keras.callbacks.Callback):
        raise TrainingError(
            f"fit returned {callback!r} among the callbacks in trial {number}.",
            "`callbacks` is a list of keras.callbacks.Callback objects, or a single one.",
            "Remove it, or make an object of it: EarlyStopping(...), not EarlyStopping.",
        )
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        raise TrainingError(
            f"fit returned a {kind} in trial {number}.",
            "It would continue from the files of another trial in its folder.",
            "Remove it: each trial writes its own checkpoint after every epoch, and resumes from it by itself.",
        )
    if not _PRUNING.isdisjoint(base.__name__ for base in type(callback).__mro__):
        raise TrainingError(
            f"fit returned a {kind} in trial {number}.",
            "Each epoch would be reported twice, and the callback's report would decide about pruning.",
            "Remove it: `monitor` is reported after every epoch, and the study's `pruner` decides.",
        )
    if getattr(callback, "_model", None):
        raise TrainingError(
            f"fit returned a {kind} in trial {number} that an earlier fold has used.",
            "A callback must not carry its state from one fold to the next.",
            f"Make it inside `fit`, so that each fold has its own: {kind}(...).",
        )
