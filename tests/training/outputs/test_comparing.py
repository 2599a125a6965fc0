"""Each output of a model is compared with its targets as what it is: classes, labels, numbers, a forecast, a mask."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from autotune.data.rows import Dataset
from autotune.data.sources import windows
from autotune.training.outputs.comparing import compare, rows_to_compare, typical_rows, worst_rows
from autotune.training.outputs.predicting import confusion_matrix, mask_scores

RNG = np.random.default_rng(0)


def _passing(shape: tuple[int | None, ...], loss: Any, activation: str | None = None) -> keras.Model:
    """Return a model that puts out what it is given."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Activation(activation)])
    model.compile(loss=loss)
    return model


def _floats(*shape: int) -> npt.NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


MASK = RNG.integers(0, 2, (6, 4, 5))
CLASSES = np.concatenate([np.arange(20).reshape(1, 4, 5) % 3, RNG.integers(0, 3, (5, 4, 5))])


@pytest.mark.parametrize(
    ("channels", "loss", "activation", "y", "kind"),
    [
        (1, "binary_crossentropy", "sigmoid", MASK, "mask"),
        (1, "binary_crossentropy", "sigmoid", MASK[..., np.newaxis].astype(np.float32), "mask"),
        (1, "dice", "sigmoid", MASK[..., np.newaxis], "mask"),
        (1, keras.losses.BinaryCrossentropy(from_logits=True), None, MASK[..., np.newaxis], "mask"),
        (3, "sparse_categorical_crossentropy", "softmax", CLASSES, "mask"),
        (3, "sparse_categorical_crossentropy", "softmax", CLASSES[..., np.newaxis], "mask"),
        (3, "categorical_crossentropy", "softmax", np.eye(3)[CLASSES], "mask"),
        (1, "mse", None, _floats(6, 4, 5, 1), "image"),
        (1, "mse", None, 50 * MASK[..., np.newaxis], "image"),
        (3, "mae", None, _floats(6, 4, 5, 3), "image"),
        (3, "mae", None, _floats(6, 7), "nothing"),
    ],
)
def test_masks_and_images(channels: int, loss: Any, activation: str | None, y: Any, kind: str) -> None:
    x = _floats(6, 4, 5, channels)
    (found,) = compare(_passing((4, 5, channels), loss, activation), Dataset(x, y))
    assert found.kind == kind
    if kind == "nothing":
        assert "the shape (7,), and its outputs (4, 5, 3)" in found.why
        return
    assert found.true.shape == found.predicted.shape
    if kind == "mask":
        expected = (x[..., 0] > 0).astype(int) if channels == 1 else x.argmax(axis=-1)
        assert found.predicted.tolist() == expected.tolist()
        assert found.true.tolist() == (MASK if channels == 1 else CLASSES).tolist()
        assert found.n_classes == max(2, channels)


@pytest.mark.parametrize(
    ("loss", "activation", "y", "kind"),
    [
        ("mse", None, _floats(9, 3), "numbers"),
        ("binary_crossentropy", "sigmoid", RNG.integers(0, 2, (9, 3)), "labels"),
        ("binary_crossentropy", "sigmoid", np.eye(3)[RNG.integers(0, 3, 9)], "classes"),
        ("mse", None, 7 * RNG.integers(0, 2, (9, 3)), "numbers"),
        ("mse", None, np.array(["a"] * 9), "nothing"),
        ("mse", None, None, "numbers"),
    ],
)
def test_several_columns(loss: str, activation: str | None, y: Any, kind: str) -> None:
    y = {"text": y} if y is not None and y.dtype.kind == "U" else y
    (found,) = compare(_passing((3,), loss, activation), Dataset(_floats(9, 3), y))
    assert found.kind == kind
    assert bool(found.why) == (kind == "nothing")


def test_steps_after_windows_of_a_series_are_a_forecast() -> None:
    data = windows(np.arange(40.0, dtype=np.float32).reshape(20, 2), length=3, horizon=3)
    for rows in (data, data.subset(np.arange(5))):
        (found,) = compare(_passing((3, 2), "mae"), rows)
        assert found.kind == "forecast"
        assert found.true.shape == found.predicted.shape == (len(rows), 3, 2)


def test_targets_of_different_lengths_are_not_compared() -> None:
    data = Dataset([np.zeros((n, 2), np.float32) for n in (1, 2, 3)], [np.arange(n) for n in (1, 2, 3)])
    (found,) = compare(_passing((None, 2), "mae"), data)
    assert (found.kind, "different lengths" in found.why) == ("nothing", True)


@pytest.mark.parametrize(("shape", "kind"), [((4, 4, 1), "image"), ((4, 4), "image"), ((6,), "numbers")])
def test_an_autoencoder_is_compared_with_what_it_is_given(shape: tuple[int, ...], kind: str) -> None:
    x = _floats(5, *shape)
    (found,) = compare(_passing(shape, None), Dataset(x))
    assert found.kind == kind
    assert found.true.tolist() == found.predicted.tolist() == x.tolist()


