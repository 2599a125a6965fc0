"""Mistakes of a study file that show before the first epoch: in targets, `batch`, `monitor`, labels and stages."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import optuna

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.failures import summary_of
from autotune.seeds import derive_seed
from autotune.study import StudySpec
from autotune.training.fitting import (
    Batches,
    BatchFunction,
    Stage,
    overrides,
    prepare_stage,
    stages_of,
)
from autotune.training.state import StudyGlobals, is_own
from autotune.training.trials.reloading import predicted

_SPARSE = "sparse_categorical_crossentropy"


def check_own_loss(model: keras.Model, rows: Dataset) -> None:
    """Refuse rows without targets for a network that is compiled with a loss, which compares with targets."""
    if not model.loss or overrides(model, "compute_loss", "train_step"):
        return
    raise TrainingError(
        f"the rows of {rows.name!r} have no targets, and the network is compiled with the loss {model.loss!r}.",
        "Such a loss compares what the network predicts with targets.",
        "Give targets: Dataset(x, y), and Dataset(x, x) for an autoencoder. Or leave the loss out of `compile`, and "
        "let the model compute it itself, in `compute_loss` or with `add_loss` in a layer.",
    )


def changed_batches(spec: StudySpec, trial: optuna.Trial, model: keras.Model, few: Dataset, plain: Batches) -> Batches:
    """Return the rows as the study file's `batch` changes them; refuse it if it fails, or if the network then does."""
    assert spec.batch is not None
    function = BatchFunction(spec.batch, trial, partial(derive_seed, spec.seed, "rehearsal"))
    batches = Batches(few, len(few), one_hot=spec.one_hot, change=function)
    values = StudyGlobals((spec.batch,))
    try:
        first, again = batches[0], batches[0]
    except TrainingError:
        raise
    except Exception as error:
        raise TrainingError(
            f"batch stopped with {summary_of(error)} on a batch of {len(few)} rows.",
            "It gets the trial, a batch as (x, y) in NumPy arrays, and a random generator, and returns the batch.",
            "Call it yourself with a batch to see the whole traceback, and correct it.",
        ) from error
    changed = [key.partition("\n")[2] for key in values.changed()]
    if changed or any(not _is_equal(*pair) for pair in zip(*map(keras.tree.flatten, (first, again)), strict=True)):
        raise TrainingError(
            f"batch changes {', '.join(changed)}, which is at the top level of the study file."
            if changed
            else "batch returned another batch when it was called again with the same rows and the same generator.",
            "An interrupted trial must see the same batches, and a batch is read before the one before is trained on.",
            "Let it depend on its arguments alone, and draw all random numbers from the third one: rng.normal(...).",
        )
    if predicted(model, plain[0][0]) is not None and predicted(model, first[0]) is None:
        shapes = [keras.tree.map_structure(lambda leaf: tuple(leaf.shape), one) for one in (first[0], plain[0][0])]
        raise TrainingError(
            f"batch returned x of shape {shapes[0]}, which the network does not take.",
            f"The network takes x of shape {shapes[1]}, as validation has it.",
            "Return x in a shape that the network takes.",
        )
    return batches


def _is_equal(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and bool(np.all((one == other) | ((one != one) & (other != other))))  # NaN is NaN


def check_monitor(
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


def check_target_names(model: keras.Model, rows: Dataset, batches: Batches) -> None:
    """Refuse a dict of targets of which none has the name of an output; Keras says so in words of TensorFlow."""
    targets = rows.target_shape  # not `rows.y`, which copies all rows
    if not isinstance(targets, Mapping) or is_own(model.__class__):
        return
    try:
        outputs = model(batches[0][0], training=False)
    except Exception:  # `fit` will raise a clearer error
        return
    names = list(outputs) if isinstance(outputs, Mapping) else list(getattr(model, "output_names", []))
    if names and not set(names) & set(targets):
        raise TrainingError(
            f"the targets are called {', '.join(targets)}, and the outputs of the network {', '.join(names)}.",
            "A dict of targets has the names of the outputs.",
            "Name the last layers like the targets, Dense(..., name=...), or give a single y that is no dict.",
        )


def check_labels(spec: StudySpec, model: keras.Model, rows: Dataset, batches: Batches) -> None:
    """Refuse labels that have no output: on a CPU each trial would fail, and on a GPU its loss would be NaN."""
    loss = model.loss
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    if spec.one_hot or rows.n_classes is None or name != _SPARSE or getattr(loss, "ignore_class", None) is not None:
        return
    found = None if is_own(model.__class__) else predicted(model, batches[0][0])
    labels = rows.labels
    if found is None or len(found) != 1 or labels is None:
        return
    high, n_outputs = int(labels.max()), found[0].shape[-1]
    if high >= n_outputs:
        raise TrainingError(
            f"the labels run up to {high}, and the network has {n_outputs} outputs.",
            f"{_SPARSE} needs an output for each label from 0 on.",
            "Give the last layer data.n_classes units. Labels with gaps or another start become labels from 0 with "
            "np.unique(y, return_inverse=True)[1].",
        )


def declared_stages(spec: StudySpec, trial: optuna.Trial) -> list[Stage]:
    """Return the stages that `fit` returns; none if it stops with an error, which the trial then tells."""
    try:
        return stages_of(spec, trial)
    except TrainingError:
        raise
    except Exception:
        return []


def check_stages(stages: Sequence[Stage], number: int, model: keras.Model) -> None:
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
