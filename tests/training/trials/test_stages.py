"""Several stages of training make one trial: one curve, one checkpoint, and no number that an interruption changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.data.splits import KFold
from autotune.errors import TrainingError
from autotune.study import StudySpec
from autotune.training.records import Refit, stage_ends

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]


def network(trial: optuna.Trial, data: Dataset) -> Any:
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input(data.input_shape), layers.Flatten(), layers.Dense(16, name="base")])
    model.add(layers.BatchNormalization())
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(10, activation="softmax"))
    model.get_layer("base").trainable = False
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def unfreeze(model: Any) -> None:
    import keras

    model.get_layer("base").trainable = True
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])


def two_stages(trial: optuna.Trial) -> list[dict[str, Any]]:
    import keras

    stopping = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0, restore_best_weights=True)
    return [
        {"epochs": 4, "batch_size": 32, "callbacks": [stopping]},  # it stops after two epochs, with those of the first
        {"epochs": 3, "batch_size": 16, "before": unfreeze},
    ]


def study(study_of: StudyOf, fit: Any = two_stages, **changes: Any) -> StudySpec:
    return study_of(build=network, fit=fit, **{"monitor": "val_loss", "direction": "minimize", **changes})


def test_stages_make_one_curve(new_bench: Callable[[], Bench], study_of: StudyOf) -> None:
    bench = new_bench()
    score = bench.train(study(study_of, epoch_policy="last"))
    assert len(score.folds[0].history["loss"]) == 5
    assert [*bench.last.reports] == [1, 2, 3, 4, 5]
    assert score.folds[0].stage_ends == [2]
    assert stage_ends(bench.study.trials[0]) == [[2]]
    frozen, trained = network(optuna.trial.FixedTrial({}), bench.data), bench.model()
    assert frozen.get_layer("base").kernel.shape == trained.get_layer("base").kernel.shape


@pytest.fixture(scope="module", params=["best", "last"])
def undisturbed(
    new_bench: Callable[[], Bench], study_of: StudyOf, request: pytest.FixtureRequest
) -> tuple[StudySpec, Bench, Any]:
    spec, bench = study(study_of, epoch_policy=request.param), new_bench()
    return spec, bench, bench.train(spec)


@pytest.mark.parametrize("epochs", [(1, 3, 5), (2, 4)])
def test_a_trial_that_is_interrupted_in_any_stage_ends_with_the_same_numbers(
    new_bench: Callable[[], Bench],
    undisturbed: tuple[StudySpec, Bench, Any],
    interrupted: type[BaseException],
    epochs: tuple[int, ...],
) -> None:
    spec, whole, score = undisturbed
    torn = new_bench()
    for epoch in epochs:
        with pytest.raises(interrupted):
            torn.train(spec, interrupt_after=epoch)
    again = torn.train(spec)
    assert again.folds == score.folds
    for one, other in zip(whole.model().get_weights(), torn.model().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_trial_that_is_interrupted_between_two_stages_ends_with_the_same_numbers(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    is_torn = [True]

    def before(model: Any) -> None:
        if is_torn.pop():
            raise interrupted
        unfreeze(model)

    def fit(trial: optuna.Trial) -> list[dict[str, Any]]:
        first, second = two_stages(trial)
        return [first, {**second, "before": before}]

    whole, torn = new_bench(), new_bench()
    score = whole.train(study(study_of))
    with pytest.raises(interrupted):
        torn.train(study(study_of, fit))
    assert torn.checkpoint(study(study_of, fit)).stage_ends == [2]
    is_torn.append(False)
    assert torn.train(study(study_of, fit)).folds == score.folds


def test_stages_are_trained_in_every_fold(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    spec = study(study_of, folds=KFold(2))
    whole, torn = new_bench(), new_bench()
    score = whole.train(spec)
    assert [fold.stage_ends for fold in score.folds] == [[2], [2]]
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=6)  # the report of the second fold
    assert torn.train(spec).folds == score.folds


def test_a_refit_trains_the_stages_as_long_as_before(new_bench: Callable[[], Bench], study_of: StudyOf) -> None:
    bench = new_bench()
    score = bench.train(study(study_of, direction="maximize"), refit=Refit(4, stage_ends=(2,)))
    assert len(score.folds[0].history["loss"]) == 4
    assert score.folds[0].best_epoch == 4  # the last one counts, not the one with the largest loss
    assert score.folds[0].stage_ends == [2]
    short = new_bench().train(study(study_of), refit=Refit(1, stage_ends=(2,)))
    assert (len(short.folds[0].history["loss"]), short.folds[0].stage_ends) == (1, [])


@pytest.mark.parametrize(
    ("refit", "lengths"),
    [
        (Refit(7), [7]),
        (Refit(7, stage_ends=(3,)), [3, 4]),
        (Refit(3, stage_ends=(3,)), [3]),
        (Refit(9, stage_ends=(2, 5)), [2, 3, 4]),
        (Refit(4, stage_ends=(2, 5)), [2, 2]),
        (Refit(4, stage_ends=(0, 2)), [0, 2, 2]),
    ],
)
def test_the_lengths_of_the_stages_of_a_refit(refit: Refit, lengths: list[int]) -> None:
    assert refit.lengths(len(refit.stage_ends) + 1) == lengths


def _more_weights(model: Any) -> None:
    import keras

    model.add(keras.layers.Dense(3))
    model.compile("sgd", "sparse_categorical_crossentropy")


def _not_compiled(model: Any) -> None:
    model.get_layer("base").trainable = True


@pytest.mark.parametrize(
    ("stages", "happened"),
    [
        ([{"epochs": 1}, {"epochs": 1, "before": _more_weights}], "changed the number or the shapes of the weights"),
        ([{"epochs": 1}, {"epochs": 1, "before": _not_compiled}], "has not compiled the model again"),
        ([{"epochs": 1}, {"before": unfreeze}], "a stage without epochs"),
        ([{"epochs": 1}, {"epochs": 1, "before": 3}], "before=3"),
        ([{"epochs": 1}, 3], "fit returned 3"),
        ([], r"fit returned \[\]"),
    ],
)
def test_stages_that_cannot_be_trained_are_refused(
    new_bench: Callable[[], Bench], study_of: StudyOf, stages: Any, happened: str
) -> None:
    with pytest.raises(TrainingError, match=happened):
        new_bench().train(study(study_of, lambda trial: stages))


def macro_f1(model: Any, rows: Dataset) -> dict[str, Any]:
    from sklearn.metrics import f1_score

    found = model.predict(rows.x, verbose=0).argmax(axis=1)
    return {"macro_f1": f1_score(rows.y, found, average="macro"), "n": np.int64(len(rows))}


def test_a_score_of_ones_own_is_monitored_and_interruptions_do_not_change_it(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    spec = study(study_of, score=macro_f1, monitor="macro_f1", direction="maximize")
    whole, torn = new_bench(), new_bench()
    score = whole.train(spec)
    assert whole.told == []  # finalize computes it on the test rows, unlike what a callback makes
    held = whole.validation(spec)
    assert score.value == pytest.approx(macro_f1(whole.model(), held)["macro_f1"], abs=1e-9)
    assert score.folds[0].history["n"] == [len(held)] * 5
    assert not [line for line in whole.told if "callback" in line]  # `finalize` computes the score on the test rows
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=3)
    assert torn.train(spec).folds == score.folds


def test_a_score_that_draws_from_keras_goes_on_where_its_numbers_were(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException], digits: Dataset, tmp_path: Path
) -> None:
    import keras

    from autotune.training.trials.rehearsal import rehearse

    spec = study(study_of, score=lambda model, rows: {"chance": keras.random.uniform(())}, monitor="chance")
    whole, torn = new_bench(), new_bench()
    score = whole.train(spec)
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=3)
    assert torn.train(spec).folds == score.folds
    assert "starts over" not in " ".join(torn.told)
    trial: Any = optuna.trial.FixedTrial({})
    rehearse(spec, trial, digits, tmp_path, {})


def test_a_score_can_stop_training_early_and_is_measured_on_test_rows(
    new_bench: Callable[[], Bench], study_of: StudyOf
) -> None:
    import keras

    from autotune.training.inspection import measure

    def fit(trial: optuna.Trial) -> dict[str, Any]:
        return {"callbacks": [keras.callbacks.EarlyStopping("macro_f1", mode="max", patience=1, min_delta=1.0)]}

    spec = study(study_of, fit, score=macro_f1, monitor="macro_f1", direction="maximize")
    bench = new_bench()
    score = bench.train(spec)
    assert len(score.folds[0].history["loss"]) == 2
    found = measure(bench.model(), bench.validation(spec), "macro_f1", score=macro_f1)
    assert (found.metric, found.value) == ("macro_f1", pytest.approx(score.value, abs=1e-9))


@pytest.mark.parametrize(
    ("score", "monitor", "happened"),
    [
        (lambda model, rows: 0.5, "val_loss", "score returned 0.5"),
        (lambda model, rows: {"f1": "high"}, "val_loss", "score returned 'high' for 'f1'"),
        (lambda model, rows: {"f1": np.ones(3)}, "val_loss", "for 'f1'"),
        (lambda model, rows: {"f1": 1.0}, "macro_f1", "none that `score` returns or Keras reports"),
        (lambda model, rows: {"f1": np.random.default_rng().normal()}, "f1", "when it was called again"),
        (lambda model, rows: rows.nothing, "val_loss", "score stopped with AttributeError"),
    ],
)
def test_a_score_that_cannot_be_used_is_refused_before_the_first_trial(
    score: Any, monitor: str, happened: str, study_of: StudyOf, digits: Dataset, tmp_path: Path
) -> None:
    from autotune.training.trials.rehearsal import rehearse

    trial: Any = optuna.trial.FixedTrial({})
    with pytest.raises(TrainingError, match=happened):
        rehearse(study(study_of, lambda trial: {}, score=score, monitor=monitor), trial, digits, tmp_path, {})
