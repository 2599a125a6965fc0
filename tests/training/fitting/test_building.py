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


def built_model(*given: Any) -> Any:
    from autotune.training.fitting import built_model

    return built_model(*given)


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


def _with_parts_for_training(kind: str) -> Any:
    """Return a network with layers that only a step of training builds, and one that nothing builds."""
    import keras

    class Own(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.top, self.unused = keras.layers.Flatten(), keras.layers.Dense(10), keras.layers.Dense(3)
            self.change = keras.Sequential([keras.layers.GaussianNoise(0.1)])
            self.head = keras.Sequential([keras.layers.Dense(3), keras.layers.Dropout(0.5)])

        def call(self, x: Any, training: bool = False) -> Any:
            x = self.flat(x)
            if training:
                x += keras.random.normal(keras.ops.shape(x), stddev=0.1)  # from Keras's own generator
            if training and kind == "call":
                x = self.change(x, training=True)
                self.add_loss(keras.ops.mean(self.head(x, training=True) ** 2))
            return self.top(x)

    class Stepping(Own):
        def train_step(self, data: Any) -> Any:
            import tensorflow as tf

            x, y = data
            if kind == "eager step":
                x = tf.constant(x.numpy())  # TensorFlow cannot trace it
            with tf.GradientTape() as tape:
                x = self.change(x, training=True)
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
                loss += keras.ops.mean(self.head(self.flat(x), training=True) ** 2)
            weights = self.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return {"loss": loss}

    model = Own() if kind == "call" else Stepping()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], run_eagerly=kind == "eager step")
    return model


@pytest.mark.filterwarnings("ignore:`build..` was called on layer")  # Keras's remark about unbuilt layers
@pytest.mark.parametrize("kind", ["call", "step", "eager step"])
def test_layers_that_only_training_builds_train_as_in_keras_and_go_on(
    kind: str, new_bench: Callable[[], Bench], study_of: Callable[..., StudySpec], interrupted: type[BaseException]
) -> None:
    from autotune.training.inspection import load_trained

    spec = study_of(build=lambda trial, data: _with_parts_for_training(kind))
    whole, torn = new_bench(), new_bench()
    score = whole.train(spec)
    assert whole.told == []
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=2)
    assert torn.train(spec).folds == score.folds
    if kind == "eager step":
        return  # only Keras can build it, while it trains
    rows = whole.validation(spec)
    built = load_trained(whole.folder.kept_model, {}, lambda: built_model(spec, whole.last, rows))
    assert built.evaluate(rows.x, rows.y, verbose=0, return_dict=True)["accuracy"] == pytest.approx(score.value)


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
