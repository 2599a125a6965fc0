"""What is said of more rows, in the metric's own direction, and what is kept of it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import optuna
import pytest

from autotune.data.splits import Holdout, design_of
from autotune.results.data_efficiency.record import (
    Found,
    LearningCurve,
    Measured,
    learn_from,
    read_learning_curve,
    record_learning_curve,
)
from autotune.running.planning.queued import QueuedTrial, begun_with

ROWS = [100, 300, 1000]
DESIGN = design_of(Holdout(0.1), ())


def _measured(values: np.ndarray) -> list[Measured]:
    return [Measured(n / 1000, n, values[:, [k]]) for k, n in enumerate(ROWS)]


def _errors() -> np.ndarray:
    return 0.1 * (np.array(ROWS) / 1000) ** -0.5 * (1 + 0.02 * np.random.default_rng(0).normal(size=(4, 3)))


def _curve(found: Found) -> LearningCurve:
    described = {"study": "toy", "candidate": "3", "is_final": True, "params": {"units": 8}, "repeats": 4}
    return LearningCurve(**described, monitor="val_accuracy", direction="maximize", n_failed=0, **vars(found))


def test_a_metric_to_be_maximized_is_seen_as_its_distance_from_1() -> None:
    of_accuracy = learn_from(_measured(1 - _errors()), "val_accuracy", "maximize", DESIGN, 0)
    of_loss = learn_from(_measured(_errors()), "val_loss", "minimize", DESIGN, 0)
    assert (of_accuracy.error, of_loss.error) == ("1 - val_accuracy", "val_loss")
    assert of_accuracy.doubled is not None
    assert of_loss.doubled is not None
    assert of_accuracy.doubled.n_rows == 2000
    accuracy, loss = of_accuracy.doubled.metric, of_loss.doubled.metric
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx((1 - loss.value, 1 - loss.high, 1 - loss.low))
    assert of_accuracy.gain is not None
    assert of_accuracy.now is not None
    assert of_accuracy.gain.value == pytest.approx(accuracy.value - of_accuracy.now.metric.value)
    assert 0 < of_accuracy.gain.low < of_accuracy.gain.value < of_accuracy.gain.high
    assert of_accuracy.expected[0].n_rows == pytest.approx(100)
    assert of_accuracy.expected[-1].metric.value == pytest.approx(accuracy.value)


def test_the_sentence_says_from_where_to_where_and_how_sure_that_is() -> None:
    found = learn_from(_measured(1 - _errors()), "val_accuracy", "maximize", DESIGN, 0)
    assert found.doubled is not None
    assert found.now is not None
    metric = found.doubled.metric
    assert found.sentence.startswith(
        f"Twice the rows (2,000) should bring val_accuracy from {found.now.metric.value:.4g} to {metric.value:.4g} "
        f"(95 % interval {metric.low:.4g} to {metric.high:.4g})"
    )


@pytest.mark.parametrize(
    ("values", "direction", "why"),
    [
        (10 - _errors(), "maximize", "not all val_m are at most 1"),
        (_errors() - 1, "minimize", "not all val_m are at least 0"),
        (np.ones((4, 3)), "maximize", "the error is 0 already"),
        (np.full((4, 3), 0.5), "minimize", "do not lower the error"),
    ],
)
def test_where_nothing_can_be_said_the_points_are_there_all_the_same(
    values: np.ndarray, direction: str, why: str
) -> None:
    found = learn_from(_measured(values), "val_m", direction, DESIGN, 0)
    assert found.sentence.startswith("Nothing can be said of more rows: ")
    assert why in found.sentence
    assert (found.law, found.doubled, found.gain, found.expected) == (None, None, None, ())
    assert [point.n_rows for point in found.points] == ROWS
    assert found.points[0].mean == pytest.approx(values[:, 0].mean())


def test_points_have_the_mean_of_the_folds_for_each_repeat_and_an_error_that_allows_for_shared_rows() -> None:
    values = np.array([[0.8, 0.9], [0.7, 0.6], [0.9, 0.9]])
    found = learn_from([Measured(1.0, 50, values)], "val_accuracy", "maximize", DESIGN, 0)
    (point,) = found.points
    assert point.values == pytest.approx((0.85, 0.65, 0.9))
    assert point.standard_error == pytest.approx(np.sqrt((1 / 6 + 1 / 9) * values.var(ddof=1)))
    assert "at least 3 different numbers of rows" in found.sentence


def test_a_curve_is_read_as_it_was_recorded_and_is_small() -> None:
    storage = optuna.storages.InMemoryStorage()
    search = optuna.create_study(storage=storage, study_name="toy")
    assert read_learning_curve(search) is None
    beside = optuna.create_study(storage=storage, study_name="toy.learning-curve")
    assert read_learning_curve(search) is None
    for values in (1 - _errors(), np.ones((4, 3))):  # with a law and without
        curve = _curve(learn_from(_measured(values), "val_accuracy", "maximize", DESIGN, 0))
        record_learning_curve(beside, curve)
        beside.set_user_attr("again", json.loads(json.dumps(beside.user_attrs["autotune:learning_curve"])))
        assert read_learning_curve(search) == curve
        assert len(json.dumps(curve.as_dict(), allow_nan=False)) < 8000


def test_queues_that_were_stored_before_there_were_fractions_are_read() -> None:
    study = optuna.create_study()
    queued = QueuedTrial("3", {"x": 1}, repeat=0)
    stored = dataclasses.asdict(queued)
    del stored["fraction"]
    study.set_user_attr("autotune:queue", [stored])
    assert begun_with(study) == (queued,)
