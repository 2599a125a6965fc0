"""Decide from its loss, metrics and data whether an output of a model predicts classes or a number.

The data alone cannot tell, because integer targets may be labels or numbers to predict. Of a model with several
outputs, each has its own loss and metrics.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import keras

Purpose = Literal["classes", "a number", "something else"]

# Parts of the names of Keras's losses and of users' own losses, without underscores, in lower case.
_OF_CLASSES = ("crossentropy", "focal", "hinge", "divergence", "dice", "tversky", "jaccard")
_OF_NUMBERS = (
    "squared",
    "absolute",
    "percentage",
    "mse",
    "mae",
    "mape",
    "msle",
    "huber",
    "logcosh",
    "poisson",
    "quantile",
)
_METRICS_OF_CLASSES = ("accuracy", "auc", "precision", "recall", "f1", "fbeta", "iou")
_METRICS_OF_NUMBERS = ("error", "mae", "mse", "mape", "msle", "r2")


def purpose_of(model: keras.Model, n_outputs: int, n_classes: int | None, one_hot: bool, output: str = "") -> Purpose:
    """Decide what an output of a model predicts.

    The loss decides. If the loss is the study's own, the compiled metrics decide. If these are unknown too, it depends
    on whether the model has an output for each class.

    Args:
        model: The model, compiled or not.
        n_outputs: Number of outputs for each row.
        n_classes: Number of classes; None for float targets.
        one_hot: Whether it was trained on one-hot labels, so that it predicts classes with any loss.
        output: The name of the output; "" for the only one.
    """
    if n_classes is None:
        return "a number" if n_outputs == 1 else "something else"
    kind = "classes" if one_hot else _kind(model, n_outputs, n_classes, output)
    if kind == "classes":
        return "classes" if n_outputs >= n_classes > 1 or (n_outputs == 1 and n_classes <= 2) else "something else"
    return "a number" if kind == "a number" and n_outputs == 1 else "something else"


def ignored_label(model: keras.Model, n_outputs: int, output: str = "") -> int | None:
    """Return the label of places that the loss of an output leaves out, its `ignore_class`; None if it has none.

    A loss of the study's own may leave out places, too. Then it is the `ignore_class` of a metric, unless that is one
    of the classes: a metric of the foreground alone leaves out the background, which the loss counts.

    Args:
        model: The model, compiled or not.
        n_outputs: Number of outputs for each place.
        output: The name of the output; "" for the only one.
    """
    of_loss = getattr(_only(_of_output(getattr(model, "loss", None), model, output)), "ignore_class", None)
    if of_loss is not None:
        return int(of_loss)
    labels = [int(label) for label in re.findall(r"'ignore_class': (-?\d+)", _metrics(model, output))]
    return next((label for label in labels if not 0 <= label < max(2, n_outputs)), None)


def _kind(model: keras.Model, n_outputs: int, n_classes: int, output: str) -> Purpose:
    loss = _of_output(getattr(model, "loss", None), model, output)
    of_loss = _named(_names(loss), _OF_CLASSES, _OF_NUMBERS)
    ends = _last_activation(model, output)
    has_probabilities = (ends == "softmax" and n_outputs == n_classes) or (ends == "sigmoid" and n_classes == 2)
    if of_loss == "a number" and has_probabilities:
        return "classes"  # the squared error of probabilities
    if of_loss != "something else":
        return of_loss
    of_metrics = _named(_metrics(model, output), _METRICS_OF_CLASSES, _METRICS_OF_NUMBERS)
    if of_metrics != "something else":
        return of_metrics
    return "classes" if has_probabilities or n_outputs == n_classes > 1 else "something else"


def _named(names: str, of_classes: tuple[str, ...], of_numbers: tuple[str, ...]) -> Purpose:
    plain = names.replace("_", "").replace(" ", "").lower()
    is_of_classes, is_of_numbers = (any(word in plain for word in words) for words in (of_classes, of_numbers))
    if is_of_classes == is_of_numbers:
        return "something else"
    return "classes" if is_of_classes else "a number"


def _of_output(given: Any, model: keras.Model, output: str) -> Any:
    """Return the loss or the metrics that `compile` was given for an output; a single loss is that of each output."""
    if not output:
        return given
    if isinstance(given, Mapping):
        return given.get(output)
    names = list(getattr(model, "output_names", None) or [])
    if isinstance(given, (list, tuple)):
        return given[names.index(output)] if output in names and len(given) == len(names) else None
    return given


def _names(loss: Any) -> str:
    """Return the name of a loss, which may be a name, a function, an object, or a list or dict with one loss."""
    loss = _only(loss)
    if loss is None or isinstance(loss, str):
        return loss or ""
    if function := getattr(loss, "__name__", None):
        return str(function)
    own = [kind.__name__ for kind in type(loss).__mro__ if kind.__module__ != "builtins"]
    return next((name for name in own if _named(name, _OF_CLASSES, _OF_NUMBERS) != "something else"), "")


def _only(loss: Any) -> Any:
    """Return the loss in a list or dict with one loss; None if there are several."""
    if isinstance(loss, dict):
        loss = list(loss.values())
    if isinstance(loss, (list, tuple)):
        return _only(loss[0]) if len(loss) == 1 else None
    return loss


def _metrics(model: keras.Model, output: str) -> str:
    with contextlib.suppress(Exception):  # a model of another class may not have its compile settings
        return str(_of_output(model.get_compile_config().get("metrics"), model, output))
    return ""


def _last_activation(model: keras.Model, output: str) -> str:
    layers = getattr(model, "layers", None)
    if output:
        layers = [layer for layer in layers or [] if layer.name == output]
    if not layers:
        return ""
    activation = getattr(layers[-1], "activation", None)
    return str(getattr(activation, "__name__", type(layers[-1]).__name__)).lower()