class WithoutCall(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
    pass


def test_a_model_without_call_is_not_compared() -> None:
    model = WithoutCall()
    model.compile()
    (found,) = compare(model, Dataset(_floats(5, 4, 4, 1)))
    assert (found.kind, found.why) == ("nothing", "the model has no `call` that returns its outputs.")


@pytest.mark.parametrize("as_list", [True, False])
def test_outputs_are_paired_with_targets_by_their_names(as_list: bool) -> None:
    row = keras.Input((2,))
    outputs = [keras.layers.Dense(3, "softmax", name="kind")(row), keras.layers.Dense(1, name="age")(row)]
    outputs += [keras.layers.Dense(1, name="other")(row)]
    model = keras.Model(row, outputs if as_list else dict(zip(["kind", "age", "other"], outputs, strict=True)))
    losses = {"kind": "sparse_categorical_crossentropy", "age": "mse"}
    model.compile(loss=[*losses.values(), None] if as_list else losses)
    y = {"age": np.arange(9), "kind": np.arange(9) % 3}
    age, kind, other = compare(model, Dataset(_floats(9, 2), y))
    assert [(one.output, one.kind) for one in (age, kind, other)] == [
        ("age", "numbers"),
        ("kind", "classes"),
        ("other", "nothing"),
    ]
    assert age.true[:, 0].tolist() == y["age"].tolist()
    assert kind.true.tolist() == y["kind"].tolist()


def test_of_large_masks_some_rows_are_compared() -> None:
    wide = Dataset(np.zeros((40, 1), np.float32), np.broadcast_to(np.float32(0), (40, 1000, 1000)))
    model = _passing((1,), "mse")
    assert rows_to_compare(model, wide).tolist() == [0, 5, 11, 16, 22, 27, 33, 39]
    assert len(rows_to_compare(model, Dataset(np.zeros((40, 1)), np.zeros(40)))) == 40


class Wide(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
    def call(self, row: Any) -> Any:
        return keras.ops.broadcast_to(row[:, :, None], (keras.ops.shape(row)[0], 4096, 2048))


@pytest.mark.parametrize("model", [Wide(), keras.Sequential([keras.Input((4096,)), keras.layers.RepeatVector(2048)])])
def test_of_outputs_that_are_larger_than_their_targets_some_rows_are_compared(model: keras.Model) -> None:
    data = Dataset(np.zeros((12, 4096), np.float32), np.zeros((12, 4096), np.int64))
    assert rows_to_compare(model, data).tolist() == [0, 3, 7, 11]


def test_a_source_does_not_read_all_rows_again() -> None:
    read: list[int] = []

    class Rows:
        def __len__(self) -> int:
            return 3000

        def __getitem__(self, at: int) -> tuple[Any, Any]:
            read.append(at)
            return np.zeros(2, np.float32), np.int64(at % 2)

    data = Dataset(Rows(), cache=False)
    read.clear()
    (found,) = compare(_passing((2,), "sparse_categorical_crossentropy", "softmax"), data.subset(np.arange(50)))
    assert (found.kind, len(found.true)) == ("classes", 50)
    read.clear()
    chosen = rows_to_compare(_passing((2,), "sparse_categorical_crossentropy", "softmax"), data)
    assert (len(chosen), read) == (1000, [])


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_of_very_many_classes_there_is_no_confusion_matrix(shape: tuple[int, ...]) -> None:
    x, y = np.zeros((*shape, 1001), np.float32), np.arange(np.prod(shape)).reshape(shape)
    (found,) = compare(_passing((*shape[1:], 1001), "sparse_categorical_crossentropy"), Dataset(x, y))
    assert (found.kind, found.why) == ("nothing", "it has 1,001 classes, and at most 1,000 are shown.")


def test_the_worst_mask_comes_first_and_typical_rows_are_from_the_median_to_the_best() -> None:
    y, x = np.ones((5, 2, 2, 1), np.float32), np.ones((5, 2, 2, 1), np.float32)
    for row, n_wrong in enumerate((0, 4, 1, 3, 2)):
        x[row].reshape(-1)[:n_wrong] = -1
    (found,) = compare(_passing((2, 2, 1), "binary_crossentropy", "sigmoid"), Dataset(x, y))
    assert worst_rows(found, 3).tolist() == [1, 3, 4]
    assert typical_rows(found, 2).tolist() == [4, 0]


@pytest.mark.parametrize(
    ("y", "loss", "activation", "kind"),
    [
        (np.arange(8.0) % 2, "binary_crossentropy", "sigmoid", "classes"),  # labels are often given as floats
        (np.arange(8.0) % 2, "mse", None, "numbers"),
        (np.arange(8) % 2 * 2 - 1, "mse", None, "numbers"),
        (np.arange(8) % 2 * 2 - 1, "hinge", "tanh", "numbers"),  # -1 and 1 number no classes
        (np.zeros(8, int), "binary_crossentropy", "sigmoid", "classes"),  # one class has no rows
    ],
)
def test_one_value_for_each_row(y: Any, loss: str, activation: str | None, kind: str) -> None:
    x = _floats(8, 1)
    (found,) = compare(_passing((1,), loss, activation), Dataset(x, {"only": y}))
    assert found.kind == kind
    assert found.true.reshape(-1).tolist() == y.tolist()
    if kind == "classes":
        assert found.predicted.argmax(axis=1).tolist() == (x[:, 0] > 0).astype(int).tolist()


def test_a_mask_of_minus_one_and_one_is_no_mask_of_classes() -> None:
    (found,) = compare(_passing((4, 5, 1), "hinge", "tanh"), Dataset(_floats(6, 4, 5, 1), 2 * MASK - 1))
    assert found.kind == "image"


def test_one_output_for_all_rows_cannot_be_compared() -> None:
    class Mean(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
        def call(self, rows: Any) -> Any:
            return keras.ops.mean(rows)

    model = Mean()
    model.compile(loss="mse")
    (found,) = compare(model, Dataset(_floats(6, 2), _floats(6)))
    assert (found.kind, found.why) == ("nothing", "for 6 rows it has the shape (): no output for each row.")


class Own(keras.losses.Loss):  # type: ignore[misc]  # reason: Keras ships no types
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.ops.zeros(4)


IGNORING = {label: keras.losses.SparseCategoricalCrossentropy(ignore_class=label) for label in (255, -1, 0)}


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 20), (6, 4, 5, 1)])
@pytest.mark.parametrize(
    ("label", "loss", "metrics"),
    [
        *((label, loss, []) for label, loss in IGNORING.items()),
        (-1, "sparse_categorical_crossentropy", []),
        (-100, "sparse_categorical_crossentropy", []),
        (255, Own(), [keras.metrics.MeanIoU(3, ignore_class=255, sparse_y_pred=False)]),
    ],
)
def test_places_with_the_ignored_label_are_left_out(
    label: int, loss: Any, metrics: list[Any], shape: tuple[int, ...]
) -> None:
    y = CLASSES.copy()
    y[:, 0] = label
    y = y.reshape(shape).astype(np.uint8 if label >= 0 else np.int32)
    x = _floats(*shape[: 2 + (len(shape) > 2)], 3)
    model = _passing(x.shape[1:], loss)
    model.compile(loss=loss, metrics=metrics)
    (found,) = compare(model, Dataset(x, y))
    assert (found.kind, found.n_classes) == ("mask", 3)
    assert found.true.tolist() == np.where(y == label, -1, y.astype(int)).reshape(x.shape[:-1]).tolist()
    counted = (found.true >= 0).sum()
    assert confusion_matrix(found.true, found.predicted, 3).sum() == counted < found.true.size
    perfect = np.where(found.true >= 0, found.true, 1)
    assert mask_scores(found.true, perfect, 3).tolist() == [1.0] * 6
    assert mask_scores(found.true, 1 - perfect % 2, 3).max() < 1


