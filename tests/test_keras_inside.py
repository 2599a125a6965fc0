"""Keras's inside is as `autotune/keras_inside.py`, and whoever stands in for Keras's functions, take it to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from autotune.keras_inside import (
    all_layers,
    batch_of_fit,
    begin_fit_at,
    callbacks_of_fit,
    rows_of,
    seeds_of_keras,
    strategy_of,
    tokens_of,
    writers_of,
)
from autotune.training.state.variables import OF_GRAPHS

X, Y = np.arange(12, dtype="float32").reshape(4, 3), np.arange(4, dtype="float32")


def model_of(inner: keras.Layer) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), inner, keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


@pytest.fixture
def model() -> keras.Model:
    return model_of(keras.layers.Dense(2))


def test_flatten_layers() -> None:
    deepest = keras.layers.Dense(2)
    model = model_of(keras.Sequential([keras.Sequential([deepest])]))
    assert deepest not in model.layers
    assert {deepest, model, *model.layers} <= set(all_layers(model))


def test_metric_fn() -> None:
    metric = keras.metrics.SparseCategoricalCrossentropy(from_logits=True)
    logits = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    rows = np.asarray(rows_of(metric, np.array([0, 0, 1]), logits))
    assert rows.shape == (3,)
    assert float(metric(np.array([0, 0, 1]), logits)) == pytest.approx(rows.mean())
    assert rows[0] == pytest.approx(np.log1p(np.exp(1.0)))  # with its argument from_logits


def test_global_seed_generator() -> None:
    keras.utils.clear_session()
    assert seeds_of_keras() == []
    keras.random.uniform(())
    (state,) = seeds_of_keras()
    before = np.array(state)
    numbers = np.array(keras.random.uniform((3,)))
    state.assign(before)
    assert np.array(keras.random.uniform((3,))).tolist() == numbers.tolist()


def test_text_vectorization_preprocess() -> None:
    layer = keras.layers.TextVectorization(vocabulary=["a", "film"])
    assert np.asarray(tokens_of(layer, tf.constant(["A fine film!"]))[0]).tolist() == [b"a", b"fine", b"film"]


def test_optimizer_distribution_strategy() -> None:
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = model_of(keras.layers.Dense(2))
    assert strategy_of(model.optimizer) is strategy is model.distribute_strategy


class Asking(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """Asks, as a callback of `fit`, what Keras tells no callback."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.epochs: list[int] = []
        self.others, self.batch = callbacks_of_fit().callbacks, batch_of_fit()
        begin_fit_at(self.model, 2)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        begin_fit_at(self.model, None)
        self.epochs.append(epoch)


def test_callback_list_initial_epoch_and_epoch_iterator(model: keras.Model) -> None:
    asking, other = Asking(), keras.callbacks.TerminateOnNaN()
    model.compile("sgd", "mse")
    x = np.zeros((6, *model.input_shape[1:]), dtype="float32")
    y = np.zeros((6, *model.output_shape[1:]), dtype="float32")
    for _ in range(2):  # another `fit` begins there by itself only if it is told to
        model.fit(x, y, batch_size=3, epochs=4, callbacks=[asking, other], verbose=0)
        assert asking.epochs == [2, 3]
    assert asking.others[:2] == [asking, other]
    assert [type(one) for one in asking.others[2:]] == [keras.callbacks.History]
    assert [tuple(spec.shape)[1:] for spec in asking.batch] == [x.shape[1:], y.shape[1:]]
    assert model.fit(x, y, epochs=4, verbose=0).epoch == [0, 1, 2, 3]
    assert callbacks_of_fit() is None
    with pytest.raises(LookupError):
        batch_of_fit()


@pytest.mark.trains
def test_tensorboard_writers(model: keras.Model, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    callback = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)
    model.fit(X, Y, verbose=0, callbacks=[callback])
    assert [hasattr(writer, "flush") for writer in writers_of(callback)] == [True]


@pytest.mark.trains
@pytest.mark.parametrize("kind", ["train", "test"])
def test_function_and_make_function(model: keras.Model, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit` and `evaluate` have their function made, unless there is one, and call it with an iterator each step."""
    calls: list[str] = []
    make = getattr(type(model), f"make_{kind}_function")

    def noting(force: bool = False) -> Any:
        calls.append("made")
        made = make(model, force=force)
        own = getattr(model, f"{kind}_function")
        assert callable(own)
        setattr(model, f"{kind}_function", lambda iterator: calls.append(type(iterator).__name__) or own(iterator))
        return made

    monkeypatch.setattr(model, f"make_{kind}_function", noting, raising=True)
    if kind == "train":
        model.fit(X, Y, batch_size=2, verbose=0)
    else:
        model.evaluate(X, Y, batch_size=2, verbose=0)
    assert calls == ["made", "OwnedIterator", "OwnedIterator"]
    assert getattr(model, f"{kind}_function", None) is not None


@pytest.mark.trains
def test_attributes_of_graphs(model: keras.Model) -> None:
    """What `training/state/` leaves out of a model is there, under the names that it leaves out."""
    model.fit(X, Y, verbose=0)
    callback = keras.callbacks.Callback()
    callback.set_model(model)
    holders = (model, *all_layers(model), keras.Model(model.inputs, model.outputs), model.optimizer, callback)
    names = {name for one in (*holders, *model.metrics) for name in vars(one)}
    assert names >= OF_GRAPHS


def test_variable_value(model: keras.Model) -> None:
    assert all(isinstance(variable._value, tf.Variable) for variable in model.variables)
