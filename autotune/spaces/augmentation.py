"""Random changes of images in each epoch: shift, rotation, zoom, contrast, flip. The layers act in training only."""

from __future__ import annotations

import keras
import optuna

from autotune.spaces.ranges import Float, suggest_float


def augmentation(
    trial: optuna.Trial,
    *,
    translation: Float = (0.0, 0.15),
    rotation: Float = (0.0, 0.1),
    zoom: Float = (0.0, 0.15),
    contrast: Float = 0.0,
    flip: bool = False,
) -> list[keras.layers.Layer]:
    """Return Keras layers for the start of a network; a change of size 0 gets no layer.

    The usual values have no source: they are our choice, small ones, as large changes need long training.

    Args:
        trial: Suggests translation, rotation, zoom and contrast.
        translation: Largest shift, as a share of the side, in [0, 1). Usual: 0.05.
        rotation: Largest rotation, as a share of a full turn, in [0, 0.5]. Usual: 0.02, about 7 degrees.
        zoom: Largest change of the size, as a share of the size, in [0, 1). Usual: 0.05.
        contrast: Largest change of the contrast, as a share of the contrast, in [0, 1). Usual: 0.1.
        flip: Whether half of the images are mirrored left to right. Do not use it for digits.
    """
    shift = suggest_float(trial, "translation", translation, usual=0.05)
    turn = suggest_float(trial, "rotation", rotation, usual=0.02)
    change = suggest_float(trial, "zoom", zoom, usual=0.05)
    shade = suggest_float(trial, "contrast", contrast, usual=0.1)
    return [
        *([keras.layers.RandomFlip("horizontal")] if flip else []),
        *([keras.layers.RandomTranslation(shift, shift, fill_mode="constant")] if shift > 0 else []),
        *([keras.layers.RandomRotation(turn, fill_mode="constant")] if turn > 0 else []),
        *([keras.layers.RandomZoom(change, fill_mode="constant")] if change > 0 else []),
        *([keras.layers.RandomContrast(shade)] if shade > 0 else []),
    ]
