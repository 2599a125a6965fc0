"""Checks before the first trial: can its network be checkpointed, saved and loaded?

One network is built with the values that `trial` suggests. If it contains code of the study file's own, it trains a few
steps on a few rows. Then it is saved and loaded, and the predictions of both models are compared.
"""

from __future__ import annotations

import difflib
import inspect
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import optuna

from autotune.data.rows import Dataset
from autotune.disk import disk_full
from autotune.errors import TrainingError
from autotune.failures import summary_of
from autotune.seeds import derive_seed
from autotune.study import StudySpec
from autotune.training.fitting import (
    Batches,
    BatchFunction,
    Stage,
    built_model,
    check_scores,
    in_tensors,
    overrides,
    prepare_stage,
    stages_of,
    train_step,
)
from autotune.training.inspection import is_of_own_class, measure_latency_ms
from autotune.training.state import (
    cannot_be_kept,
    has_own_code,
    is_own,
    marks_of,
    refuse_unkept,
    variables_elsewhere,
    walk,
)

_ROWS = 8
_MOST_NAMED = 5
_SPARSE = "sparse_categorical_crossentropy"


def rehearse(
    spec: StudySpec, trial: optuna.Trial, rows: Dataset, folder: Path, custom_objects: Mapping[str, Any]
) -> str:
    """Refuse a study whose networks or callbacks cannot be checkpointed, or whose networks cannot be saved and loaded.

    A network of a class of the study file's own need not be loaded by Keras: `build` makes it again. Other mistakes are
    left to the trials, for example a network that cannot be built with these values.

    Args:
        spec: A Keras study.
        trial: Suggests the values.
        rows: Training rows.
        folder: A folder for a temporary model file.
        custom_objects: The classes and functions that the study file defines.

    Returns:
        A note about a network that Keras cannot load; "" if there is nothing to say.

    Raises:
        TrainingError: If the study is refused.
        OSError: If the disk is full.
    """
    keras.utils.clear_session()
    try:
        model = built_model(spec, trial, rows)
    except Exception:
        return ""
    if rows.y is None:
        _check_own_loss(model, rows)
    stages = _stages(spec, trial)
    callbacks = [callback for stage in stages for callback in stage.callbacks]
    refuse_unkept(model, callbacks)
    few = rows.subset(np.arange(min(_ROWS, len(rows))))
    plain = Batches(few, len(few), one_hot=spec.one_hot)
    batches = _changed(spec, trial, model, few, plain) if spec.batch else plain
    if spec.score:
        _check_monitor(spec, model, check_scores(spec.score, model, few), plain, bool(callbacks))
    _check_target_names(model, rows, plain)
    _check_labels(spec, model, rows, plain)
    if has_own_code(model):
        _check_steps(model, batches)
    note = _note_on_reloading(model, plain, folder, custom_objects)
    if "latency" in spec.minimize:
        measure_latency_ms(model, few)
    _check_stages(stages, trial.number, model)
    return note


def _note_on_reloading(model: keras.Model, batches: Batches, folder: Path, custom_objects: Mapping[str, Any]) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras's remarks about models of own classes
            _check_reloads(model, batches, folder, custom_objects)
    except TrainingError as error:
        if not is_of_own_class(model):
            raise
        return (
            f"{error.happened} `autotune finalize` and `explain` build it anew with `build` and its kept weights. "
            f"`autotune export` needs a file that Keras alone can load: give {type(model).__name__} a `get_config`."
        )
    return ""


def _check_own_loss(model: keras.Model, rows: Dataset) -> None:
    """Refuse rows without targets for a network that is compiled with a loss, which compares with targets."""
    if not model.loss or overrides(model, "compute_loss", "train_step"):
        return
    raise TrainingError(
        f"the rows of {rows.name!r} have no targets, and the network is compiled with the loss {model.loss!r}.",
        "Such a loss compares what the network predicts with targets.",
        "Give targets: Dataset(x, y), and Dataset(x, x) for an autoencoder. Or leave the loss out of `compile`, and "
        "let the model compute it itself, in `compute_loss` or with `add_loss` in a layer.",
    )


def _changed(spec: StudySpec, trial: optuna.Trial, model: keras.Model, few: Dataset, plain: Batches) -> Batches:
    """Return the rows as the study file's `batch` changes them; refuse it if it fails, or if the network then does."""
    assert spec.batch is not None
    function = BatchFunction(spec.batch, trial, partial(derive_seed, spec.seed, "rehearsal"))
    batches = Batches(few, len(few), one_hot=spec.one_hot, change=function)
    try:
        x, *_ = batches[0]
    except TrainingError:
        raise
    except Exception as error:
        raise TrainingError(
            f"batch stopped with {summary_of(error)} on a batch of {len(few)} rows.",
            "It gets the trial, a batch as (x, y) in NumPy arrays, and a random generator, and returns the batch.",
            "Call it yourself with a batch to see the whole traceback, and correct it.",
        ) from error
    if _predicted(model, plain[0][0]) is not None and _predicted(model, x) is None:
        shapes = [keras.tree.map_structure(lambda leaf: tuple(leaf.shape), one) for one in (x, plain[0][0])]
        raise TrainingError(
            f"batch returned x of shape {shapes[0]}, which the network does not take.",
            f"The network takes x of shape {shapes[1]}, as validation has it.",
            "Return x in a shape that the network takes.",
        )
    return batches


