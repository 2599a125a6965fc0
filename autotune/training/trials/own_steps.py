"""Checks of a training step and a `score` of the study file's own: can an interrupted trial go on exactly?"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.failures import summary_of
from autotune.training.fitting import Batches, assign, check_scores, in_tensors, train_step, value_of
from autotune.training.state import (
    StudyGlobals,
    cannot_be_kept,
    marks_of,
    trace_step,
    training_variables,
    unkept_draws,
    variables_elsewhere,
)

_MOST_NAMED = 5


def check_steps(model: keras.Model, batches: Batches, has_targets: bool = True) -> None:
    """Refuse a network of which a step of training changes, or draws, what no checkpoint can hold.

    A step that fails is left to `fit`, which raises a clearer error, on whole batches.

    Args:
        model: The network, which this trains.
        batches: A batch.
        has_targets: Whether the rows have targets.

    Raises:
        TrainingError: If the study is refused.
    """
    try:
        train_step(model, batches)  # creates the attributes that a model makes at its first use
        before = marks_of(model, ())
        train_step(model, batches)
    except Exception as error:
        if not has_targets:
            _check_unpacking(model, batches, error)
        return
    if changed := marks_of(model, ()).changed_since(before):
        raise cannot_be_kept(changed, "changed from one step of training to the next")
    before_tracing = _states_of_generators()
    try:
        step = trace_step(model, in_tensors(batches[0]))
    except Exception:  # it runs eagerly, and is checked as far as this goes
        return
    if _states_of_generators() != before_tracing and not model.run_eagerly:
        raise _drawn_once(model)
    _check_draws(unkept_draws(step))
    _check_variables(_changed_by_step(model, variables_elsewhere(model, step), batches))


def check_score(score: Callable[..., Any], model: keras.Model, rows: Dataset) -> list[str]:
    """Call `score` twice on a few rows before the first trial, and return the names of the scores.

    Raises:
        TrainingError: It stops with an error, returns something else than numbers, or draws random numbers whose
            generator no checkpoint can hold.
    """
    keras.random.uniform(())  # makes Keras's own generator, which a score may be the first to use
    variables = training_variables(model)
    before = [value_of(one) for one in variables]
    values = StudyGlobals((score,))
    found = []
    for _ in range(2):
        assign(variables, before)
        random.seed(0)
        np.random.seed(0)
        found.append(check_scores(score, model, rows))
    first, again = found
    if values.changed():  # a checkpoint holds them, and they explain a difference
        return list(first)
    if changed := [name for name in first if not np.isclose(first[name], again.get(name, np.nan), equal_nan=True)]:
        raise TrainingError(
            f"score returned {first[changed[0]]} for {changed[0]!r}, and {again.get(changed[0])} when it was called "
            "again with the same model and rows.",
            "A resumed trial must find the same scores.",
            "Draw random numbers in it from keras.random or np.random, or from a generator with a fixed seed.",
        )
    return list(first)


def _check_unpacking(model: keras.Model, batches: Batches, problem: Exception) -> None:
    """Refuse a `train_step` that fails with the batch (x,), and does not with x alone."""
    try:
        model.train_step(in_tensors(batches[0])[0])
    except Exception:
        return
    raise TrainingError(
        f"train_step of {type(model).__name__} stopped with {summary_of(problem)}; with x in place of (x,) it runs.",
        "Rows without targets arrive in train_step as (x,), as Keras gets them from all sequences of batches.",
        "Begin train_step with: (x,) = data",
    ) from problem


def _states_of_generators() -> tuple[object, bytes]:
    return random.getstate(), pickle.dumps(np.random.get_state())


def _drawn_once(model: keras.Model) -> TrainingError:
    return TrainingError(
        f"a training step of {type(model).__name__} draws random numbers from Python or NumPy.",
        "TensorFlow traces the step once, and takes these numbers for constants: all steps have the same ones, and a\n"
        "resumed trial has others.",
        "Draw from keras.random in `call` and `train_step`, or compile with run_eagerly=True.",
    )


def _check_draws(draws: Sequence[str]) -> None:
    if draws:
        raise TrainingError(
            f"training draws random numbers from TensorFlow's hidden generator: {', '.join(draws[:_MOST_NAMED])}.",
            "A resumed trial gives the same numbers only if its checkpoint holds the state of all random generators.\n"
            "It holds that of keras.random, and of the model's keras.random.SeedGenerator and tf.random.Generator.",
            "Write keras.random.normal, uniform, shuffle, dropout... in place of tf.random and tf.nn.dropout.",
        )


def _check_variables(lost: Sequence[str]) -> None:
    if lost:
        raise TrainingError(
            f"training changes variables that are nowhere in the model: {', '.join(lost[:_MOST_NAMED])}.",
            "A resumed trial gives the same numbers only if its checkpoint holds all variables that change. They are\n"
            "looked for in the model, its optimizer, losses and metrics, and in the objects that these hold.",
            "Create them, or the optimizer that has them, in `build`, and make it an attribute of the model.",
        )


def _changed_by_step(model: keras.Model, variables: Sequence[Any], batches: Batches) -> list[str]:
    """Return the names of those of the variables that a step of training changes."""
    before = [np.array(variable.numpy()) for variable in variables]
    if variables:
        train_step(model, batches)
    return [v.name for v, value in zip(variables, before, strict=True) if not np.array_equal(value, v.numpy())]
