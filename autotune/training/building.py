"""Build a trial's network whole, with all its variables, before it is trained."""

from __future__ import annotations

import contextlib

import keras
import optuna

from autotune.data import Dataset
from autotune.errors import TrainingError
from autotune.study import StudySpec
from autotune.training.batches import Batches


def built_model(spec: StudySpec, trial: optuna.Trial, rows: Dataset) -> keras.Model:
    """Have the study file build and compile a network, with its weights and its optimizer's variables.

    Raises:
        TrainingError: If what it returns is not a compiled model.
    """
    assert spec.build is not None
    model = spec.build(trial, rows)
    if not isinstance(model, keras.Model) or not model.compiled:
        found = "a model that is not compiled" if isinstance(model, keras.Model) else f"{model!r}"
        raise TrainingError(
            f"build returned {found} in trial {trial.number}.",
            "It is to return a compiled keras.Model.",
            "Call model.compile(optimizer=..., loss=..., metrics=[...]) and return the model.",
        )
    if not model.built:
        model(rows.take([0])[0])
    if model.optimizer is not None:
        model.optimizer.build(model.trainable_variables)
    return model


def build_metrics(model: keras.Model, batches: Batches) -> None:
    """Have the metrics of `model` make their variables, from one row.

    TensorFlow traces a step twice if variables are made in it: 0.3 s for the article's network on a CPU. Nothing that
    training sees is changed: an epoch begins with metrics that are reset.
    """
    x, y = batches[0]
    # Whatever is wrong with rows, loss or metrics, or is not meant for a single row, `fit` finds out and says better.
    with contextlib.suppress(Exception):
        model.compute_metrics(x[:1], y[:1], model(x[:1]))
    model.reset_metrics()
