"""Build a trial's network with all its variables before it is trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import optuna

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.keras_inside import all_layers, strategy_of
from autotune.study import StudySpec
from autotune.training.fitting.batches import KERAS_BATCH_SIZE, Batches, first_rows, in_tensors
from autotune.training.fitting.device import scope_of_devices
from autotune.training.state import trace_step


def built_model(spec: StudySpec, trial: optuna.Trial, rows: Dataset) -> keras.Model:
    """Call the study file's `build`, and create the model's weights and its optimizer's variables.

    Raises:
        TrainingError: If `build` does not return a compiled model, or the model cannot train on several devices.
    """
    assert spec.build is not None
    with scope_of_devices(spec.devices_per_trial):
        model = spec.build(trial, rows)
    if not isinstance(model, keras.Model) or not model.compiled:
        found = "a model that is not compiled" if isinstance(model, keras.Model) else f"{model!r}"
        raise TrainingError(
            f"build returned {found} in trial {trial.number}.",
            "It must return a compiled keras.Model.",
            "Call model.compile(optimizer=..., loss=..., metrics=[...]) and return the model.",
        )
    with model.distribute_strategy.scope():  # a model on several devices must create its variables in this scope
        if not model.built and type(model).call is not keras.Model.call:  # a functional or sequential model has no call
            model(Batches(rows, 1)[0][0])
        if (_is_whole(model) or _is_traced(model, spec, rows)) and model.optimizer is not None:
            build_optimizer(model, trial.number)
    _refuse_unsynchronized(model, trial.number)
    return model


def _is_whole(model: keras.Model) -> bool:
    return all(layer.built for layer in all_layers(model) if layer is not model)


def _is_traced(model: keras.Model, spec: StudySpec, rows: Dataset) -> bool:
    """Trace a step, which builds the layers that only training uses; tell whether it can be traced.

    If not, `fit` builds them, and the optimizer, which must not exist before the variables that it trains.
    """
    try:
        trace_step(model, in_tensors(Batches(rows, KERAS_BATCH_SIZE, one_hot=spec.one_hot)[0]))
    except Exception:
        return False
    return True


def can_be_evaluated(model: keras.Model) -> bool:
    """Tell whether Keras can evaluate a model: one with its own training step may have no loss and no test step."""
    is_evaluated = overrides(model, "test_step", "compute_loss", "evaluate") or getattr(model, "loss", None) is not None
    return is_evaluated or bool(model.losses) or not overrides(model, "train_step", "fit")


def overrides(model: keras.Model, *names: str) -> bool:
    """Tell whether the class of a model has a method of its own in place of one of these of Keras."""
    return any(getattr(type(model), name) is not getattr(keras.Model, name) for name in names)


def build_optimizer(model: keras.Model, number: int) -> None:
    """Create the variables of a model's optimizer, in the scope of the model's strategy.

    Raises:
        TrainingError: If the optimizer was made under another strategy.
    """
    try:
        model.optimizer.build(model.trainable_variables)
    except RuntimeError as error:  # raised by TensorFlow
        if strategy_of(model.optimizer) is model.distribute_strategy:
            raise
        raise TrainingError(
            f"the optimizer of trial {number} was not made under the strategy that its model was built under.",
            "A model on several devices and its optimizer must be made in the same scope.",
            "Make the optimizer, and call compile, inside `with strategy.scope():`.",
        ) from error


def _refuse_unsynchronized(model: keras.Model, number: int) -> None:
    apart = [
        layer.name
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
    ]
    if apart and model.distribute_strategy.num_replicas_in_sync > 1:
        raise TrainingError(
            f"{', '.join(apart)} of trial {number} keeps another mean on each device of its model's strategy.",
            "A saved model and a checkpoint hold one value of each variable.",
            "Write keras.layers.BatchNormalization(synchronized=True).",
        )


def shared(batch_size: int, n_devices: int, n_rows: int) -> int:
    """Return a batch size that all devices can share equally; Keras needs this for the first batch.

    Args:
        batch_size: Rows per batch.
        n_devices: Number of devices that the model is trained on.
        n_rows: Number of rows; a smaller number than `batch_size` reduces the batch size.

    Raises:
        TrainingError: If the rows of a batch cannot be shared equally.
    """
    if batch_size % n_devices:
        raise TrainingError(
            f"{batch_size} rows a batch cannot be shared by {n_devices} devices.",
            "Each device of the model's strategy must get the same number of rows of a batch.",
            f"Give `batch_size` (and `validation_batch_size`) a multiple of {n_devices} in `fit`.",
        )
    return batch_size if n_rows >= batch_size else max(n_devices, n_rows - n_rows % n_devices)


def build_metrics(model: keras.Model, batches: Batches) -> None:
    """Compute the metrics of `model` on one row, which creates their variables and shows which targets they accept.

    If a step created variables, TensorFlow would trace it twice: 0.3 s for the article's network on a CPU. Training is
    not affected, because Keras resets metrics before each epoch. Metrics that compare columns, such as F1, get the
    targets of a model with a single output as a column.

    Raises:
        TrainingError: If the metrics need a column for each class, but labels are integers.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(first_rows(batches[0], 1))
    problem = _metrics_problem(model, x, y, weight)
    if problem is not None and np.ndim(y) == 1:
        if _n_outputs(model) == 1 and _metrics_problem(model, x, y[:, np.newaxis], weight) is None:
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
    """Return the metrics of a model, and also the metrics inside Keras's containers of metrics."""
    return [inner for metric in model.metrics for inner in (metric, *getattr(metric, "metrics", []))]


def _metrics_problem(model: keras.Model, x: Any, y: Any, weight: Any) -> Exception | None:
    # Other mistakes in rows, loss or metrics are left to `fit`, whose errors are clearer.
    try:
        with model.distribute_strategy.scope():
            model.compute_metrics(x, y, model(x), weight)
    except Exception as error:
        return error
    return None


def _n_outputs(model: keras.Model) -> int:
    shape = getattr(model, "output_shape", None)
    return shape[-1] if isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[-1], int) else 0
