"""What pictures show of each kind of output."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.data.sources import windows
from autotune.figures import to_png
from autotune.training.outputs.describing import described, in_features, in_numbers
from autotune.training.outputs.drawing import example_pictures, file_name, main_pictures
from autotune.training.outputs.finding import find
from autotune.training.outputs.findings import Findings


def _found(shape: tuple[int, ...], loss: Any, data: Dataset, activation: str | None = None) -> Findings:
    model = keras.Sequential([keras.Input(shape), keras.layers.Activation(activation)])
    model.compile(loss=loss)
    (found,) = find(model, data, 100 + np.arange(len(data)))
    return found


def _figures(findings: Findings) -> dict[str, Any]:
    return {picture.name: picture.figure for picture in main_pictures(findings)}


def test_a_forecast_is_drawn_after_its_past_with_the_error_of_each_step() -> None:
    series = np.arange(60, dtype=np.float32)
    series[40:] = 0
    found = _found((4,), "mae", windows(series, length=4, horizon=4))
    (figure,) = _figures(found).values()
    largest, median, smallest, errors = figure.axes
    worst = found.wrong[0]
    assert largest.get_title() == f"largest error, row {worst.position}"
    given, true, predicted = largest.lines
    assert given.get_ydata().tolist() == worst.inputs[0].row.tolist()
    assert true.get_ydata().tolist() == [given.get_ydata()[-1], *worst.true[:, 0]]
    assert predicted.get_ydata().tolist() == [given.get_ydata()[-1], *worst.predicted[:, 0]]
    assert true.get_xdata().tolist() == [0, 1, 2, 3, 4]
    assert described(found.right[0], found) == f"mean absolute error {4:.4g}"  # what is given, four steps later
    assert median.get_title() != smallest.get_title()
    assert found.errors is not None
    assert errors.lines[0].get_ydata().tolist() == found.errors.tolist()
    assert in_numbers(found)[0].endswith("at step 4.")


def test_a_mask_is_drawn_beside_its_image() -> None:
    y = np.zeros((8, 6, 6, 1), np.float32)
    y[:, 2:4, 2:4] = 1
    x = np.where(y > 0, 1.0, -1.0).astype(np.float32)
    x[3, 2, 2] = -1  # one of four pixels is missed
    found = _found((6, 6, 1), "binary_crossentropy", Dataset(x, y), "sigmoid")
    assert _figures(found).keys() == {"confusion", "pictures", "typical"}
    assert found.wrong[0].position == 103
    axes = _figures(found)["pictures"].axes
    assert [one.get_title(loc="left") for one in axes[:3]] == ["IoU 0.75", "true", "predicted"]
    image, true, predicted = (np.asarray(one.images[0].get_array()) for one in axes[:3])
    assert image[0, 0].tolist() == [0, 0, 0]
    assert (true != predicted).any(axis=-1).nonzero() == (np.array([2]), np.array([2]))
    assert "pixels right" in _figures(found)["confusion"].axes[0].get_title()
    assert "Intersection over union of each class: 0 0.996, 1 0.969." in in_numbers(found)


def test_what_is_ignored_of_a_mask_is_grey_in_it() -> None:
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32)
    y = x.argmax(axis=-1)
    y[:, 0] = 255
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=255, from_logits=True)
    found = _found((6, 6, 2), loss, Dataset(x, y))
    figures = _figures(found)
    assert "120 of 120 pixels right" in figures["confusion"].axes[0].get_title()
    assert described(found.wrong[0], found) == "IoU 1.00"
    true, predicted = (np.asarray(one.images[0].get_array()) for one in figures["pictures"].axes[1:3])
    assert (true[0] == true[0, 0]).all()
    assert (true[1:] == predicted[1:]).all()
    colours = {
        handle.get_label(): handle.get_facecolor()[:3] for handle in figures["pictures"].legends[0].get_patches()
    }
    assert list(colours) == ["0", "1", "ignored"]
    assert colours["ignored"] == tuple(true[0, 0])


def test_images_that_are_predicted_are_drawn_beside_their_targets() -> None:
    x = np.random.default_rng(0).random((4, 5, 5)).astype(np.float32)
    found = _found((5, 5), "mse", Dataset(x, x + np.float32(0.5)))
    assert found.kind == "image"
    assert described(found.wrong[0], found) == "mean absolute error 0.5"
    titles = [one.get_title(loc="left") for one in _figures(found)["pictures"].axes[:3]]
    assert titles == ["mean absolute error\n0.5", "true", "predicted"]


def test_a_sequence_of_classes_has_a_confusion_matrix_and_no_picture() -> None:
    x = np.random.default_rng(0).normal(size=(6, 7, 3)).astype(np.float32)
    found = _found((7, 3), "sparse_categorical_crossentropy", Dataset(x, x.argmax(axis=-1)), "softmax")
    assert found.kind == "mask"
    assert found.n_right == 42
    assert _figures(found).keys() == {"confusion"}
    assert _figures(found)["confusion"].axes[0].get_title() == "42 of 42 steps right (100.0%)"


def test_each_of_a_few_columns_has_its_own_panel() -> None:
    x = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    found = _found((4,), "mse", Dataset(x, x * [1, 1, 1, 100]))
    (figure,) = _figures(found).values()
    assert [axes.get_title() for axes in figure.axes[:4]] == ["column 0", "column 1", "column 2", "column 3"]
    assert figure.axes[3].collections[0].get_offsets()[:, 0].tolist() == (100 * x[:, 3].astype(np.float64)).tolist()
    assert example_pictures(found) == []
    assert described(found.wrong[0], found).count(", ") == 6
    assert in_features(found.wrong[0]).startswith("feature 0 = ")


def test_of_many_columns_the_six_that_vary_most_are_drawn() -> None:
    x = np.random.default_rng(0).normal(size=(9, 9)).astype(np.float32)
    x[:, [1, 5, 8]] *= 1e-3
    found = _found((9,), "mse", Dataset(x, x))
    (picture,) = main_pictures(found)
    assert [axes.get_title() for axes in picture.figure.axes] == [f"column {number}" for number in (0, 2, 3, 4, 6, 7)]
    assert picture.caption.endswith("Of 9 columns, the 6 that vary most.")
    assert in_features(found.wrong[0]) == ""  # the first eight would say nothing of the row


@pytest.mark.parametrize("lowest", [-2.0, np.nan])
def test_images_of_numbers_below_zero_are_drawn_and_numbers_that_are_not_finite(lowest: float) -> None:
    x = np.linspace(-1, 1, 3 * 16, dtype=np.float32).reshape(3, 4, 4, 1)
    x[0, 0, 0] = lowest
    found = _found((4, 4, 1), "mse", Dataset(x, x, allow_nan=True))
    assert {name: to_png(figure)[1:4] for name, figure in _figures(found).items()} == {
        "pictures": b"PNG",
        "typical": b"PNG",
    }


def test_masks_of_volumes_are_counted_and_not_drawn() -> None:
    y = np.zeros((3, 2, 4, 4, 1), np.float32)
    y[:, :, :2] = 1
    found = _found((2, 4, 4, 1), "binary_crossentropy", Dataset(y, y), "sigmoid")
    assert found.kind == "mask"
    assert _figures(found).keys() == {"confusion"}


@pytest.mark.parametrize("shape", [(2, 3, 4, 1), (1, 4, 4, 3)])
def test_rows_that_are_volumes_or_films_are_not_drawn(shape: tuple[int, ...]) -> None:
    model = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    (found,) = find(model, Dataset(np.ones((4, *shape), np.float32), np.array([0, 1, 0, 1])), np.arange(4))
    assert found.right
    assert example_pictures(found) == []


def test_rows_of_different_lengths_are_drawn_without_the_empty_ones() -> None:
    rows = [np.ones((length, 2), np.float32) for length in (0, 1, 2, 3)]
    model = keras.Sequential(
        [keras.Input((None, 2)), keras.layers.GlobalMaxPooling1D(), keras.layers.Dense(2, kernel_initializer="zeros")]
    )
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    (found,) = find(model, Dataset(rows, np.array([0, 0, 0, 1])), np.arange(4))
    pictures = {one.name: len(one.figure.axes[0].images) for one in example_pictures(found)}
    assert pictures == {"mistakes": 1, "right": 1}


def test_pictures_of_similar_and_long_names_have_files_of_their_own() -> None:
    names = ["a/b", "a_b", "x" * 300, "x" * 299, "../a", "a b", "$a$"]
    files = [file_name("pictures", name) for name in names]
    assert len(set(files)) == len(names) - 1  # a space is written as an underscore
    assert all(len(name) < 100 and re.fullmatch(r"[\w-]+", name) for name in files)


def test_outputs_in_bfloat16_are_drawn() -> None:
    x = np.ones((3, 4, 4, 1), np.float32)
    for data in (Dataset(x, 2 * x), Dataset(x)):
        model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Activation("relu", dtype="bfloat16")])
        model.compile(loss="mse")
        (found,) = find(model, data, np.arange(3))
        assert _figures(found).keys() == {"pictures", "typical"}
        assert found.wrong[0].predicted.dtype == np.float32


def test_of_many_labels_a_row_names_some() -> None:
    y = np.ones((2, 20), np.float32)
    y[:, 0] = 0
    found = _found((20,), "binary_crossentropy", Dataset(0.9 * (1 - y), y))
    assert described(found.wrong[0], found).startswith("has label 1, label 2, label 3")
    assert "label 8, 11 others; found label 0;" in described(found.wrong[0], found)


def test_of_many_columns_those_that_are_drawn_are_kept() -> None:
    y = np.zeros((5, 300), np.float32)
    y[:, [3, 299]] = np.arange(10).reshape(5, 2)
    found = _found((300,), "mse", Dataset(y + 1, y))
    assert found.true is not None
    assert found.true.shape == (5, 6)
    assert found.columns == (0, 1, 2, 3, 4, 299)
    (figure,) = _figures(found).values()
    assert [axes.get_title() for axes in figure.axes] == [f"column {number}" for number in found.columns]
    assert "Of 300 columns, the 6 that vary most" in main_pictures(found)[0].caption
