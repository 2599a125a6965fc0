"""A convolutional network for images.

Shapes: h, w, c are an image's height, width and channels; `side` is the smaller of h and w after the layers so far.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import keras

from autotune.data.rows import Dataset
from autotune.errors import StudyFileError

_Padding: TypeAlias = Literal["valid", "same"]
Pooling: TypeAlias = Literal["max", "average"]
_POOLING = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


def build_cnn(
    data: Dataset,
    *,
    blocks: int = 3,
    filters: int = 32,
    kernel_size: int = 3,
    pool_size: int = 2,
    pooling: Pooling = "max",
    padding: _Padding | None = None,
    activation: str = "relu",
    dense_units: int = 64,
    dropout: float = 0.0,
    batch_normalization: bool = False,
    l2: float = 0.001,
    penalty: keras.regularizers.Regularizer | None = None,
    augmentation: Sequence[keras.layers.Layer] = (),
    optimizer: keras.optimizers.Optimizer | str | None = None,
    loss: str | keras.losses.Loss = "sparse_categorical_crossentropy",
    metrics: Sequence[str | keras.metrics.Metric] = ("accuracy",),
) -> keras.Model:
    """Build and compile a convolutional network, by default the article's worked example: a CNN on MNIST.

    The default, on 28x28 images: Conv 32, pool, Conv 64, pool, Conv 64, Dense 64 and a softmax over the
    classes, 93,322 weights for 10 classes. The article trains it with batches of 64 for 10 epochs and a
    validation split of 0.1; those are settings of the study file (`fit`, `epochs`, `folds`).

    Args:
        data: A dataset with the image shape (h, w, c) and the number of classes; its rows are not read.
        blocks: Number of convolutions, at least 1. Each is followed by pooling, except the last of several.
        filters: Filters of the first block, at least 1; all later blocks have twice as many.
        kernel_size: Side of a convolution's window in pixels, at least 1.
        pool_size: Side and stride of a pooling window in pixels, at least 1.
        pooling: "max" or "average".
        padding: Keras's padding of the convolutions. None for "valid" where the images are large enough for
            all blocks (28x28 with the defaults), else "same" (8x8).
        activation: Activation of the convolutions and the hidden dense layer.
        dense_units: Units of the hidden dense layer, at least 1.
        dropout: Share of the features dropped before the hidden dense layer, in [0, 1); 0 for no such layer.
        batch_normalization: Whether features are normalized before each activation but the last (Ioffe and Szegedy,
            2015).
        l2: L2 penalty of all kernels (convolutions, hidden dense layer and softmax; no biases), at least 0.
        penalty: Another penalty of all kernels, in place of `l2`.
        augmentation: Layers that change the images in training.
        optimizer: For `compile`; None for Adam with a learning rate of 0.001.
        loss: For `compile`.
        metrics: For `compile`.

    Returns:
        The compiled model: (n, h, w, c) in, class probabilities (n, n_classes) out.

    Raises:
        StudyFileError: The data is not images with classes, a value is out of range, or the images are too
            small for that many blocks.

    Example:
        >>> from autotune.data import load_development
        >>> build_cnn(load_development("digits"), blocks=2).output_shape
        (None, 10)
    """
    counts = {"blocks": blocks, "filters": filters, "kernel_size": kernel_size}
    _check_counts({**counts, "pool_size": pool_size, "dense_units": dense_units})
    _check_rates(dropout, l2)
    _check_pooling(pooling)
    n_classes = _check_images(data)
    chosen = _choose_padding(min(data.input_shape[:2]), blocks, kernel_size, pool_size, padding)
    if penalty is None and l2 > 0:
        penalty = keras.regularizers.L2(l2)

    def activated(layer: type[keras.layers.Layer], *sizes: int, **options: Any) -> list[keras.layers.Layer]:
        if not batch_normalization:
            return [layer(*sizes, activation=activation, kernel_regularizer=penalty, **options)]
        linear = layer(*sizes, use_bias=False, kernel_regularizer=penalty, **options)
        return [linear, keras.layers.BatchNormalization(), keras.layers.Activation(activation)]

    features: list[keras.layers.Layer] = []
    for block in range(blocks):
        width = filters if block == 0 else 2 * filters
        features += activated(keras.layers.Conv2D, width, kernel_size, padding=chosen)
        if _is_pooled(block, blocks):
            features.append(_POOLING[pooling](pool_size))
    head = [
        keras.layers.Flatten(),
        *([keras.layers.Dropout(dropout)] if dropout > 0 else []),
        *activated(keras.layers.Dense, dense_units),
        keras.layers.Dense(n_classes, activation="softmax", kernel_regularizer=penalty),
    ]
    model = keras.Sequential([keras.Input(data.input_shape), *augmentation, *features, *head])
    chosen_optimizer = keras.optimizers.Adam(learning_rate=0.001) if optimizer is None else optimizer
    model.compile(optimizer=chosen_optimizer, loss=loss, metrics=list(metrics))
    return model


def _is_pooled(block: int, blocks: int) -> bool:
    return block < blocks - 1 or blocks == 1


def _choose_padding(side: int, blocks: int, kernel_size: int, pool_size: int, padding: _Padding | None) -> _Padding:
    if padding not in (None, "valid", "same"):
        raise StudyFileError(
            f"padding is {padding!r}.", "Expected 'valid', 'same' or None.", "Use one of these in build_cnn."
        )
    candidates: tuple[_Padding, ...] = ("valid", "same") if padding is None else (padding,)
    for candidate in candidates:
        problem = next(_problems(side, blocks, kernel_size, pool_size, candidate), None)
        if problem is None:
            return candidate
    raise StudyFileError(
        f"images with a side of {side} pixels are too small for this network: {problem}.",
        f"Each of the {blocks} block(s) with padding={candidate!r} needs a side of at least "
        f"{kernel_size if candidate == 'valid' else 1} pixels, and pooling one of at least {pool_size}.",
        "Use fewer blocks, a smaller kernel_size or pool_size, or padding='same'.",
    )


def _problems(side: int, blocks: int, kernel_size: int, pool_size: int, padding: _Padding) -> Iterator[str]:
    """Yield a text for each layer that its input is too small for, in the order of the layers."""
    for block in range(blocks):
        if padding == "valid":
            if side < kernel_size:
                yield f"at block {block + 1} a side of {side} is left for a kernel of {kernel_size}"
            side = side - kernel_size + 1
        if _is_pooled(block, blocks):
            if side < pool_size:
                yield f"at block {block + 1} a side of {side} is left for pooling by {pool_size}"
            side //= pool_size


def _check_images(data: Dataset) -> int:
    if len(data.input_shape) != 3 or min(data.input_shape) < 1:
        raise StudyFileError(
            f"the inputs of the dataset {data.name!r} have the shape {data.input_shape}.",
            "build_cnn needs images, (height, width, channels).",
            "Add a channel axis to grey images with x[..., np.newaxis], or use another builder.",
        )
    if data.n_classes is None:
        raise StudyFileError(
            f"the dataset {data.name!r} has no classes: its targets are floats.",
            "build_cnn ends in a softmax over classes and needs integer labels.",
            "Give integer labels, or build a regression model in the study file.",
        )
    return data.n_classes


def _check_counts(counts: dict[str, int]) -> None:
    for name, value in counts.items():
        if not isinstance(value, numbers.Integral) or value < 1:
            raise StudyFileError(
                f"{name} is {value!r}.", "Expected an integer of at least 1.", f"Correct {name} in build_cnn."
            )


def _check_pooling(pooling: str) -> None:
    if pooling not in _POOLING:
        raise StudyFileError(
            f"pooling is {pooling!r}.", "Expected 'max' or 'average'.", "Use one of these in build_cnn."
        )


def _check_rates(dropout: float, l2: float) -> None:
    if not 0 <= dropout < 1:
        raise StudyFileError(
            f"dropout is {dropout!r}.",
            "Expected a number of at least 0 and less than 1.",
            "Correct dropout in build_cnn.",
        )
    if not (math.isfinite(l2) and l2 >= 0):
        raise StudyFileError(f"l2 is {l2!r}.", "Expected a number of at least 0.", "Correct l2 in build_cnn.")
