"""What a model is for is asked from its loss, and not guessed from targets that happen to be integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.training.checkpoints.folder import TrialFolder
from autotune.training.outputs.purpose import Purpose, purpose_of
from autotune.training.outputs.shown import leave_pictures


def _model(outputs: int, activation: str | None, loss: Any = None, metrics: Any = ()) -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(outputs, activation=activation)])
    if loss is not None:
        model.compile(loss=loss, metrics=list(metrics))
    return model


class OwnCrossentropy(keras.losses.CategoricalCrossentropy):  # type: ignore[misc]  # reason: Keras ships no types
    pass


def my_own(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(y_pred)


CLASSES, NUMBER, ELSE = "classes", "a number", "something else"


@pytest.mark.parametrize(
    ("outputs", "activation", "loss", "metrics", "n_classes", "one_hot", "purpose"),
    [
        (3, "softmax", "sparse_categorical_crossentropy", (), 3, False, CLASSES),
        (5, "softmax", "sparse_categorical_crossentropy", (), 3, False, CLASSES),  # two classes have no rows
        (3, None, keras.losses.SparseCategoricalCrossentropy(from_logits=True), (), 3, False, CLASSES),
        (1, None, keras.losses.BinaryFocalCrossentropy(from_logits=True, name="x"), (), 2, False, CLASSES),
        (1, None, "hinge", (), 2, False, CLASSES),
        (3, None, OwnCrossentropy(), (), 3, True, CLASSES),
        (3, "softmax", "mean_squared_error", (), 3, True, CLASSES),
        (3, "softmax", "mse", (), 3, False, CLASSES),
        (1, "sigmoid", "mse", (), 2, False, CLASSES),
        (1, None, "mse", (), 37, False, NUMBER),
        (1, None, "mse", (), 2, False, NUMBER),
        (1, "relu", keras.losses.Poisson(), (), 2, False, NUMBER),
        (1, None, keras.losses.Huber(), ("accuracy",), 2, False, NUMBER),
        (1, None, ["mae"], (), 2, False, NUMBER),
        (1, None, "log_cosh", (), None, False, NUMBER),
        (1, None, my_own, ("mae",), 2, False, NUMBER),
        (1, None, my_own, (keras.metrics.BinaryAccuracy(),), 2, False, CLASSES),
        (3, None, my_own, (), 3, False, CLASSES),
        (3, None, None, (), 3, False, CLASSES),
        (1, None, my_own, (), 2, False, ELSE),
        (2, None, my_own, (), 37, False, ELSE),  # a mean and a variance, say
        (64, None, my_own, (), 37, False, ELSE),  # vectors
        (64, None, keras.losses.Circle(), (), 37, False, ELSE),
        (2, None, "sparse_categorical_crossentropy", (), 37, False, ELSE),
        (2, None, "mse", (), None, False, ELSE),
        (1, None, "binary_crossentropy", (), 37, False, ELSE),
    ],
)
def test_the_loss_says_what_a_model_is_for(
    outputs: int, activation: str | None, loss: Any, metrics: Any, n_classes: Any, one_hot: bool, purpose: Purpose
) -> None:
    assert purpose_of(_model(outputs, activation, loss, metrics), outputs, n_classes, one_hot) == purpose


def test_what_was_saved_is_still_for_the_same(tmp_path: Path) -> None:
    for name, model in (("number", _model(1, None, "mse")), ("classes", _model(1, None, my_own, ("accuracy",)))):
        model.optimizer.build(model.trainable_variables)
        model.save(tmp_path / f"{name}.keras")
        again = keras.models.load_model(tmp_path / f"{name}.keras", custom_objects={"my_own": my_own})
        assert purpose_of(again, 1, 2, one_hot=False) == purpose_of(model, 1, 2, one_hot=False)
        assert name in purpose_of(again, 1, 2, one_hot=False)


def test_a_regression_on_whole_numbers_leaves_no_confusion_matrix(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32), np.arange(20) % 2
    leave_pictures(TrialFolder(tmp_path / "a"), _model(1, None, "mse"), Dataset(x, y))
    assert [path.name for path in TrialFolder(tmp_path / "a").shown.iterdir()] == ["predictions.png"]
    leave_pictures(TrialFolder(tmp_path / "b"), _model(1, "sigmoid", "binary_crossentropy"), Dataset(x, y))
    assert sorted(path.name for path in TrialFolder(tmp_path / "b").shown.iterdir()) == [
        "confusion.json",
        "confusion.png",
    ]


def test_each_output_leaves_a_picture_under_its_name(tmp_path: Path) -> None:
    row = keras.Input((4,))
    outputs = {"kind/1": keras.layers.Dense(2, "softmax")(row), "age": keras.layers.Dense(1)(row)}
    outputs |= {"words": keras.layers.Dense(3)(row)}
    model = keras.Model(row, outputs)
    model.compile(loss={"kind/1": "sparse_categorical_crossentropy", "age": "mse", "words": "mse"})
    y = {"kind/1": np.arange(9) % 2, "age": np.arange(9.0), "words": np.array(["a"] * 9)}
    leave_pictures(TrialFolder(tmp_path), model, Dataset(np.eye(9, 4, dtype=np.float32), y))
    assert sorted(path.name for path in TrialFolder(tmp_path).shown.iterdir()) == [
        "confusion-kind_1_9036909d.json",
        "confusion-kind_1_9036909d.png",
        "predictions-age.png",
    ]


def test_rows_without_targets_leave_no_picture(tmp_path: Path) -> None:
    leave_pictures(TrialFolder(tmp_path), _model(3, None), Dataset(np.eye(4, dtype=np.float32)))
    assert not TrialFolder(tmp_path).shown.exists()


@pytest.mark.parametrize("as_list", [False, True])
def test_each_output_has_its_own_loss_and_metrics(as_list: bool) -> None:
    row = keras.Input((4,))
    outputs = [keras.layers.Dense(1, name="a")(row), keras.layers.Dense(1, name="b")(row)]
    model = keras.Model(row, outputs if as_list else {"a": outputs[0], "b": outputs[1]})
    losses, metrics = ["mse", my_own], [["mae"], ["accuracy"]]
    named = [dict(zip("ab", one, strict=True)) for one in (losses, metrics)]
    model.compile(*("sgd", losses) if as_list else ("sgd", named[0]), metrics=metrics if as_list else named[1])
    assert [purpose_of(model, 1, 2, False, name) for name in "ab"] == [NUMBER, CLASSES]
