"""What a callback may change while batches are trained on in groups, with the numbers of plain Keras."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]
Change = Callable[[Any], None]
N = 20  # rows, a batch each


def network() -> Any:
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


def batches() -> Any:
    from autotune.training.fitting.batches import Batches

    x = np.random.default_rng(0).normal(size=(N, 2)).astype("float32")
    return Batches(Dataset(x, x[:, 0] * x[:, 1]), 1)


def freeze(model: Any) -> None:
    model.layers[0].trainable = False
    model.make_train_function(force=True)


def freeze_by_hand(model: Any) -> None:
    model.layers[0].trainable = False
    model.train_function = None
    model.make_train_function()


def compile_anew(model: Any) -> None:
    import keras

    model.layers[0].trainable = False
    model.compile(keras.optimizers.SGD(0.01), "mae", metrics=["mse"])
    model.make_train_function(force=True)
    model.make_test_function(force=True)


def another_optimizer(model: Any) -> None:
    import keras

    model.optimizer = keras.optimizers.SGD(0.02)


def freeze_first(model: Any) -> None:
    model.layers[0].trainable = False


def forget_function(model: Any) -> None:
    model.train_function = None


def add_a_layer(model: Any) -> None:
    model.add(type(model.layers[0])(3))


def make_test_function(model: Any) -> None:
    model.make_test_function(force=True)


def stop(model: Any) -> None:
    model.stop_training = True


def changing(changes: Mapping[str, Change]) -> Any:
    """Return a callback that does something as training begins, or in its second epoch, or begins its third."""
    import keras

    def at(epoch: int, hook: str) -> Callable[[int, Any], None]:
        return lambda now, logs: changes[hook](callback.model) if now == epoch and hook in changes else None

    callback = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: changes.get("train_begin", lambda model: None)(callback.model),
        on_epoch_end=at(1, "epoch_end"),
        on_epoch_begin=at(2, "epoch_begin"),
    )
    return callback


def fitted(size: int, changes: Mapping[str, Change]) -> tuple[Any, dict[str, list[float]]]:
    from autotune.training.fitting.grouping import in_groups

    model, rows = network(), batches()
    with in_groups(model, rows, rows, size) as (training, validation):
        passed = {"shuffle": False, "verbose": 0, "callbacks": [changing(changes)], "epochs": 4}
        history = model.fit(training, validation_data=validation, **passed).history
    return model, history


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch_end": freeze},
        {"train_begin": freeze_by_hand, "epoch_end": compile_anew, "epoch_begin": stop},
        {"train_begin": another_optimizer, "epoch_begin": make_test_function},
    ],
    ids=["freeze", "compile", "optimizer"],
)
def test_what_a_callback_changes_has_the_numbers_of_plain_keras(changes: Mapping[str, Change]) -> None:
    (grouped, history), (plain, expected) = fitted(16, changes), fitted(1, changes)
    assert history == expected
    for weight, same in zip(grouped.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    assert not {"compile", "make_train_function", "make_test_function"} & vars(grouped).keys()


@pytest.mark.parametrize(
    ("change", "continues"),
    [(freeze_first, False), (another_optimizer, False), (forget_function, False), (add_a_layer, True)],
)
def test_a_checkpoint_fits_a_model_of_which_no_part_was_replaced(change: Change, continues: bool) -> None:
    from autotune.training.fitting import MadeOf

    model = network()
    model.make_train_function()
    before = MadeOf.now(model)
    change(model)
    assert MadeOf.now(model).continues(before) is continues


def unfreezing(study_of: StudyOf, kind: Callable[[], Any]) -> StudySpec:
    """Return a study that trains its last layer alone for two of four epochs, then all of them by another optimizer."""
    import keras

    def build(trial: optuna.Trial, data: Dataset) -> Any:
        layers = [keras.layers.Flatten(), keras.layers.Dense(8, activation="relu", trainable=False)]
        model = keras.Sequential([keras.Input(data.input_shape), *layers, keras.layers.Dense(10, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return study_of(build=build, fit=lambda trial: {"callbacks": [kind()]}, epochs=5)


def test_a_trial_that_was_unfrozen_and_interrupted_ends_as_if_it_had_not_been(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    import keras

    class Unfreeze(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.trainable = True
                self.model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
                self.model.make_train_function(force=True)
                self.model.make_test_function(force=True)

    spec = unfreezing(study_of, Unfreeze)
    whole, torn = new_bench(), new_bench()
    score = whole.train(spec)
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=4)
    assert torn.checkpoint(spec).epochs == 1  # the last one that holds all there is
    again = torn.train(spec)
    assert again.folds[0].history == score.folds[0].history
    assert len(again.folds[0].history["loss"]) == 5
    assert json.loads((torn.folder.shown / "history.json").read_text()) == [score.folds[0].history]
    assert "by epoch 2 a callback has changed the optimizer" in " ".join(torn.told)
