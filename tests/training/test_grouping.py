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
N_BATCHES = 54  # of 3 of the 160 training rows, the last one of 1


def network(trial: optuna.Trial, data: Dataset) -> Any:
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input(data.input_shape), layers.Flatten(), layers.BatchNormalization()])
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def counting(calls: list[int], groups_from: int) -> Any:
    import keras

    callback = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: calls.append(batch))
    callback.groups_from = groups_from
    return callback


def study(study_of: StudyOf, calls: list[int], groups_from: int = N_BATCHES) -> StudySpec:
    def fit(trial: optuna.Trial) -> dict[str, Any]:
        return {"batch_size": 3, "validation_batch_size": 1, "callbacks": [counting(calls, groups_from)]}

    return study_of(build=network, fit=fit, monitor="val_loss", direction="minimize")


def test_groups_train_as_single_batches_do(new_bench: Callable[[], Bench], study_of: StudyOf) -> None:
    grouped, each, one, other = [], [], new_bench(), new_bench()
    score = one.train(study(study_of, grouped))
    alone = other.train(study(study_of, each, groups_from=N_BATCHES + 1))
    assert grouped == [0, 16, 32, 48] * 3
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


def mlp(kind: Any = None, **compiled: Any) -> Any:
    import keras

    given = keras.Input((2,))
    model = (kind or keras.Model)(given, keras.layers.Dense(1)(given))
    model.compile("sgd", "mse", **compiled)
    return model


def batches(n: int) -> Any:
    from autotune.training.batches import Batches

    return Batches(Dataset(np.ones((n, 2), dtype=np.float32), np.arange(n, dtype=np.float32)), 1)


def test_what_does_something_at_batches_sees_each() -> None:
    import keras

    from autotune.spaces.schedules import LearningRate
    from autotune.training.grouping import group_size

    class Watching(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            pass

    class Custom(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    passed = [LearningRate(lambda t: 1.0, 3), keras.callbacks.EarlyStopping()]
    assert group_size(mlp(), batches(64), passed) == 16
    assert group_size(mlp(), batches(63), passed) == 1
    assert group_size(mlp(), batches(5), [keras.callbacks.EarlyStopping()]) == 5
    assert group_size(mlp(), batches(64), [*passed, Watching()]) == 1
    assert group_size(mlp(), batches(64), [keras.callbacks.LambdaCallback(on_train_batch_end=print)]) == 1
    assert group_size(mlp(), batches(64), passed, ["verbose", "class_weight"]) == 1
    assert group_size(mlp(Custom), batches(64), passed) == 1
    assert group_size(mlp(steps_per_execution=3), batches(64), passed) == 1
    assert group_size(mlp(run_eagerly=True), batches(64), passed) == 1


def test_a_group_takes_no_more_than_its_share_of_memory() -> None:
    from autotune.training.batches import Batches
    from autotune.training.grouping import group_size

    rows = np.broadcast_to(np.float32(0), (100, 1024, 1024))  # of 4 MiB each
    data = Dataset(rows, np.zeros(100, dtype=np.int64))
    assert [group_size(mlp(), Batches(data, size), []) for size in (1, 2, 4, 8)] == [7, 3, 1, 1]


def test_a_model_is_as_before_when_it_has_trained_in_groups() -> None:
    import keras

    from autotune.training.grouping import in_groups

    model, rows = mlp(), batches(70)
    with in_groups(model, rows, rows, []) as (training, validation):
        model.fit(training, validation_data=validation, shuffle=False, verbose=0)
    assert model.steps_per_execution == 1
    x, y = rows.group(0, 70)
    seen: list[int] = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(batch))
    model.fit(x, y, batch_size=1, verbose=0, callbacks=[watch])
    assert seen == list(range(70))
    errors = model.predict(x, verbose=0)[:, 0] - y
    assert model.evaluate(x, y, verbose=0) == pytest.approx(float(np.mean(errors**2)), rel=1e-5)


def test_an_epoch_that_was_given_up_is_no_part_of_the_next() -> None:
    import keras

    from autotune.training.grouping import in_groups

    def give_up(batch: int, logs: Any) -> None:
        model.stop_training = batch >= 31

    stop = keras.callbacks.LambdaCallback(on_train_batch_end=give_up)
    stop.groups_from = 1
    model, rows = mlp(), batches(70)
    model.optimizer.learning_rate = 0.0
    with in_groups(model, rows, None, [stop]) as (training, _):
        model.fit(training, shuffle=False, verbose=0, callbacks=[stop])
        partly = model.fit(training, shuffle=False, verbose=0).history["loss"][0]
    x, y = rows.group(0, 70)
    assert partly == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    assert partly != pytest.approx(model.evaluate(x[:32], y[:32], verbose=0), rel=1e-2)
