"""Load a trained model: from its file, or where Keras cannot make it again, built anew with its kept weights.

Keras cannot make every model of a class of the study file's own again: its `__init__` may take layers, or its
`compile` other arguments than Keras's. `build` can.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from autotune.training.checkpoints import WEIGHTS
from autotune.training.state import is_own

_BUILD_SEED = "build_seed"


def is_of_own_class(model: keras.Model) -> bool:
    """Tell whether a model is of a class of the study file, so that its weights are kept beside its file."""
    return is_own(model.__class__)


def save_weights(model: keras.Model, path: Path, build_seed: int) -> None:
    """Write the weights of a model to an `.npz` file, in the order of `model.weights`.

    Args:
        model: The model.
        path: The file.
        build_seed: The seed that `build` made the model with: it may have drawn random constants, which are no weights.

    Raises:
        OSError: If the disk is full.
    """
    beside = path.with_name(f"saving-{os.getpid()}.npz")
    try:
        arrays = {f"weight_{number}": weight for number, weight in enumerate(model.get_weights())}
        arrays[_BUILD_SEED] = np.array(build_seed)
        np.savez(beside, **arrays)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def load_trained(path: Path, custom_objects: Mapping[str, Any], rebuild: Callable[[], keras.Model]) -> keras.Model:
    """Return a trained model, compiled.

    Args:
        path: Its `.keras` file, or its `weights.npz`. If there are both, the model is built anew.
        custom_objects: The classes and functions of the study file.
        rebuild: Builds the network with the trial's hyperparameters, and compiles it.

    Raises:
        ValueError: If the kept weights are those of another network.
    """
    kept = path.with_name(WEIGHTS)
    if not kept.is_file():
        return keras.models.load_model(path, custom_objects=dict(custom_objects))
    with np.load(kept, allow_pickle=False) as archive:
        weights = [archive[name] for name in archive.files if name != _BUILD_SEED]
        if _BUILD_SEED in archive.files:  # not in files of older versions
            keras.utils.set_random_seed(int(archive[_BUILD_SEED]))
    keras.utils.clear_session()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's remarks about building
        model = rebuild()
    model.set_weights(weights)
    return model
