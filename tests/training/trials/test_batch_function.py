"""A study's `batch` changes the batches of training only, by chance that an interruption does not change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]
COUNTED: list[int] = []


def mixed_up(trial: optuna.Trial, batch: Any, rng: np.random.Generator) -> Any:
    x, y = batch
    share = rng.beta(*[trial.suggest_float("alpha", 0.4, 0.4)] * 2)
    order = rng.permutation(len(x))
    return (share * x + (1 - share) * x[order]).astype(x.dtype), (share * y + (1 - share) * y[order]).astype(y.dtype)


def one_hot_network(trial: optuna.Trial, data: Dataset) -> Any:
    import keras

    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("in_groups", [True, False])
def test_an_interrupted_trial_sees_the_same_batches(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException], in_groups: bool
) -> None:
    seen: list[tuple[float, float]] = []

    def batch(trial: optuna.Trial, rows: Any, rng: np.random.Generator) -> Any:
        found = mixed_up(trial, rows, rng)
        seen.append((float(found[0].sum()), float(found[1].max())))
        return found

    def fit(trial: optuna.Trial) -> dict[str, Any]:
        import keras

        each = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
        return {"batch_size": 32, "callbacks": [] if in_groups else [each]}

    spec = study_of(build=one_hot_network, one_hot=True, batch=batch, fit=fit)
    whole, torn, plain = new_bench(), new_bench(), new_bench()
    history = whole.train(spec).folds[0].history
    batches = {*seen}
    assert len(batches) >= 3 * 5  # each batch of each epoch is another
    seen.clear()
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=2)
    assert torn.train(spec).folds[0].history == history
    assert {*seen} == batches
    assert plain.train(study_of(build=one_hot_network, one_hot=True, fit=fit)).folds[0].history != history


def test_groups_of_changed_batches_train_as_single_ones(new_bench: Callable[[], Bench], study_of: StudyOf) -> None:
    histories = []
    for each in (False, True):

        def fit(trial: optuna.Trial, each: bool = each) -> dict[str, Any]:
            import keras

            callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
            return {"batch_size": 7, "callbacks": [callback] if each else []}

        spec = study_of(build=one_hot_network, one_hot=True, batch=mixed_up, fit=fit)
        histories.append(new_bench().train(spec).folds[0].history)
    assert histories[0] == histories[1]


def test_more_rows_than_were_given_are_trained_on(new_bench: Callable[[], Bench], study_of: StudyOf) -> None:
    def doubled(trial: optuna.Trial, batch: Any, rng: np.random.Generator) -> Any:
        return tuple(np.concatenate([part, part]) for part in batch)

    def kept(trial: optuna.Trial, batch: Any, rng: np.random.Generator) -> Any:
        return list(batch)

    histories = [
        new_bench().train(study_of(build=one_hot_network, one_hot=True, batch=batch)).folds[0].history
        for batch in (kept, doubled, None)
    ]
    np.testing.assert_allclose(histories[0]["val_loss"], histories[1]["val_loss"], rtol=1e-4)
    assert histories[0] == histories[2]


@pytest.mark.parametrize(
    ("batch", "happened"),
    [
        (lambda trial, batch, rng: batch[0], "batch returned ndarray"),
        (lambda trial, batch, rng: {"x": batch[0]}, "batch returned dict"),
        (lambda trial, batch, rng: ({"x": batch[0]}, batch[1]), r"batch returned x of shape \{'x'"),
        (lambda trial, batch, rng: (batch[0][:-1], batch[1]), "batch returned x of shape"),
        (lambda trial, batch, rng: (batch[0][:, 1:], batch[1]), "which the network does not take"),
        (lambda trial, batch, rng: (batch[0] + np.random.normal(), batch[1]), "the same rows and the same"),
        (lambda trial, batch, rng: [*batch, COUNTED.append(1)][:2], "batch changes COUNTED"),
        (lambda trial, batch, rng: batch[2], "batch stopped with IndexError"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_before_the_first_trial(
    batch: Any, happened: str, study_of: StudyOf, digits: Dataset, tmp_path: Path
) -> None:
    from autotune.training.trials.rehearsal import rehearse

    trial: Any = optuna.trial.FixedTrial({"rate": 0.01})
    with pytest.raises(TrainingError, match=happened):
        rehearse(study_of(batch=batch), trial, digits, tmp_path, {})


def test_batches_of_other_shapes_or_dtypes_than_the_first_are_refused(
    new_bench: Callable[[], Bench], study_of: StudyOf
) -> None:
    calls: list[int] = []

    def batch(trial: optuna.Trial, rows: Any, rng: np.random.Generator) -> Any:
        calls.append(0)
        return (rows[0].astype("float64"), rows[1]) if len(calls) > 8 else rows

    with pytest.raises(TrainingError, match="float64"):
        new_bench().train(study_of(batch=batch))


def test_hyperparameters_of_the_batches_are_asked_for_once(new_bench: Callable[[], Bench], study_of: StudyOf) -> None:
    bench = new_bench()
    bench.train(study_of(build=one_hot_network, one_hot=True, batch=mixed_up))
    assert set(bench.last.trial.params) == {"alpha"}
