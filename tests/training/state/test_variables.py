"""A trial whose network is trained in a way of its own ends, interrupted or not, with the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
NewBench = Callable[[], Bench]
StudyOf = Callable[..., StudySpec]


class Again(dict[int, float]):
    """Reports that may be made twice by one process."""

    def __contains__(self, step: object) -> bool:
        return False


def _numbers(bench: Bench, score: Any, spec: StudySpec) -> list[Any]:
    checkpoint = bench.checkpoint(spec)
    arrays = [*checkpoint.variables, *checkpoint.callback_variables, *checkpoint.best_weights]
    return [[vars(fold) for fold in score.folds], *(array.tolist() for array in arrays)]


def assert_goes_on(new_bench: NewBench, spec: StudySpec, interrupted: type[BaseException]) -> Bench:
    """Train with an interruption after the second of three epochs, and without, and compare; return the latter."""
    whole, bench = new_bench(), new_bench()
    expected = _numbers(whole, whole.train(spec), spec)
    bench.study.enqueue_trial(whole.study.trials[0].params)
    with pytest.raises(interrupted):
        bench.train(spec, interrupt_after=2)
    score = bench.train(spec)
    assert list(bench.last.reports) == [1, 2, 3]  # those that it had are reported again
    assert _numbers(bench, score, spec) == expected
    return whole


def gan(trial: optuna.Trial, data: Dataset) -> Any:
    """Build a network as in Keras's own examples: two optimizers, which make their variables when first used."""
    import keras

    class Gan(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self) -> None:
            super().__init__()
            layers = keras.layers
            self.generator = keras.Sequential(
                [keras.Input((4,)), layers.Dense(64, activation="tanh"), layers.Reshape(data.input_shape)]
            )
            self.discriminator = keras.Sequential(
                [keras.Input(data.input_shape), layers.Flatten(), layers.Dropout(0.3), layers.Dense(1)]
            )
            self.noise = keras.random.SeedGenerator(3)

        def compile(self, d_optimizer: Any, g_optimizer: Any) -> None:
            super().compile()
            self.optimizers = {"g": g_optimizer, "d": [d_optimizer]}
            self.d_loss, self.g_loss = keras.metrics.Mean(name="d_loss"), keras.metrics.Mean(name="g_loss")

        @property
        def metrics(self) -> list[Any]:
            return [self.d_loss, self.g_loss]

        def both_losses(self, x: Any) -> tuple[Any, Any]:
            import tensorflow as tf

            noise = keras.random.normal((tf.shape(x)[0], 4), seed=self.noise)
            fake = self.discriminator(self.generator(noise, training=True), training=True)
            real = self.discriminator(x, training=True)
            kind = keras.losses.BinaryCrossentropy(from_logits=True)
            return kind(keras.ops.ones_like(real), real) + kind(keras.ops.zeros_like(fake), fake), kind(
                keras.ops.ones_like(fake), fake
            )

        def train_step(self, data: Any) -> Any:
            import tensorflow as tf

            with tf.GradientTape(persistent=True) as tape:
                d_loss, g_loss = self.both_losses(keras.ops.cast(data[0], "float32"))
            for loss, network, optimizer in (
                (d_loss, self.discriminator, self.optimizers["d"][0]),
                (g_loss, self.generator, self.optimizers["g"]),
            ):
                weights = network.trainable_weights
                optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            self.d_loss.update_state(d_loss)
            self.g_loss.update_state(g_loss)
            return {metric.name: metric.result() for metric in self.metrics}

        def test_step(self, data: Any) -> Any:
            d_loss, g_loss = self.both_losses(keras.ops.cast(data[0], "float32"))
            self.d_loss.update_state(d_loss)
            self.g_loss.update_state(g_loss)
            return {metric.name: metric.result() for metric in self.metrics}

    model = Gan()
    rate = trial.suggest_float("rate", 0.01, 0.02)
    model.compile(keras.optimizers.Adam(rate), keras.optimizers.RMSprop(rate, momentum=0.9))
    return model


