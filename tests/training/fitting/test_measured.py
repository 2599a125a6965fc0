"""The model that is handed over is the one that was measured, whatever callbacks put in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.study import StudySpec
from autotune.training.records.refit import Refit

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]


def averaged(study_of: StudyOf, callback: Callable[[], Any], **changes: Any) -> StudySpec:
    """Return a study whose optimizer keeps a mean of the weights, which is far behind them."""
    import keras

    def build(trial: optuna.Trial, data: Dataset) -> Any:
        layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
        model = keras.Sequential([keras.Input(data.input_shape), *layers])
        optimizer = keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=0.95)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return study_of(
        build=build, fit=lambda trial: {"callbacks": [callback()]}, monitor="val_loss", direction="minimize", **changes
    )


def measured(bench: Bench, spec: StudySpec) -> float:
    rows = bench.validation(spec)
    return float(bench.model().evaluate(rows.x, rows.y, batch_size=512, verbose=0, return_dict=True)["loss"])


def test_weights_that_are_swapped_in_for_validation_are_those_of_the_model(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    import keras

    spec = averaged(study_of, keras.callbacks.SwapEMAWeights)
    whole, torn = new_bench(), new_bench()
    score = whole.train(spec)
    assert measured(whole, spec) == pytest.approx(score.value, rel=1e-5)
    assert whole.told == []
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=2)
    assert torn.train(spec).folds[0].history == score.folds[0].history
    for weight, same in zip(torn.model().get_weights(), whole.model().get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_what_callbacks_do_to_weights_after_they_were_measured_is_not_handed_over(
    bench: Bench, study_of: StudyOf
) -> None:
    import keras

    class Spoil(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.set_weights([0.1 * weight for weight in self.model.get_weights()])

        def on_train_end(self, logs: Any = None) -> None:
            self.on_epoch_end(0)

    spec = averaged(study_of, Spoil)
    score = bench.train(spec)
    assert measured(bench, spec) == pytest.approx(score.value, rel=1e-5)


@pytest.mark.parametrize("swaps", [True, False])
def test_a_refit_has_the_weights_that_a_validation_would_have_measured(
    swaps: bool, bench: Bench, study_of: StudyOf
) -> None:
    import keras

    kept: list[Any] = []

    class Keep(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            kept[:] = [
                self.model.get_weights(),
                [v.numpy() for v in self.model.optimizer._model_variables_moving_average],
            ]

    class Swap(keras.callbacks.SwapEMAWeights):  # type: ignore[misc]  # reason: Keras ships no types
        pass

    def fit(trial: optuna.Trial) -> dict[str, Any]:
        return {"callbacks": [Swap(), Keep()] if swaps else [Keep()]}

    spec = averaged(study_of, Keep)
    bench.train(StudySpec(**{**vars(spec), "fit": fit}), refit=Refit(2))
    raw, mean = kept
    assert np.abs(raw[0] - mean[0]).max() > 0.01
    for weight, expected in zip(bench.model().get_weights(), mean if swaps else raw, strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)  # swapping adds and subtracts


def test_a_model_that_differs_from_its_record_says_so(bench: Bench, study_of: StudyOf) -> None:
    import keras
    import tensorflow as tf

    scale = tf.Variable(1.0)  # no weight of the model

    class Scale(keras.layers.Layer):  # type: ignore[misc]  # reason: Keras ships no types
        def call(self, x: Any) -> Any:
            return x * scale

    class Switch(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_test_begin(self, logs: Any = None) -> None:
            scale.assign(0.0)

        def on_test_end(self, logs: Any = None) -> None:
            scale.assign(1.0)

    def build(trial: optuna.Trial, data: Dataset) -> Any:
        layers = [keras.layers.Flatten(), Scale(), keras.layers.Dense(10, activation="softmax")]
        model = keras.Sequential([keras.Input(data.input_shape), *layers])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    spec = study_of(build=build, fit=lambda trial: {"callbacks": [Switch()]}, epochs=1, monitor="val_loss")
    bench.train(spec)
    said = bench.last.trial.user_attrs["measured_again"]
    assert said.startswith("val_loss of the model of epoch 1 is ")
    assert [text.startswith(said) for text in bench.told] == [True]


def test_what_is_compared_is_what_counts_or_the_loss() -> None:
    from autotune.training.fitting.measured import compare

    history = {"val_loss": [0.5, 0.4], "val_f1": [0.1, 0.9], "val_accuracy": [0.8, 0.9]}
    assert compare(history, 2, {"loss": 0.4, "accuracy": 0.9}, "val_accuracy") == ""
    assert "not 0.9" in compare(history, 2, {"loss": 0.4, "accuracy": 0.8}, "val_accuracy")
    assert compare(history, 2, {"loss": 0.4, "accuracy": 0.8}, "val_f1") == ""
    assert "val_loss" in compare(history, 2, {"loss": 0.5}, "val_f1")
    assert compare(history, 1, {"loss": 0.5}, "accuracy") == ""
