"""A network is built whole, so that TensorFlow traces a step of it once, and it trains as ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py


def _network(data: Dataset, loss: Any) -> Any:
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input(data.input_shape), layers.Flatten(), layers.BatchNormalization()])
    model.add(layers.Dropout(0.5, seed=1))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", loss, metrics=["accuracy", "sparse_top_k_categorical_accuracy"])
    return model


def test_a_step_is_traced_once_for_training_and_once_for_validation(
    bench: Bench, study_of: Callable[..., StudySpec]
) -> None:
    import keras

    traces = []

    def loss(y_true: Any, y_pred: Any) -> Any:
        traces.append(y_pred)
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    bench.train(study_of(build=lambda trial, data: _network(data, loss)))
    assert len(traces) == 2


def test_metrics_that_are_there_beforehand_change_no_number(
    new_bench: Callable[[], Bench], study_of: Callable[..., StudySpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    import autotune.training.trials.fold

    spec = study_of(build=lambda trial, data: _network(data, "sparse_categorical_crossentropy"))
    score = new_bench().train(spec)
    monkeypatch.setattr(autotune.training.trials.fold, "build_metrics", lambda model, batches: None)
    assert new_bench().train(spec) == score


def test_metrics_that_cannot_be_had_beforehand_are_left_to_keras(
    bench: Bench, study_of: Callable[..., StudySpec]
) -> None:
    import keras

    class OfWholeBatches(keras.metrics.MeanMetricWrapper):  # type: ignore[misc]  # reason: Keras ships no types
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            if y_true.shape[0] == 1:
                raise ValueError("a single row has no spread")
            return super().update_state(y_true, y_pred, sample_weight)

    def build(trial: optuna.Trial, data: Dataset) -> Any:
        model = _network(data, "sparse_categorical_crossentropy")
        spread = OfWholeBatches(lambda y_true, y_pred: keras.ops.std(y_pred, axis=1), name="spread")
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", spread])
        return model

    score = bench.train(study_of(build=build))
    assert np.isfinite(score.folds[0].history["val_spread"]).all()