def test_a_model_with_two_optimizers_goes_on_as_if_it_had_not_been_interrupted(
    new_bench: NewBench, study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    assert_goes_on(new_bench, study_of(build=gan, monitor="val_d_loss", direction="minimize"), interrupted)


def hidden(trial: optuna.Trial, data: Dataset) -> Any:
    """Build a network whose variables are where Keras does not look for them."""
    import keras
    import tensorflow as tf

    strength = keras.Variable(0.0, trainable=False)  # of the loss alone, changed by a callback

    class Helper:
        def __init__(self) -> None:
            self.noise = [tf.random.Generator.from_seed(3)]
            self.seen = {"rows": tf.Variable(0.0)}

    class Longest(keras.metrics.Metric):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self) -> None:
            super().__init__(name="longest")
            self.longest = self.add_weight(shape=(), initializer="zeros", name="longest")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.longest.assign(keras.ops.maximum(self.longest * 0.9, keras.ops.max(y_pred)))

        def result(self) -> Any:
            return self.longest + 0.0

        def reset_state(self) -> None:
            pass  # it is over all epochs

    class Noisy(keras.layers.Layer):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self) -> None:
            super().__init__()
            self.helper = Helper()

        def call(self, x: Any, training: bool = False) -> Any:
            if not training:
                return x
            self.helper.seen["rows"].assign_add(tf.cast(tf.shape(x)[0], "float32"))
            return x + self.helper.noise[0].normal(tf.shape(x)) * (1 + self.helper.seen["rows"] / 1000)

    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred) + strength * keras.ops.sum(y_pred**2)

    layers = keras.layers
    network = [keras.Input(data.input_shape), layers.Flatten(), Noisy(), layers.Dense(10, activation="softmax")]
    model = keras.Sequential(network)
    inner = keras.optimizers.Adam(trial.suggest_float("rate", 0.01, 0.02), use_ema=True)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), loss, metrics=["accuracy", Longest()])
    model.strength = strength
    return model


def annealing(trial: optuna.Trial) -> dict[str, Any]:
    import keras

    class Anneal(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_train_begin(self, logs: object = None) -> None:
            self.average = [keras.Variable(weight) for weight in self.model.trainable_weights]

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            self.model.strength.assign(self.model.strength * 0.5 + 0.1)
            for average, weight in zip(self.average, self.model.trainable_weights, strict=True):
                average.assign(0.5 * average + 0.5 * weight)
                weight.assign(average)

    return {"callbacks": [Anneal()]}


def counting(trial: optuna.Trial, data: Dataset) -> Any:
    """Build a network whose compiled metric counts over all epochs: its `reset_state` leaves the count alone."""
    import keras

    class Seen(keras.metrics.Metric):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self) -> None:
            super().__init__(name="seen")
            self.total = self.add_weight(name="total", initializer="zeros")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.total.assign_add(keras.ops.cast(keras.ops.shape(y_true)[0], "float32"))

        def result(self) -> Any:
            return 1.0 * self.total

        def reset_state(self) -> None:
            pass

    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy", Seen()])
    return model


def test_a_compiled_metric_that_is_not_reset_goes_on_too(
    new_bench: NewBench, study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    whole = assert_goes_on(new_bench, study_of(build=counting, monitor="val_loss", direction="minimize"), interrupted)
    history = whole.checkpoint(study_of(build=counting, monitor="val_loss", direction="minimize")).history
    assert history["seen"][2] > 2 * history["seen"][0]


def test_variables_that_keras_does_not_list_are_kept(
    new_bench: NewBench, study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    spec = study_of(build=hidden, fit=annealing, epoch_policy="last")
    whole = assert_goes_on(new_bench, spec, interrupted)
    checkpoint = whole.checkpoint(spec)
    assert len(checkpoint.callback_variables) == 2  # the averages
    assert 480.0 in [array.tolist() for array in checkpoint.variables]  # rows seen in three epochs of 160


def test_a_checkpoint_of_a_network_with_other_variables_is_not_used_and_that_is_said(
    bench: Bench, study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    import keras

    def study(units: int) -> StudySpec:
        def build(trial: optuna.Trial, data: Dataset) -> Any:
            model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten()])
            model.add(keras.layers.Dense(units, activation="relu"))
            model.add(keras.layers.Dense(10, activation="softmax"))
            model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model

        return study_of(build=build)

    with pytest.raises(interrupted):
        bench.train(study(4), interrupt_after=2)
    score = bench.train(study(5), reports=Again())  # the study file was edited
    assert len(score.folds[0].history["loss"]) == 3
    assert sorted(bench.last.reports) == [1, 2, 3]
    assert bench.told == ["its checkpoint is of a model with other variables; it starts over"]
