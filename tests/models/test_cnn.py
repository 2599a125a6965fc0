"""The CNN is the article's by default, fits small images too, and says why when it cannot."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from autotune.data.rows import Dataset
from autotune.data.sources import load_development
from autotune.errors import StudyFileError
from autotune.models import build_cnn


def _images(*shape: int, n_classes: int = 10) -> Dataset:
    return Dataset(np.zeros((2, *shape), np.float32), np.array([0, 1]), n_classes=n_classes)


MNIST = _images(28, 28, 1)


def _kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def _layers(model: keras.Model, kind: str) -> list[Any]:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


def test_the_defaults_are_the_article_s_layer_by_layer() -> None:
    model = build_cnn(MNIST)
    convs, pools = _layers(model, "Conv2D"), _layers(model, "MaxPooling2D")
    assert _kinds(model) == [
        "Conv2D",
        "MaxPooling2D",
        "Conv2D",
        "MaxPooling2D",
        "Conv2D",
        "Flatten",
        "Dense",
        "Dense",
    ]
    assert [conv.filters for conv in convs] == [32, 64, 64]
    assert {(conv.kernel_size, conv.padding, conv.activation.__name__) for conv in convs} == {((3, 3), "valid", "relu")}
    assert {(pool.pool_size, pool.strides) for pool in pools} == {((2, 2), (2, 2))}
    hidden, output = _layers(model, "Dense")
    assert (hidden.units, hidden.activation.__name__) == (64, "relu")
    assert (output.units, output.activation.__name__) == (10, "softmax")
    assert model.count_params() == 93_322


def test_the_defaults_are_compiled_as_in_the_article() -> None:
    model = build_cnn(MNIST)
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)
    assert model.loss == "sparse_categorical_crossentropy"


def test_all_kernels_and_no_biases_are_penalised() -> None:
    layers = _layers(build_cnn(MNIST), "Conv2D") + _layers(build_cnn(MNIST), "Dense")
    assert [float(layer.kernel_regularizer.l2) for layer in layers] == pytest.approx([0.001] * 5)
    assert {layer.bias_regularizer for layer in layers} == {None}
    plain = build_cnn(MNIST, l2=0.0)
    assert {layer.kernel_regularizer for layer in _layers(plain, "Conv2D") + _layers(plain, "Dense")} == {None}


def test_dropout_stands_before_the_hidden_layer_only_when_asked_for() -> None:
    model = build_cnn(MNIST, dropout=0.25)
    assert _kinds(model)[-4:] == ["Flatten", "Dropout", "Dense", "Dense"]
    assert _layers(model, "Dropout")[0].rate == 0.25


@pytest.mark.parametrize(("blocks", "pools"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_every_block_but_the_last_is_pooled_and_so_is_a_single_one(blocks: int, pools: int) -> None:
    model = build_cnn(MNIST, blocks=blocks, filters=4)
    assert len(_layers(model, "Conv2D")) == blocks
    assert [conv.filters for conv in _layers(model, "Conv2D")] == [4, *[8] * (blocks - 1)]
    assert len(_layers(model, "MaxPooling2D")) == pools


def test_values_reach_the_layers() -> None:
    model = build_cnn(
        _images(32, 20, 3, n_classes=7),
        kernel_size=5,
        pool_size=3,
        padding="same",
        activation="elu",
        dense_units=11,
        optimizer="sgd",
        metrics=("sparse_top_k_categorical_accuracy",),
    )
    conv, pool, hidden = (_layers(model, kind)[0] for kind in ("Conv2D", "MaxPooling2D", "Dense"))
    assert (conv.kernel_size, conv.padding, conv.activation.__name__) == ((5, 5), "same", "elu")
    assert (pool.pool_size, hidden.units, hidden.activation.__name__) == ((3, 3), 11, "elu")
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert (model.input_shape, model.output_shape) == ((None, 32, 20, 3), (None, 7))


@pytest.mark.parametrize(("side", "padding"), [(28, "valid"), (18, "valid"), (17, "same"), (8, "same"), (4, "same")])
def test_padding_is_valid_where_all_blocks_fit(side: int, padding: str) -> None:
    assert {conv.padding for conv in _layers(build_cnn(_images(side, side, 1)), "Conv2D")} == {padding}


def test_the_shorter_side_decides() -> None:
    assert _layers(build_cnn(_images(100, 8, 1)), "Conv2D")[0].padding == "same"


@pytest.mark.parametrize(
    ("side", "values", "left"),
    [
        (8, {"padding": "valid"}, "block 2 a side of 1 is left for pooling by 2"),
        (17, {"padding": "valid"}, "block 3 a side of 2 is left for a kernel of 3"),
        (2, {"padding": "valid"}, "block 1 a side of 2 is left for a kernel of 3"),
        (8, {"blocks": 5}, "block 4 a side of 1 is left for pooling by 2"),
        (8, {"padding": "same", "pool_size": 9}, "block 1 a side of 8 is left for pooling by 9"),
    ],
)
def test_images_too_small_say_what_is_left_at_which_block(side: int, values: dict[str, Any], left: str) -> None:
    with pytest.raises(StudyFileError, match=left):
        build_cnn(_images(side, side, 1), **values)


@pytest.mark.parametrize("side", range(1, 30))
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_sizes_are_refused_exactly_where_keras_could_not_build(side: int, padding: Any) -> None:
    x = keras.Input((side, side, 1))
    try:
        for block in range(3):
            x = keras.layers.Conv2D(1, 3, padding=padding)(x)
            x = keras.layers.MaxPooling2D(2)(x) if block < 2 else x
        works = min(x.shape[1:3]) > 0
    except ValueError:
        works = False
    if works:
        build_cnn(_images(side, side, 1), filters=1, dense_units=1, padding=padding)
    else:
        with pytest.raises(StudyFileError, match="too small"):
            build_cnn(_images(side, side, 1), filters=1, dense_units=1, padding=padding)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (_images(28, 28), r"\(28, 28\)"),
        (_images(64), r"\(64,\)"),
        (Dataset(np.zeros((2, 28, 28, 1)), np.array([0.5, 1.0])), "no classes"),
    ],
)
def test_data_that_is_not_images_with_classes_is_refused(data: Dataset, found: str) -> None:
    with pytest.raises(StudyFileError, match=found):
        build_cnn(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blocks", 0),
        ("blocks", 1.5),
        ("filters", 0),
        ("kernel_size", -1),
        ("pool_size", 0),
        ("dense_units", 0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("l2", -0.001),
        ("l2", float("nan")),
        ("padding", "full"),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(StudyFileError, match=f"{name} is {value!r}"):
        build_cnn(MNIST, **{name: value})


def test_digits_train_with_the_defaults() -> None:
    data = load_development("digits")
    model = build_cnn(data, filters=8)
    x, y = data.take(np.arange(64))
    before = model.evaluate(x, y, verbose=0, return_dict=True)
    for _ in range(5):
        model.train_on_batch(x, y)
    after = model.evaluate(x, y, verbose=0, return_dict=True)
    assert set(after) == {"accuracy", "loss"}
    assert after["loss"] < before["loss"]
