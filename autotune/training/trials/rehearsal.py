"""Checks before the first trial: can its network be checkpointed, saved and loaded?

One network is built with the values that `trial` suggests. If it contains code of the study file's own, it trains a few
steps on a few rows. Then it is saved and loaded, and the predictions of both models are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.study import StudySpec
from autotune.training.fitting import (
    Batches,
    built_model,
    check_scores,
    in_tensors,
    train_step,
)
from autotune.training.inspection import measure_latency_ms
from autotune.training.state import (
    cannot_be_kept,
    has_own_code,
    marks_of,
    refuse_unkept,
    variables_elsewhere,
)
from autotune.training.trials.mistakes import (
    changed_batches,
    check_labels,
    check_monitor,
    check_own_loss,
    check_stages,
    check_target_names,
    declared_stages,
)
from autotune.training.trials.reloading import note_on_reloading

_ROWS = 8
_MOST_NAMED = 5


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
    if rows.target_shape is None:
        check_own_loss(model, rows)
    stages = declared_stages(spec, trial)
    callbacks = [callback for stage in stages for callback in stage.callbacks]
    refuse_unkept(model, callbacks)
    few = rows.subset(np.arange(min(_ROWS, len(rows))))
    plain = Batches(few, len(few), one_hot=spec.one_hot)
    batches = changed_batches(spec, trial, model, few, plain) if spec.batch else plain
    if spec.score:
        check_monitor(spec, model, check_scores(spec.score, model, few), plain, bool(callbacks))
    check_target_names(model, rows, plain)
    check_labels(spec, model, rows, plain)
    if has_own_code(model):
        _check_steps(model, batches)
    note = note_on_reloading(model, plain, folder, custom_objects)
    if "latency" in spec.minimize:
        measure_latency_ms(model, few)
    check_stages(stages, trial.number, model)
    return note


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
