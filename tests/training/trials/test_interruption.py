"""A trial that is interrupted anywhere and goes on ends with the numbers of one that was not, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]
STOPPED = 5  # EarlyStopping's first epoch is the best, as far as it knows, and its patience is 4


class Power:
    """The power supply of a trial process: it can be told to fail at the n-th batch from now."""

    def __init__(self, failure: type[BaseException]) -> None:
        self.batches_left: int | None = None
        self.batches = 0
        self._failure = failure

    def batch(self, batch: int, logs: object = None) -> None:
        self.batches += 1
        if self.batches_left is not None:
            self.batches_left -= 1
            if self.batches_left < 0:
                raise self._failure


@pytest.fixture
def power(interrupted: type[BaseException]) -> Power:
    return Power(interrupted)


def build(trial: optuna.Trial, data: Dataset) -> Any:
    """Build a network with everything that has a state of its own."""
    import keras

    model = keras.Sequential(
        [
            keras.Input(data.input_shape),
            keras.layers.RandomTranslation(0.1, 0.1),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(trial.suggest_float("dropout", 0.3, 0.5)),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(trial.suggest_float("rate", 0.005, 0.02))
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def stateful_study(study_of: StudyOf, power: Power, **changes: Any) -> StudySpec:
    """Return a study whose callbacks lower the learning rate in epoch 3 and stop in epoch 5 of 8.

    Both count epochs that are not much better than the first: their counters must survive an interruption.
    """
    import keras

    def fit(trial: optuna.Trial) -> dict[str, Any]:
        plateau = {"monitor": "val_loss", "min_delta": 100.0}
        return {
            "batch_size": 50,
            "callbacks": [
                keras.callbacks.EarlyStopping(**plateau, patience=STOPPED - 1, restore_best_weights=True),
                keras.callbacks.ReduceLROnPlateau(**plateau, patience=2, factor=0.5),
                keras.callbacks.LambdaCallback(on_train_batch_begin=power.batch),
            ],
        }

    return study_of(**{"build": build, "fit": fit, "epochs": 8, "epoch_policy": "last", **changes})


def assert_same_arrays(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def assert_same_end(bench: Bench, score: Any, whole: Bench, whole_score: Any, spec: StudySpec) -> None:
    assert [vars(fold) for fold in score.folds] == [vars(fold) for fold in whole_score.folds]
    assert score.value == whole_score.value
    found, expected = bench.checkpoint(spec), whole.checkpoint(spec)
    assert_same_arrays(found.variables, expected.variables)  # weights, optimizer and seed generators
    assert bench.study.trials[0].intermediate_values == whole.study.trials[0].intermediate_values
    if len(score.folds) == 1:
        assert_same_arrays(bench.model().get_weights(), whole.model().get_weights())


@pytest.fixture(scope="module")
def uninterrupted(new_bench: Callable[[], Bench], study_of: StudyOf) -> tuple[Bench, Any]:
    bench = new_bench()
    bench.study.sampler = optuna.samplers.RandomSampler(seed=0)
    return bench, bench.train(stateful_study(study_of, Power(RuntimeError)))


def enqueue_same(bench: Bench, whole: Bench) -> None:
    bench.study.enqueue_trial(whole.study.trials[0].params)


@pytest.mark.parametrize("epoch", [1, 3, STOPPED])  # 2: the next test
def test_a_trial_interrupted_after_an_epoch_ends_as_if_it_had_not_been(
    epoch: int,
    bench: Bench,
    uninterrupted: tuple[Bench, Any],
    study_of: StudyOf,
    power: Power,
    interrupted: type[BaseException],
) -> None:
    spec = stateful_study(study_of, power)
    enqueue_same(bench, uninterrupted[0])
    with pytest.raises(interrupted):
        bench.train(spec, interrupt_after=epoch)
    assert bench.checkpoint(spec).epochs == epoch
    batches = power.batches
    score = bench.train(spec)
    assert power.batches - batches == (STOPPED - epoch) * batches / epoch  # no epoch is trained twice
    assert len(score.folds[0].history["loss"]) == STOPPED
    rates = score.folds[0].history["learning_rate"]
    assert rates[-1] == pytest.approx(rates[0] / 2)
    assert_same_end(bench, score, *uninterrupted, spec)


def test_a_trial_interrupted_within_an_epoch_trains_that_epoch_again(
    bench: Bench, uninterrupted: tuple[Bench, Any], study_of: StudyOf, power: Power, interrupted: type[BaseException]
) -> None:
    spec = stateful_study(study_of, power)
    enqueue_same(bench, uninterrupted[0])
    for batches in (10, 1):  # four a epoch: within epoch 3, and again right at its second batch
        power.batches_left = batches
        with pytest.raises(interrupted):
            bench.train(spec)
        assert bench.checkpoint(spec).epochs == 2
    power.batches_left = None
    assert_same_end(bench, bench.train(spec), *uninterrupted, spec)


def test_the_best_epoch_and_its_weights_survive_an_interruption(
    bench: Bench, new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    import keras

    def fit(trial: optuna.Trial) -> dict[str, Any]:
        # The last epochs climb the loss, so that the best one is before the interruption.
        return {"callbacks": [keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 if epoch < 2 else -0.1)]}

    spec, whole = study_of(fit=fit, epochs=5), new_bench()
    expected = whole.train(spec)
    enqueue_same(bench, whole)
    with pytest.raises(interrupted):
        bench.train(spec, interrupt_after=3)
    score = bench.train(spec)
    assert score.folds[0].best_epoch == 2
    assert_same_end(bench, score, whole, expected, spec)


def test_folds_that_are_finished_are_not_trained_again(
    bench: Bench,
    whole_folds: tuple[Bench, Any],
    study_of: StudyOf,
    power: Power,
    interrupted: type[BaseException],
) -> None:
    spec = stateful_study(study_of, power, k=3, epochs=2)
    enqueue_same(bench, whole_folds[0])
    for batches in (6, 4):  # three an epoch, two epochs a fold: before fold 2's first epoch ends, and within its second
        power.batches_left, power.batches = batches, 0
        with pytest.raises(interrupted):
            bench.train(spec)
        assert power.batches == batches + 1
    power.batches_left, power.batches = None, 0
    score = bench.train(spec)
    assert power.batches == 18 - 6 - 3
    assert_same_end(bench, score, *whole_folds, spec)


@pytest.fixture(scope="module")
def whole_folds(new_bench: Callable[[], Bench], study_of: StudyOf) -> tuple[Bench, Any]:
    bench = new_bench()
    return bench, bench.train(stateful_study(study_of, Power(RuntimeError), k=3, epochs=2))


def test_a_trial_interrupted_after_its_last_report_only_saves_its_model(
    bench: Bench, study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    spec = study_of(epochs=2)
    with pytest.raises(interrupted):
        bench.train(spec, interrupt_after=2)
    assert not bench.folder.model.exists()
    before = bench.folder.checkpoint.stat().st_mtime_ns
    score = bench.train(spec)
    assert bench.folder.checkpoint.stat().st_mtime_ns == before
    assert len(score.folds[0].history["loss"]) == 2
    assert bench.folder.model.exists()


@pytest.fixture(scope="module")
def whole_simple(new_bench: Callable[[], Bench], study_of: StudyOf) -> tuple[Bench, Any]:
    bench = new_bench()
    return bench, bench.train(study_of())


def test_a_torn_checkpoint_costs_time_and_nothing_else(
    bench: Bench, whole_simple: tuple[Bench, Any], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    spec = study_of()
    enqueue_same(bench, whole_simple[0])
    with pytest.raises(interrupted):
        bench.train(spec, interrupt_after=2)
    bench.folder.checkpoint.write_bytes(bench.folder.checkpoint.read_bytes()[:-100])
    assert_same_end(bench, bench.train(spec), *whole_simple, spec)


def test_a_study_made_longer_goes_on_from_where_it_was(
    bench: Bench, whole_simple: tuple[Bench, Any], study_of: StudyOf
) -> None:
    enqueue_same(bench, whole_simple[0])
    bench.train(study_of(epochs=2))
    score = bench.train(study_of(epochs=3))
    assert list(bench.last.reports) == [1, 2, 3]  # what the checkpoint holds is reported again
    assert_same_end(bench, score, *whole_simple, study_of())


def test_a_checkpoint_of_another_study_seed_is_not_used(bench: Bench, study_of: StudyOf) -> None:
    bench.train(study_of(epochs=1))
    bench.train(study_of(epochs=1, seed=5))
    assert bench.checkpoint(study_of(seed=5)) is not None
    assert bench.checkpoint(study_of()) is None


@pytest.mark.parametrize("k", [None, 3])
def test_what_was_reported_and_not_written_down_is_reported_again(
    k: int | None,
    new_bench: Callable[[], Bench],
    study_of: StudyOf,
    power: Power,
    interrupted: type[BaseException],
) -> None:
    batches_of_fold = 2 * 4  # two epochs of 160 or 134 rows
    spec = stateful_study(study_of, power, epochs=2, **({"k": k} if k else {}))
    bench, whole = new_bench(), new_bench()
    whole.study.enqueue_trial({"dropout": 0.3, "rate": 0.01})
    whole.train(spec)
    enqueue_same(bench, whole)
    power.batches_left = 2 * batches_of_fold - 2 if k else batches_of_fold - 1
    with pytest.raises(interrupted):
        bench.train(spec, is_lost=True)
    power.batches_left = None
    assert not bench.study.trials[0].intermediate_values
    bench.train(spec)
    found, expected = bench.study.trials[0], whole.study.trials[0]
    assert found.intermediate_values == expected.intermediate_values
    assert found.user_attrs.get("fold_values") == expected.user_attrs.get("fold_values")
