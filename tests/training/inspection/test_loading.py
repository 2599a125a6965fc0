"""A model that Keras cannot make again is built anew, and is the one that was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.errors import TrainingError, UsageError
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]


def two_optimizers(trial: optuna.Trial, data: Dataset) -> Any:
    """Build a model as in Keras's examples: layers are given to it, `compile` is its own, and there is no test step."""
    import keras
    import tensorflow as tf

    class Pair(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self, first: Any, second: Any) -> None:
            super().__init__()
            self.first, self.second = first, second
            self.far = keras.metrics.Mean(name="far")
            self.shift = float(keras.random.uniform(()))  # drawn in `build`, and no weight

        def compile(self, first_optimizer: Any, second_optimizer: Any) -> None:
            super().compile()
            self.first_optimizer, self.second_optimizer = first_optimizer, second_optimizer

        def call(self, x: Any) -> Any:
            return self.second(self.first(x)) + self.shift

        def train_step(self, batch: Any) -> Any:
            x, y = batch
            for part, optimizer in ((self.first, self.first_optimizer), (self.second, self.second_optimizer)):
                with tf.GradientTape() as tape:
                    loss = keras.ops.mean(keras.ops.square(self(x)[:, 0] - keras.ops.cast(y, "float32")))
                optimizer.apply(tape.gradient(loss, part.trainable_weights), part.trainable_weights)
            self.far.update_state(loss)
            return {"far": self.far.result()}

    layers = keras.layers
    first = keras.Sequential([keras.Input(data.input_shape), layers.Flatten(), layers.Dense(8, activation="relu")])
    model = Pair(first, keras.Sequential([keras.Input((8,)), layers.Dense(1)]))
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.01))
    return model


def error(model: Any, rows: Dataset) -> dict[str, float]:
    return {"error": float(np.abs(np.asarray(model(rows.x))[:, 0] - rows.y).mean())}


def study(study_of: StudyOf, **changes: Any) -> StudySpec:
    return study_of(build=two_optimizers, score=error, monitor="error", direction="minimize", **changes)


def test_a_model_that_keras_cannot_load_is_built_anew_with_its_weights(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    from autotune.training.inspection import load_trained, measure

    bench, torn = new_bench(), new_bench()
    score = bench.train(study(study_of))
    assert bench.folder.kept_model == bench.folder.weights
    trial = optuna.trial.FixedTrial({})
    model = load_trained(bench.folder.kept_model, {}, lambda: two_optimizers(trial, bench.data))
    found = measure(model, bench.validation(study(study_of)), "error", score=error)
    assert (found.metric, found.value) == ("error", pytest.approx(score.value, rel=1e-5))
    assert set(score.folds[0].history) == {"far", "error"}  # Keras cannot validate it
    with pytest.raises(UsageError, match="cannot be measured"):
        measure(model, bench.validation(study(study_of)), "error")
    with pytest.raises(interrupted):
        torn.train(study(study_of), interrupt_after=2)
    assert torn.train(study(study_of)).folds == score.folds
    bench.folder.remove_model()
    assert not bench.folder.kept_model.exists()


def test_a_model_without_a_call_is_measured_by_its_test_step(digits: Dataset) -> None:
    import keras

    from autotune.training.inspection import measure

    class Contrast(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self) -> None:
            super().__init__()
            self.right = keras.metrics.SparseCategoricalAccuracy(name="right")

        def test_step(self, data: Any) -> Any:
            self.right.update_state(data[1], keras.ops.one_hot(data[1], 10))
            return {"right": self.right.result()}

    model = Contrast()
    model.compile()
    found = measure(model, digits, "right")
    assert (found.metric, found.value, found.rows) == ("right", 1.0, None)


def test_such_a_model_is_not_refused_before_the_first_trial_but_its_layers_are(
    study_of: StudyOf, digits: Dataset, tmp_path: Path
) -> None:
    import keras

    from autotune.training.trials.rehearsal import rehearse

    class Scaled(keras.layers.Layer):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def call(self, x: Any) -> Any:
            return self.inner(x)

    def of_layers(trial: optuna.Trial, data: Dataset) -> Any:
        model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten()])
        model.add(Scaled(keras.layers.Dense(10)))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    trial: Any = optuna.trial.FixedTrial({})
    note = rehearse(study(study_of), trial, digits, tmp_path, {})
    assert "give Pair a `get_config`" in note
    with pytest.raises(TrainingError, match="cannot be saved and loaded"):
        rehearse(study_of(build=of_layers), trial, digits, tmp_path, {})


def test_a_model_of_keras_own_classes_has_one_file(new_bench: Callable[[], Bench], study_of: StudyOf) -> None:
    from autotune.training.inspection import load_trained

    bench = new_bench()
    bench.train(study_of())
    assert bench.folder.kept_model == bench.folder.model
    assert not bench.folder.weights.exists()
    assert load_trained(bench.folder.model, {}, lambda: pytest.fail("it was built anew")).compiled