def _check_monitor(
    spec: StudySpec, model: keras.Model, scores: list[str], batches: Batches, has_callbacks: bool
) -> None:
    """Refuse a monitor that neither `score` nor Keras reports; a callback may report it."""
    if has_callbacks or spec.monitor in scores:
        return
    try:
        metrics = list(model.evaluate(batches.for_keras(), verbose=0, return_dict=True))
    except Exception:  # `fit` will raise a clearer error
        return
    if str(spec.monitor).removeprefix("val_") not in metrics:
        names = [*scores, *(f"val_{name}" for name in metrics)]
        raise TrainingError(
            f"the metric {spec.monitor!r} is none that `score` returns or Keras reports.",
            f"There are: {', '.join(names)}.",
            "Set `monitor` in the study file to one of these, or return it from `score`.",
        )


def _check_target_names(model: keras.Model, rows: Dataset, batches: Batches) -> None:
    """Refuse a dict of targets of which none has the name of an output; Keras says so in words of TensorFlow."""
    if not isinstance(rows.y, Mapping) or is_own(model.__class__):
        return
    try:
        outputs = model(batches[0][0], training=False)
    except Exception:  # `fit` will raise a clearer error
        return
    names = list(outputs) if isinstance(outputs, Mapping) else list(getattr(model, "output_names", []))
    if names and not set(names) & set(rows.y):
        raise TrainingError(
            f"the targets are called {', '.join(rows.y)}, and the outputs of the network {', '.join(names)}.",
            "A dict of targets has the names of the outputs.",
            "Name the last layers like the targets, Dense(..., name=...), or give a single y that is no dict.",
        )


def _check_labels(spec: StudySpec, model: keras.Model, rows: Dataset, batches: Batches) -> None:
    """Refuse labels that have no output: on a CPU each trial would fail, and on a GPU its loss would be NaN."""
    loss = model.loss
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    if spec.one_hot or rows.n_classes is None or name != _SPARSE or getattr(loss, "ignore_class", None) is not None:
        return
    found = None if is_own(model.__class__) else _predicted(model, batches[0][0])
    if found is None or len(found) != 1 or not isinstance(rows.y, np.ndarray):
        return
    high, n_outputs = int(rows.y.max()), found[0].shape[-1]
    if high >= n_outputs:
        raise TrainingError(
            f"the labels run up to {high}, and the network has {n_outputs} outputs.",
            f"{_SPARSE} needs an output for each label from 0 on.",
            "Give the last layer data.n_classes units. Labels with gaps or another start become labels from 0 with "
            "np.unique(y, return_inverse=True)[1].",
        )


def _check_stages(stages: Sequence[Stage], number: int, model: keras.Model) -> None:
    """Prepare the model for its stages as a trial does; refuse unknown arguments and what no stage may change."""
    try:
        for stage in stages:
            _check_names(model, stage)
            if stage.before is not None:
                prepare_stage(model, stage.before, number)
    except TrainingError:
        raise
    except Exception:  # e.g. it loads what an earlier stage has saved
        return


def _check_names(model: keras.Model, stage: Stage) -> None:
    known = inspect.signature(model.fit).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in known.values())
    if unknown := [name for name in stage.arguments if name not in known and not takes_all]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise TrainingError(
            f"fit returned {unknown[0]!r}, which is no argument of keras.Model.fit.",
            "fit returns arguments of keras.Model.fit; each stage may also have epochs and before.",
            f"Did you mean {near[0]!r}?" if near else f"Remove {unknown[0]!r} from the dict that `fit` returns.",
        )


def _stages(spec: StudySpec, trial: optuna.Trial) -> list[Stage]:
    try:
        return stages_of(spec, trial)
    except TrainingError:
        raise
    except Exception:
        return []


def _check_steps(model: keras.Model, batches: Batches) -> None:
    """Train two steps and compare; the first step creates the attributes that a model makes at its first use."""
    try:
        train_step(model, batches)
        before = marks_of(model, ())
        train_step(model, batches)
    except Exception:  # `fit` will raise a clearer error, on whole batches
        return
    if changed := marks_of(model, ()).changed_since(before):
        raise cannot_be_kept(changed, "changed from one step of training to the next")
    if lost := _changed_elsewhere(model, batches):
        raise TrainingError(
            f"training changes variables that are nowhere in the model: {', '.join(lost[:_MOST_NAMED])}.",
            "A resumed trial gives the same numbers only if its checkpoint holds all variables that change. They are\n"
            "looked for in the model, its optimizer, losses and metrics, and in the objects that these hold.",
            "Create them, or the optimizer that has them, in `build`, and make it an attribute of the model.",
        )


def _changed_elsewhere(model: keras.Model, batches: Batches) -> list[str]:
    """Return the names of variables that a step changes and that no checkpoint would hold."""
    try:
        found = variables_elsewhere(model, in_tensors(batches[0]))
        before = [np.array(variable.numpy()) for variable in found]
        train_step(model, batches)
    except Exception:  # as above
        return []
    return [v.name for v, value in zip(found, before, strict=True) if not np.array_equal(value, v.numpy())]


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
    expected = _predicted(model, x)
    if expected is None or not _is_same(expected, _predicted(model, x)):  # it cannot predict, or predicts at random
        return
    if not _is_same(expected, _predicted(loaded, x)):
        raise _refusal("predicts something else after it is saved and loaded", model, _suspects(model))


def _predicted(model: keras.Model, x: Any) -> list[npt.NDArray[Any]] | None:
    try:
        return [np.asarray(one) for one in keras.tree.flatten(model(x, training=False))]
    except Exception:
        return None


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
