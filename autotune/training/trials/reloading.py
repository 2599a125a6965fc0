"""Check that a network can be saved and loaded again: it then predicts the same."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from autotune.disk import disk_full
from autotune.errors import TrainingError
from autotune.keras_inside import all_layers
from autotune.training.fitting import (
    Batches,
)
from autotune.training.inspection import is_of_own_class
from autotune.training.state import (
    is_own,
    walk,
)


def note_on_reloading(model: keras.Model, batches: Batches, folder: Path, custom_objects: Mapping[str, Any]) -> str:
    """Return a note about a network of an own class that Keras cannot load; "" for one that it can load.

    Raises:
        TrainingError: Another network cannot be saved, loaded, or predicts something else then.
        OSError: If the disk is full.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras's remarks about models of own classes
            _check_reloads(model, batches, folder, custom_objects)
    except TrainingError as error:
        if layers := _with_empty_word(model):
            raise TrainingError(
                f"the layer {layers[0].name!r} has the empty word in its vocabulary, which Keras loses when it saves "
                "the network.",
                "Missing words of a data frame are empty words, and the layer has to know that they stand for nothing.",
                f'Write keras.layers.{type(layers[0]).__name__}(..., mask_token="").',
            ) from error
        if not is_of_own_class(model):
            raise
        return (
            f"{error.happened} `autotune finalize` and `explain` build it anew with `build` and its kept weights. "
            f"`autotune export` needs a file that Keras alone can load: give {type(model).__name__} a `get_config`."
        )
    return ""


def predicted(model: keras.Model, x: Any) -> list[npt.NDArray[Any]] | None:
    """Return the outputs of a network for some inputs, one array each; None if it cannot be called with them."""
    try:
        return [np.asarray(one) for one in keras.tree.flatten(model(x, training=False))]
    except Exception:
        return None


def _check_reloads(model: keras.Model, batches: Batches, folder: Path, custom_objects: Mapping[str, Any]) -> None:
    """Save a model, load it as `finalize` does, and compare the predictions of both.

    Raises:
        TrainingError: If it cannot be saved or loaded, or if the loaded model predicts something else.
        OSError: If the disk is full.
    """
    x, *_ = batches[0]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".rehearsal-") as place:
        path = Path(place) / "model.keras"
        try:
            model.save(path)
            loaded = keras.models.load_model(path, custom_objects=dict(custom_objects))
        except Exception as error:
            if disk_full(error, folder):
                raise
            if "objects could not be loaded" in str(error):
                raise _unbuilt(model, "loses weights when it is saved and loaded again") from error
            raise _not_loaded(model, error) from error
    if (lost := len(model.weights) - len(loaded.weights)) > 0:
        raise _unbuilt(model, f"loses {lost} of {len(model.weights)} weights when it is saved and loaded again")
    expected = predicted(model, x)
    if expected is None or not _is_same(expected, predicted(model, x)):  # it cannot predict, or predicts at random
        return
    if not _is_same(expected, predicted(loaded, x)):
        raise _refusal("predicts something else after it is saved and loaded", model, _suspects(model))


def _is_same(one: list[npt.NDArray[Any]], other: list[npt.NDArray[Any]] | None) -> bool:
    if other is None or [array.shape for array in one] != [array.shape for array in other]:
        return False
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True) for a, b in zip(one, other, strict=True))


def _unbuilt(model: keras.Model, what: str) -> TrainingError:
    return TrainingError(
        f"the network that `build` returns {what}.",
        "Keras loads a model by its `build`. Weights that are made later, in `call`, are not there to be loaded.",
        f"Give {type(model).__name__}, or the layer in question, a method build(self, input_shape) that builds all of\n"
        "its layers: self.dense.build(shape).",
    )


def _not_loaded(model: keras.Model, error: Exception) -> TrainingError:
    found = [(layer, said) for layer in _suspects(model) if (said := _problem(layer))]
    what = f"cannot be saved and loaded again: {found[0][1] if found else _in_short(error)}"
    return _refusal(what, model, [layer for layer, _ in found])


def _in_short(error: Exception) -> str:
    first_sentence = " ".join(str(error).split()).split(". ")[0]
    return f"{type(error).__name__}: {first_sentence.rstrip('.')[:200]}"


def _refusal(what: str, model: keras.Model, layers: list[keras.Layer]) -> TrainingError:
    named = ", ".join(f"the layer {layer.name!r} ({type(layer).__name__})" for layer in layers if layer is not model)
    return TrainingError(
        f"the network that `build` returns {what}{f': see {named}' if named else ''}.",
        "The winner is saved as .keras, and `finalize` loads it to measure it.",
        "Give each class of the study file a `get_config` with all arguments of its `__init__`, and mark it with\n"
        "@keras.saving.register_keras_serializable(). Define classes and functions (also losses and metrics) at the\n"
        "top level of the study file, not in `build`; give a Lambda layer such a function instead of a lambda.",
    )


def _with_empty_word(model: keras.Model) -> list[keras.Layer]:
    lookups = [one for one in all_layers(model) if isinstance(one, keras.layers.StringLookup)]
    return [one for one in lookups if one.mask_token is None and "" in one.get_vocabulary()]


def _suspects(model: keras.Model) -> list[keras.Layer]:
    layers = [value for _, value in walk(model, "") if isinstance(value, keras.Layer)]
    return [one for one in layers if is_own(one.__class__) or isinstance(one, keras.layers.Lambda)]


def _problem(layer: keras.Layer) -> str:
    """Return why a layer cannot be made from its config; "" if it can."""
    try:
        type(layer).from_config(layer.get_config())
    except Exception as error:
        return _in_short(error)
    return ""
