"""Batches are trained on in groups where nobody has to see each, with the same numbers to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
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
    from autotune.training.fitting.batches import Batches

    return Batches(Dataset(np.ones((n, 2), dtype=np.float32), np.arange(n, dtype=np.float32)), 1)


def test_what_does_something_at_batches_sees_each() -> None:
    import keras
    import tensorflow as tf

    from autotune.spaces.schedules import LearningRate
    from autotune.training.fitting.grouping import group_size

    class Watching(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            pass

    class Custom(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    passed = [LearningRate(lambda t: 1.0, 3), keras.callbacks.EarlyStopping()]
    assert group_size(mlp(), batches(64), None, passed) == 16
    assert group_size(mlp(), batches(63), None, passed) == 1
    assert group_size(mlp(), batches(5), None, [keras.callbacks.EarlyStopping()]) == 5
    assert group_size(mlp(), batches(64), None, [*passed, Watching()]) == 1
    assert group_size(mlp(), batches(64), None, [keras.callbacks.LambdaCallback(on_train_batch_end=print)]) == 1
    assert group_size(mlp(), batches(64), None, passed, ["class_weight"]) == 1
    assert group_size(mlp(), batches(64), None, passed, ["validation_steps"]) == 1
    assert group_size(mlp(Custom), batches(64), None, passed) == 1
    assert group_size(mlp(steps_per_execution=3), batches(64), None, passed) == 1
    own = mlp()
    own.compute_metrics = lambda x, y, y_pred, sample_weight=None: {}
    assert group_size(own, batches(64), None, passed) == 1
    with tf.distribute.OneDeviceStrategy("cpu:0").scope():
        elsewhere = mlp()
    assert group_size(elsewhere, batches(64), None, passed) == 1


def test_what_is_debugged_goes_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras
    import tensorflow as tf

    from autotune.training.fitting.grouping import group_size

    assert group_size(mlp(run_eagerly=True), batches(64), None, []) == 1
    with monkeypatch.context() as capped:
        capped.setattr(keras.config, "max_steps_per_epoch", lambda: 3)
        assert group_size(mlp(), batches(64), None, []) == 1
    monkeypatch.setattr(tf.config, "functions_run_eagerly", lambda: True)
    assert group_size(mlp(), batches(64), None, []) == 1


@pytest.mark.parametrize("kind", ["", "train_", "test_"])
@pytest.mark.parametrize("when", ["begin", "end"])
def test_a_callback_with_a_hook_of_batches_sees_each(kind: str, when: str) -> None:
    import keras

    from autotune.training.fitting.grouping import group_size

    hook = {f"on_{kind}batch_{when}": lambda self, batch, logs=None: None}
    callback = type("Own", (keras.callbacks.Callback,), hook)()
    assert group_size(mlp(), batches(64), batches(64), [callback]) == 1


def test_event_files_change_nothing_about_groups(tmp_path: Path) -> None:
    from autotune.training.fitting.grouping import group_size
    from autotune.training.inspection.tensorboard import TrialEvents

    assert group_size(mlp(), batches(20), None, [TrialEvents(tmp_path, 1).callback(0)]) == 16


def test_a_group_takes_no_more_than_its_share_of_memory() -> None:
    from autotune.training.fitting.batches import Batches
    from autotune.training.fitting.grouping import group_size

    rows = np.broadcast_to(np.float32(0), (100, 1024, 1024))  # of 4 MiB each
    data = Dataset(rows, np.zeros(100, dtype=np.int64))
    assert [group_size(mlp(), Batches(data, size), None, []) for size in (1, 2, 4, 8)] == [7, 3, 1, 1]
    assert group_size(mlp(), Batches(data, 1), Batches(data, 4), []) == 1


def test_a_model_is_as_before_when_it_has_trained_in_groups() -> None:
    import keras

    from autotune.training.fitting.grouping import in_groups

    model, rows = mlp(), batches(70)
    with in_groups(model, rows, rows, 16) as (training, validation):
        model.fit(training, validation_data=validation, shuffle=False, verbose=0)
    assert model.steps_per_execution == 1
    x, y = rows.group(0, 70)
    seen: list[int] = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(batch))
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0, callbacks=[watch])
    assert seen == list(range(70))
    errors = model.predict(x, verbose=0)[:, 0] - y
    assert model.evaluate(x, y, verbose=0) == pytest.approx(float(np.mean(errors**2)), rel=1e-5)


def test_a_callback_may_use_the_model_with_other_rows() -> None:
    import keras

    from autotune.training.fitting.grouping import in_groups

    model, rows = mlp(), batches(70)
    x, y = rows.group(0, 70)
    other = -x[:50]
    model.predict(other, batch_size=3, verbose=0)  # a function for single batches is there
    found: list[Any] = []

    def look(epoch: int, logs: Any) -> None:
        expected = model(other).numpy()
        np.testing.assert_allclose(model.predict(other, batch_size=3, verbose=0), expected, rtol=1e-5)
        loss = pytest.approx(float(np.mean((expected[:, 0] - y[:50]) ** 2)), rel=1e-5)
        found.extend([model.evaluate(other, y[:50], verbose=0) == loss, model.test_on_batch(other, y[:50]) == loss])
        before = model.get_weights()
        model.train_on_batch(other[:1], y[:1])
        found.append(not np.array_equal(before[0], model.get_weights()[0]))
        model.set_weights(before)

    watch = keras.callbacks.LambdaCallback(on_epoch_end=look)
    with in_groups(model, rows, rows, 16) as (training, validation):
        history = model.fit(
            training, validation_data=validation, shuffle=False, epochs=3, verbose=0, callbacks=[watch]
        ).history
    assert found == [True] * 9
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)


def test_an_epoch_that_was_given_up_is_no_part_of_the_next() -> None:
    import keras

    from autotune.training.fitting.grouping import in_groups

    def give_up(batch: int, logs: Any) -> None:
        model.stop_training = batch >= 31

    stop = keras.callbacks.LambdaCallback(on_train_batch_end=give_up)
    model, plain, rows = mlp(), mlp(), batches(70)
    with in_groups(model, rows, None, 16) as (training, _):
        model.fit(training, shuffle=False, verbose=0, callbacks=[stop])
        plain.set_weights(model.get_weights())
        model.fit(training, shuffle=False, verbose=0)
    plain.fit(rows, shuffle=False, verbose=0)
    for weight, same in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
