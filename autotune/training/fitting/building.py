"""Build a trial's network whole, with all its variables, before it is trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import optuna

from autotune.data import Dataset
from autotune.errors import TrainingError
from autotune.keras_inside import all_layers, strategy_of
from autotune.study import StudySpec
from autotune.training.fitting.batches import Batches


def built_model(spec: StudySpec, trial: optuna.Trial, rows: Dataset) -> keras.Model:
    """Have the study file build and compile a network, with its weights and its optimizer's variables.

    Raises:
        TrainingError: If what it returns is not a compiled model.
    """
    assert spec.build is not None
    model = spec.build(trial, rows)
    if not isinstance(model, keras.Model) or not model.compiled:
        found = "a model that is not compiled" if isinstance(model, keras.Model) else f"{model!r}"
        raise TrainingError(
            f"build returned {found} in trial {trial.number}.",
            "It is to return a compiled keras.Model.",
            "Call model.compile(optimizer=..., loss=..., metrics=[...]) and return the model.",
        )
    with model.distribute_strategy.scope():  # where a model of several devices has its variables
        if not model.built and type(model).call is not keras.Model.call:  # one made of others has no call
            model(rows.take([0])[0])
        if model.optimizer is not None:
            _build_optimizer(model, trial.number)
    _refuse_values_of_each_device(model, trial.number)
    return model


def _build_optimizer(model: keras.Model, number: int) -> None:
    try:
        model.optimizer.build(model.trainable_variables)
    except RuntimeError as error:  # TensorFlow's, which Keras lets through
        if strategy_of(model.optimizer) is model.distribute_strategy:
            raise
        raise TrainingError(
            f"the optimizer of trial {number} is not one of the strategy that its model was built under.",
            "Model and optimizer of several devices are made in the same scope.",
            "Make the optimizer, and call compile, inside `with strategy.scope():`.",
        ) from error


def _refuse_values_of_each_device(model: keras.Model, number: int) -> None:
    apart = [
        layer.name
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
    ]
    if apart and model.distribute_strategy.num_replicas_in_sync > 1:
        raise TrainingError(
            f"{', '.join(apart)} of trial {number} keeps another mean on each device of its model's strategy.",
            "A model is saved, and a trial goes on from its checkpoint, with one value of each variable.",
            "Write keras.layers.BatchNormalization(synchronized=True).",
        )


def shared(batch_size: int, n_devices: int, n_rows: int) -> int:
    """Return the batch size that devices can share: Keras wants their parts of a first batch to be equal.

    Args:
        batch_size: Rows a batch.
        n_devices: How many devices a model is trained on.
        n_rows: How many rows there are.

    Raises:
        TrainingError: If the rows of a batch cannot be shared equally.
    """
    if batch_size % n_devices:
        raise TrainingError(
            f"{batch_size} rows a batch cannot be shared by {n_devices} devices.",
            "Each device of the model's strategy takes as many rows of a batch.",
            f"Give `batch_size` (and `validation_batch_size`) a multiple of {n_devices} in `fit`.",
        )
    return batch_size if n_rows >= batch_size else max(n_devices, n_rows - n_rows % n_devices)


def build_metrics(model: keras.Model, batches: Batches) -> None:
    """Have the metrics of `model` make their variables, from one row, and find out how they want targets.

    TensorFlow traces a step twice if variables are made in it: 0.3 s for the article's network on a CPU. Nothing that
    training sees is changed: an epoch begins with metrics that are reset. Metrics that compare columns, as F1 does,
    are given the targets of a model with a single output as one.

    Raises:
        TrainingError: If the metrics want columns of classes, and labels are integers.
    """
    x, y = batches[0]
    problem = _metrics_problem(model, x[:1], y[:1])
    if problem is not None and y.ndim == 1:
        if _n_outputs(model) == 1 and _metrics_problem(model, x[:1], y[:1, np.newaxis]) is None:
            batches.as_column = True
        elif any(isinstance(one, keras.metrics.FBetaScore) for one in compiled_metrics(model)):
            raise TrainingError(
                f"a metric cannot be computed from labels that are integers: {problem}",
                "F1Score and FBetaScore compare a column for each class.",
                "Set one_hot=True in the study file and compile with loss='categorical_crossentropy' (or with a single "
                "output, Dense(1, activation='sigmoid'), and 'binary_crossentropy').",
            ) from problem
    model.reset_metrics()


def compiled_metrics(model: keras.Model) -> list[keras.metrics.Metric]:
    """Return the metrics of a model, those that Keras keeps together one by one."""
    return [inner for metric in model.metrics for inner in (metric, *getattr(metric, "metrics", []))]


def _metrics_problem(model: keras.Model, x: Any, y: Any) -> Exception | None:
    # Whatever is wrong with rows, loss or metrics, or is not meant for a single row, `fit` finds out and says better.
    try:
        with model.distribute_strategy.scope():
            model.compute_metrics(x, y, model(x))
    except Exception as error:
        return error
    return None


def _n_outputs(model: keras.Model) -> int:
    shape = getattr(model, "output_shape", None)
    return shape[-1] if isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[-1], int) else 0
