"""Space functions: plain names, ranges that can be changed or fixed, Keras's own objects."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial

from autotune import spaces
from autotune.data.rows import Dataset
from autotune.errors import StudyFileError
from autotune.models import build_cnn
from autotune.spaces.ranges import suggest_float, suggest_int
from autotune.spaces.schedules import LearningRate

EPOCHS = 4
FUNCTIONS: list[Callable[[optuna.Trial], Any]] = [
    spaces.optimizer,
    spaces.loss,
    spaces.penalty,
    spaces.dropout,
    spaces.weight_decay,
    spaces.batch_normalization,
    spaces.structure,
    spaces.batch_size,
    spaces.augmentation,
    lambda trial: spaces.schedule(trial, EPOCHS),
    lambda trial: spaces.early_stopping(trial, "val_accuracy"),
]
OPTIMIZERS = [spaces.sgd, spaces.adam, spaces.adamw, spaces.rmsprop, spaces.nadam, spaces.lion]


def _trials(n: int) -> list[optuna.Trial]:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    return [study.ask() for _ in range(n)]


@pytest.mark.parametrize("ask", OPTIMIZERS)
def test_an_optimizer_is_usable_alone_and_its_parameters_have_its_name(ask: Any) -> None:
    (trial,) = _trials(1)
    made = ask(trial)
    assert type(made).__name__.lower() == ask.__name__
    assert trial.params
    assert all(name.startswith(f"{ask.__name__}_") for name in trial.params)
    assert float(made.learning_rate) == pytest.approx(trial.params[f"{ask.__name__}_learning_rate"])
    rate = trial.distributions[f"{ask.__name__}_learning_rate"]
    assert isinstance(rate, FloatDistribution)
    assert rate.log


def test_what_is_close_to_one_is_searched_as_its_distance_from_it() -> None:
    trial = FixedTrial({"adam_learning_rate": 0.01, "adam_one_minus_beta_1": 0.25, "adam_amsgrad": True})
    made = spaces.adam(trial, one_minus_beta_2=0.001, epsilon=1e-8)
    assert (made.beta_1, made.beta_2, made.epsilon, made.amsgrad) == (0.75, 0.999, 1e-8, True)


def test_only_the_chosen_optimizer_has_parameters() -> None:
    chosen = set()
    for trial in _trials(40):
        made = spaces.optimizer(trial)
        name = trial.params.pop("optimizer")
        assert all(key.startswith(f"{name}_") for key in trial.params if key != "optimizer")
        chosen.add(type(made))
    assert len(chosen) == len(OPTIMIZERS)


def test_a_study_file_gives_choices_of_its_own() -> None:
    def adam(trial: optuna.Trial) -> keras.optimizers.Optimizer:
        return spaces.adam(trial, learning_rate=0.002, one_minus_beta_1=0.1, one_minus_beta_2=0.001, epsilon=1e-7)

    trial = FixedTrial({"optimizer": "adam", "adam_amsgrad": False})
    assert float(spaces.optimizer(trial, [adam, spaces.sgd]).learning_rate) == pytest.approx(0.002)
    assert set(trial.params) == {"optimizer", "adam_amsgrad"}


def test_the_only_choice_is_no_hyperparameter() -> None:
    (trial,) = _trials(1)
    spaces.loss(trial, [spaces.cross_entropy])
    assert trial.params == {}


@pytest.mark.parametrize("choices", [[], [spaces.l1, spaces.l1]])
def test_choices_that_cannot_be_told_apart_are_refused(choices: list[Any]) -> None:
    with pytest.raises(StudyFileError, match="a different name for each"):
        spaces.penalty(FixedTrial({}), choices)


@pytest.mark.parametrize("given", [(1.0,), (2.0, 1.0), ("a", "b"), "0.1", (0.0, math.inf), (0.0, 1.0)])
def test_what_is_no_range_is_refused(given: Any) -> None:
    with pytest.raises(StudyFileError, match=r"^StudyFileError: sgd_momentum=.* is no range"):
        suggest_float(FixedTrial({}), "sgd_momentum", given, usual=0.1, log=True)


def test_a_number_of_units_is_no_fraction() -> None:
    with pytest.raises(StudyFileError, match="is no range"):
        suggest_int(FixedTrial({}), "blocks", 1.5, usual=1)  # type: ignore[arg-type]  # reason: that is the mistake


@pytest.mark.parametrize("ask", FUNCTIONS)
def test_a_trial_that_is_built_again_asks_for_the_same(ask: Any) -> None:
    for trial in _trials(12):
        ask(trial)
        again = FixedTrial(trial.params)
        ask(again)
        assert again.params == trial.params


def test_what_spans_orders_of_magnitude_is_searched_on_a_logarithmic_scale() -> None:
    spans: dict[str, Any] = {}
    for trial in _trials(60):
        for ask in FUNCTIONS:
            ask(trial)
        spans |= trial.distributions
    wide = {
        name: one.log
        for name, one in spans.items()
        if isinstance(one, (FloatDistribution, IntDistribution)) and one.low > 0 and one.high / one.low > 20
    }
    assert wide
    assert all(wide.values()), wide


@pytest.mark.parametrize(
    ("schedule", "params", "ends"),
    [
        (spaces.cosine, {"cosine_warmup": 0.25}, (0.0, 0.0)),
        (spaces.exponential, {"exponential_floor": 0.01}, (1.0, 0.01)),
    ],
)
def test_a_schedule_moves_the_optimizers_own_learning_rate(schedule: Any, params: Any, ends: Any) -> None:
    rates: list[float] = []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse")
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: rates.append(float(model.optimizer.learning_rate))
    )
    callbacks = schedule(FixedTrial(params), EPOCHS)
    x = np.ones((40, 2), dtype=np.float32)
    history = model.fit(x, x[:, 0], batch_size=1, epochs=EPOCHS, verbose=0, callbacks=[*callbacks, watch]).history
    assert len(rates) == 40 * EPOCHS
    assert rates[0] == pytest.approx(0.5 * ends[0], abs=1e-6)
    assert rates[-1] == pytest.approx(0.5 * ends[1], rel=0.1, abs=1e-3)
    assert max(rates) == pytest.approx(0.5, rel=1e-3)
    assert history["learning_rate"] == pytest.approx([rates[40 * epoch - 1] for epoch in range(1, EPOCHS + 1)])


def test_batches_of_one_call_have_the_learning_rate_of_their_middle() -> None:
    rates: list[float] = []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse", steps_per_execution=5)
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: rates.append(float(model.optimizer.learning_rate))
    )
    x = np.ones((22, 2), dtype=np.float32)
    half = LearningRate(lambda t: t, epochs=2)
    model.fit(x, x[:, 0], batch_size=1, epochs=2, verbose=0, callbacks=[half, watch])
    middles = [2, 7, 12, 17, 20.5]
    assert rates == pytest.approx([number / 44 for number in [*middles, *(22 + middle for middle in middles)]])


def test_all_losses_take_one_hot_targets_and_probabilities() -> None:
    y, p = np.eye(3, dtype=np.float32)[[0, 1]], np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)
    cross_entropy = float(spaces.cross_entropy(FixedTrial({}))(y, p))
    assert cross_entropy == pytest.approx(-(math.log(0.7) + math.log(0.8)) / 2)
    assert float(spaces.smoothed_cross_entropy(FixedTrial({"label_smoothing": 0.1}))(y, p)) > cross_entropy
    assert float(spaces.focal(FixedTrial({}), gamma=0)(y, p)) == pytest.approx(cross_entropy)
    assert float(spaces.focal(FixedTrial({"focal_gamma": 2.0}))(y, p)) < cross_entropy
    assert float(spaces.mean_squared_error(FixedTrial({}))(y, p)) == pytest.approx((0.14 + 0.06) / 6)


def test_the_whole_space_builds_the_cnn() -> None:
    data = Dataset(np.zeros((4, 8, 8, 1), dtype=np.float32), np.array([0, 1, 0, 1]))
    for trial in _trials(5):
        model = build_cnn(
            data,
            **spaces.structure(trial, blocks=(1, 2)),
            padding="same",
            dropout=spaces.dropout(trial),
            batch_normalization=spaces.batch_normalization(trial),
            penalty=spaces.penalty(trial),
            augmentation=spaces.augmentation(trial),
            optimizer=spaces.optimizer(trial),
            loss=spaces.loss(trial),
        )
        assert model.output_shape == (None, 2)
        kinds = {type(layer) for layer in model.layers}
        assert (keras.layers.BatchNormalization in kinds) == trial.params["batch_normalization"]
        assert keras.layers.RandomTranslation in kinds
        assert (keras.layers.AveragePooling2D in kinds) == (trial.params["pooling"] == "average")
