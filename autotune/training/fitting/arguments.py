"""Checks of the arguments for `keras.Model.fit` that a study file's `fit` returns."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import keras
import optuna

from autotune.errors import TrainingError
from autotune.study import StudySpec

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


def fit_arguments(spec: StudySpec, trial: optuna.Trial) -> dict[str, Any]:
    """Return the arguments that the study file's `fit` returns for a trial, with the callbacks as a list.

    Raises:
        TrainingError: If an argument cannot be used.
    """
    arguments = spec.fit(trial) if spec.fit else {}
    if not isinstance(arguments, Mapping):
        raise TrainingError(
            f"fit returned {arguments!r} in trial {trial.number}.",
            "It must return a dict of arguments for keras.Model.fit.",
            'Return, for example, {"batch_size": 64}.',
        )
    if wrong := sorted(set(arguments) & set(_OURS)):
        raise TrainingError(
            f"fit returned {', '.join(wrong)} in trial {trial.number}.",
            "Rows and their order come from `dataset` and `folds`; epochs start where the trial was interrupted.",
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
