"""Which small U-Net finds the pixels of handwritten digits on a noisy canvas best?

Each row is one of scikit-learn's digits, twice as large, somewhere on a canvas of 32x32 with five bright bars and
noise; its mask is 1 where the digit's ink is.
Scientific: depth, filters, skips (whether the way up sees what the way down saw).
Nuisance: learning_rate, batch_size.  Fixed: relu, 3x3 kernels, Adam, binary cross-entropy, 12 epochs, a fifth held out.
"""

import keras
import numpy as np
import optuna

from autotune import Dataset, Holdout, StudySpec
from autotune.data import load_development

SIZE = 32


def canvas(digit: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    ink = np.zeros((SIZE, SIZE), "float32")
    top, left = rng.integers(0, SIZE - 15, 2)
    ink[top : top + 16, left : left + 16] = np.kron(digit, np.ones((2, 2)))
    bars = np.zeros_like(ink)
    for at, begin in zip(rng.integers(0, SIZE - 1, 5), rng.integers(0, SIZE - 8, 5), strict=True):
        bars[at : at + 2, begin : begin + 12] = rng.uniform(0.3, 1.0)
        bars = bars.T
    noisy = np.maximum(0.8 * ink, bars) + 0.25 * rng.standard_normal(ink.shape)
    return noisy.astype("float32"), (ink > 0.4).astype("float32")


def development() -> Dataset:
    rng = np.random.default_rng(0)
    images, masks = zip(*(canvas(digit, rng) for digit in load_development("digits").x[..., 0]), strict=True)
    return Dataset(np.stack(images)[..., np.newaxis], np.stack(masks)[..., np.newaxis], name="digits on canvases")


def convolved(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    return keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    filters = trial.suggest_categorical("filters", [8, 12, 16])
    has_skips = trial.suggest_categorical("skips", [True, False])
    images = x = keras.Input(data.input_shape)
    seen = []
    for level in range(trial.suggest_int("depth", 1, 3)):
        x = convolved(x, filters * 2**level)
        seen.append(x)
        x = keras.layers.MaxPooling2D()(x)
    x = convolved(x, filters * 2 ** len(seen))
    for level, before in reversed([*enumerate(seen)]):
        x = keras.layers.UpSampling2D()(x)
        x = convolved(keras.layers.Concatenate()([x, before]) if has_skips else x, filters * 2**level)
    model = keras.Model(images, keras.layers.Conv2D(1, 1, activation="sigmoid")(x))
    model.compile(
        keras.optimizers.Adam(trial.suggest_float("learning_rate", 5e-4, 1e-2, log=True)),
        loss="binary_crossentropy",
        metrics=[keras.metrics.BinaryIoU(target_class_ids=[1], name="iou")],
    )
    return model


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": trial.suggest_categorical("batch_size", [16, 32, 64])}


study = StudySpec(
    name="digit-masks",
    dataset=development,
    folds=Holdout(0.2),
    build=build,
    fit=fit,
    monitor="val_iou",
    direction="maximize",
    epochs=12,
    n_trials=20,
    seed=0,
)
