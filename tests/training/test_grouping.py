"""Batches are trained on in groups where nobody has to see each, with the same numbers to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data import Dataset
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]
N_BATCHES = 80  # of 2 of the 160 training rows


def network(trial: optuna.Trial, data: Dataset) -> Any:
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input(data.input_shape), layers.Flatten(), layers.BatchNormalization()])
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def counting(calls: list[int], takes_groups: bool) -> Any:
    import keras

    callback = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: calls.append(batch))
    callback.takes_groups = takes_groups
    return callback


def study(study_of: StudyOf, calls: list[int], takes_groups: bool = True) -> StudySpec:
    def fit(trial: optuna.Trial) -> dict[str, Any]:
        return {"batch_size": 2, "callbacks": [counting(calls, takes_groups)]}

    return study_of(build=network, fit=fit, monitor="val_loss", direction="minimize")


def test_groups_train_as_single_batches_do(new_bench: Callable[[], Bench], study_of: StudyOf) -> None:
    grouped, each, one, other = [], [], new_bench(), new_bench()
    score = one.train(study(study_of, grouped))
    alone = other.train(study(study_of, each, takes_groups=False))
    assert grouped == [0, 16, 32, 48, 64] * 3
    assert each == list(range(N_BATCHES)) * 3
    assert score.folds[0].history == alone.folds[0].history
    for weight, same in zip(one.model().get_weights(), other.model().get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_a_trial_in_groups_that_is_interrupted_ends_as_if_it_had_not_been(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    spec = study(study_of, [])
    whole, torn = new_bench(), new_bench()
    score = whole.train(spec)
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=2)
    assert torn.train(spec).folds[0].history == score.folds[0].history


def test_a_callback_that_does_something_at_batches_sees_each() -> None:
    import keras

    from autotune.spaces.schedules import LearningRate
    from autotune.training.grouping import group_size

    class Watching(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            pass

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    passed = [LearningRate(lambda t: 1.0, 3), keras.callbacks.EarlyStopping()]
    assert group_size(model, 64, passed) == 16
    assert group_size(model, 63, passed) == 1
    assert group_size(model, 64, [*passed, Watching()]) == 1
    assert group_size(model, 64, [keras.callbacks.LambdaCallback(on_train_batch_end=print)]) == 1
    model.compile("sgd", "mse", steps_per_execution=3)
    assert group_size(model, 64, [*passed, Watching()]) == 3
    model.compile("sgd", "mse", run_eagerly=True)
    assert group_size(model, 64, passed) == 1


def test_a_model_is_as_before_when_it_has_trained_in_groups() -> None:
    import keras

    from autotune.training.grouping import in_groups

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((70, 2), dtype=np.float32)
    with in_groups(model, 16):
        model.fit(x, x[:, 0], batch_size=1, validation_data=(x, x[:, 0]), verbose=0)
    assert model.steps_per_execution == 1
    seen: list[int] = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(batch))
    model.fit(x, x[:, 0], batch_size=1, verbose=0, callbacks=[watch])
    assert seen == list(range(70))
    errors = model.predict(x, verbose=0)[:, 0] - x[:, 0]
    assert model.evaluate(x, x[:, 0], verbose=0) == pytest.approx(float(np.mean(errors**2)), abs=1e-6)
