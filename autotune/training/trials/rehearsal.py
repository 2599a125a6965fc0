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
from autotune.study import StudySpec
from autotune.training.fitting import Batches, built_model
from autotune.training.inspection import measure_latency_ms
from autotune.training.state import has_own_code, refuse_unkept
from autotune.training.trials.mistakes import (
    changed_batches,
    check_labels,
    check_monitor,
    check_own_loss,
    check_stages,
    check_target_names,
    declared_stages,
)
from autotune.training.trials.own_steps import check_score, check_steps
from autotune.training.trials.reloading import note_on_reloading

_ROWS = 8


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
        check_monitor(spec, model, check_score(spec.score, model, few), plain, bool(callbacks))
    check_target_names(model, rows, plain)
    check_labels(spec, model, rows, plain)
    if has_own_code(model):
        check_steps(model, batches, has_targets=rows.target_shape is not None)
    note = note_on_reloading(model, plain, folder, custom_objects)
    if "latency" in spec.minimize:
        measure_latency_ms(model, few)
    check_stages(stages, trial.number, model)
    return note
