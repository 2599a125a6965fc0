"""Metrics that callbacks make, that are several numbers, or that compare columns, monitored or beside others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.study import StudySpec
from autotune.training.records.refit import Refit

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]


def scored(study_of: StudyOf, units: int, loss: str, metric: Callable[[], Any], **changes: Any) -> StudySpec:
    import keras

    def build(trial: optuna.Trial, data: Dataset) -> Any:
        last = keras.layers.Dense(units, activation="sigmoid" if units == 1 else "softmax")
        model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(), last])
        model.compile(keras.optimizers.Adam(0.01), loss, metrics=[metric()])
        return model

    return study_of(**{"build": build, "epochs": 1, **changes})


@pytest.fixture
def two_classes(bench: Bench, digits: Dataset) -> Bench:
    bench.data = Dataset(digits.x, digits.y % 2)
    return bench


def test_a_metric_that_a_callback_makes_is_monitored_and_refitted_without(
    new_bench: Callable[[], Bench], study_of: StudyOf
) -> None:
    import keras

    from autotune.training.inspection.evaluating import measure

    class Gap(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            logs["val_gap"] = logs["val_loss"] - logs["loss"]

    def fit(trial: optuna.Trial) -> dict[str, Any]:
        return {"callbacks": [Gap(), keras.callbacks.EarlyStopping("val_gap", mode="min")]}

    spec = study_of(fit=fit, monitor="val_gap", direction="minimize", epochs=2)
    searched, bench = new_bench(), new_bench()
    score = searched.train(spec)
    history = score.folds[0].history
    assert history["val_gap"] == pytest.approx(np.subtract(history["val_loss"], history["loss"]))
    (told,) = searched.told
    assert told.startswith("val_gap is made by a callback")
    assert told.endswith("are measured: accuracy, loss")
    refitted = bench.train(spec, refit=Refit(2)).folds[0]
    assert refitted.value == refitted.history["loss"][-1]
    assert refitted.history.keys() == {"accuracy", "loss"}
    assert bench.told == [
        "Gap looks for 'val_loss', which a training on all rows does not report, and stops with KeyError: this "
        "training ignores it"
    ]
    rows = bench.data
    found = measure(bench.model(), rows, "gap")
    expected = bench.model().evaluate(rows.x, rows.y, batch_size=512, verbose=0, return_dict=True)
    assert (found.metric, found.value) == ("loss", pytest.approx(expected["loss"]))
    assert found.others == {"accuracy": pytest.approx(expected["accuracy"])}


def test_a_callback_that_stops_for_another_reason_ends_the_refit(bench: Bench, study_of: StudyOf) -> None:
    import keras

    class Broken(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            assert logs.get("loss") is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.train(study_of(fit=lambda trial: {"callbacks": [Broken()]}), refit=Refit(1))


def test_f1_of_a_single_output_is_monitored_and_measured(two_classes: Bench, study_of: StudyOf) -> None:
    import keras

    from autotune.training.inspection.evaluating import measure

    f1 = partial(keras.metrics.F1Score, threshold=0.5)
    spec = scored(study_of, 1, "binary_crossentropy", f1, monitor="val_f1_score")
    score = two_classes.train(spec)
    rows = two_classes.validation(spec)
    predicted = two_classes.model().predict(rows.x, verbose=0)[:, 0] > 0.5
    hits = np.sum(predicted & (rows.y == 1))
    assert score.value == pytest.approx(2 * hits / (predicted.sum() + (rows.y == 1).sum()), rel=1e-5)
    assert measure(two_classes.model(), rows, "f1_score").value == pytest.approx(score.value)


def test_f1_of_each_class_may_stand_beside_what_is_monitored_but_not_be_it(
    two_classes: Bench, study_of: StudyOf
) -> None:
    import keras

    each = partial(keras.metrics.FBetaScore, beta=2.0)
    parts: Any = (study_of, 2, "categorical_crossentropy", each)
    beside = scored(*parts, one_hot=True, monitor="val_loss", direction="minimize")
    assert "val_fbeta_score" not in two_classes.train(beside).folds[0].history
    with pytest.raises(TrainingError, match="'val_fbeta_score' of trial 0 is 2 numbers, one for each class") as caught:
        two_classes.train(scored(*parts, one_hot=True, monitor="val_fbeta_score", seed=9))
    assert 'average="macro"' in caught.value.fix


@pytest.mark.parametrize("kind", ["F1Score", "Precision", "Recall"])
def test_metrics_of_columns_are_monitored_with_one_hot_labels(kind: str, two_classes: Bench, study_of: StudyOf) -> None:
    import keras

    average = {"average": "macro"} if kind == "F1Score" else {"class_id": 1}
    metric = partial(getattr(keras.metrics, kind), name="of_columns", **average)
    spec = scored(study_of, 2, "categorical_crossentropy", metric, one_hot=True, monitor="val_of_columns")
    assert 0 <= two_classes.train(spec).value <= 1


def test_f1_of_integer_labels_is_refused_with_what_to_set(two_classes: Bench, study_of: StudyOf) -> None:
    import keras

    f1 = partial(keras.metrics.F1Score, average="macro")
    with pytest.raises(TrainingError, match="labels that are integers") as caught:
        two_classes.train(scored(study_of, 2, "sparse_categorical_crossentropy", f1, monitor="val_f1_score"))
    assert "one_hot=True" in caught.value.fix