def test_each_output_has_its_own_ignored_label() -> None:
    row = keras.Input((20, 3))
    model = keras.Model(row, {name: keras.layers.Activation("softmax", name=name)(row) for name in ("a", "b")})
    model.compile(loss={"a": IGNORING[255], "b": IGNORING[0]})
    y = CLASSES.reshape(6, 20)
    a, b = compare(model, Dataset(_floats(6, 20, 3), {"a": np.where(y == 2, 255, y), "b": y}))
    assert a.true.tolist() == np.where(y == 2, -1, y).tolist()
    assert b.true.tolist() == np.where(y == 0, -1, y).tolist()


def test_a_metric_of_the_foreground_leaves_the_background_in_its_place() -> None:
    model = _passing((4, 5, 3), "sparse_categorical_crossentropy", "softmax")
    model.compile(loss=model.loss, metrics=[keras.metrics.MeanIoU(3, ignore_class=0, sparse_y_pred=False)])
    (found,) = compare(model, Dataset(_floats(6, 4, 5, 3), CLASSES))
    assert found.true.tolist() == CLASSES.tolist()


def test_masks_with_pixels_of_no_class_are_said_to_have_them() -> None:
    y = CLASSES.copy()
    y[0, 0, 0] = 255
    model = _passing((4, 5, 3), "sparse_categorical_crossentropy")
    (found,) = compare(model, Dataset(_floats(6, 4, 5, 3), y))
    assert found.why == "its 3 outputs stand for the classes 0 to 2, and some targets are no such."
