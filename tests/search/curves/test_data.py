"""Trials as learning curves: which values count, and which points of many curves are kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from autotune.search.curves.data import Curve, curve_of, rungs_of, scale_of, thinned
from autotune.search.curves.scale import Scale
from autotune.search.curves.training import Training
from autotune.search.history.objectives import COPY_OF

EPOCHS = 8
TRAINING = Training(EPOCHS)
BEST = Training(EPOCHS, epoch_policy="best")


def trial(reports: dict[int, float], value: float | None = None, **settings: Any) -> FrozenTrial:
    state = settings.pop("state", TrialState.COMPLETE if value is not None else TrialState.PRUNED)
    return create_trial(
        state=state,
        value=value,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        intermediate_values=reports,
        **settings,
    )


def curve(trial: FrozenTrial, sign: int = 1) -> Curve:
    found = curve_of(trial, sign, TRAINING)
    assert found is not None
    return found


def test_reports_are_values_at_epochs_counted_from_one() -> None:
    assert curve(trial({1: 0.2, 2: 0.4})).epochs == (1, 2)
    assert curve(trial({0: 0.2, 1: 0.4})).epochs == (1, 2)
    assert curve(trial({1: 0.2, 2: 0.4}), sign=-1).values == (-0.2, -0.4)


def test_a_trial_without_reports_has_its_value_at_the_last_epoch() -> None:
    assert (curve(trial({}, 0.7)).epochs, curve(trial({}, 0.7)).values) == ((EPOCHS,), (0.7,))


def test_a_trial_that_ended_early_by_itself_keeps_its_value_to_the_last_epoch() -> None:
    assert curve(trial({1: 0.2, 2: 0.7, 3: 0.6}, 0.7)).values == (0.2, 0.7, 0.6, 0.7)


def test_the_last_epoch_counts_as_reported_and_not_as_the_best_of_all() -> None:
    assert curve(trial({1: 0.2, 2: 0.9, EPOCHS: 0.8}, 0.9)).values == (0.2, 0.9, 0.8)


@pytest.mark.parametrize(
    ("sign", "bests"), [(1, (0.2, 0.9, math.nan, 0.9, 0.9)), (-1, (-0.2, -0.2, math.nan, -0.1, -0.1))]
)
def test_where_the_best_epoch_counts_a_curve_is_the_best_so_far(sign: int, bests: tuple[float, ...]) -> None:
    found = curve_of(trial({1: 0.2, 2: 0.9, 3: math.nan, 4: 0.1, EPOCHS: 0.8}), sign, BEST)
    assert found is not None
    assert found.values == pytest.approx(bests, nan_ok=True)


def test_where_the_best_epoch_counts_the_mean_of_the_folds_is_that_of_their_best_already() -> None:
    folds = curve_of(trial({1: 0.2, EPOCHS: 0.8, EPOCHS + 1: 0.7}), 1, BEST)
    assert folds is not None
    assert folds.values == (0.2, 0.7)


def test_the_mean_of_the_finished_folds_stands_at_the_last_epoch() -> None:
    folds = curve(trial({1: 0.2, EPOCHS: 0.8, EPOCHS + 1: 0.7, EPOCHS + 2: 0.6}))
    assert (folds.epochs, folds.values) == ((1, EPOCHS), (0.2, 0.6))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_as_bad_as_the_worst(value: float) -> None:
    assert math.isnan(curve(trial({1: 0.2, 2: value})).values[1])
    assert Scale(0.5, 0.1, 0.2).standardized([value]) == Scale(0.5, 0.1, 0.2).standardized([0.2])


@pytest.mark.parametrize(("reason", "is_bad"), [("oom", True), ("nan", True), (None, True), ("lost", False)])
def test_a_failed_trial_is_bad_unless_its_worker_was_lost(reason: str | None, is_bad: bool) -> None:
    attributes = {"failure": reason} if reason else {}
    failed = curve(trial({1: 0.9}, state=TrialState.FAIL, user_attrs=attributes))
    assert failed.values[0] == 0.9
    assert (failed.epochs[-1] == EPOCHS and math.isnan(failed.values[-1])) == is_bad


def test_copies_and_lost_trials_without_reports_add_nothing() -> None:
    assert curve_of(trial({}, 0.5, user_attrs={COPY_OF: 1}), 1, TRAINING) is None
    assert curve_of(trial({}, state=TrialState.FAIL, user_attrs={"failure": "lost"}), 1, TRAINING) is None


def test_the_scale_of_curves_runs_from_the_worst_over_the_median_to_the_best_finite_value() -> None:
    scale = scale_of([curve(trial({1: 0.1, 2: value})) for value in (0.9, 0.5, 0.4, math.nan)])
    assert scale is not None
    assert (scale.floor, scale.middle) == (0.1, 0.45)
    assert scale.middle + scale.spread == pytest.approx(0.9)


def test_equal_values_have_a_scale_and_none_at_all_have_not() -> None:
    scale = scale_of([curve(trial({1: 0.5})), curve(trial({1: 0.5}))])
    assert scale is not None
    assert scale.standardized([0.5]) == pytest.approx([0.0], abs=1e-6)
    assert scale_of([curve(trial({1: math.nan}))]) is None


def test_a_long_curve_is_kept_at_doubling_epochs_and_at_its_end() -> None:
    long = curve_of(trial({epoch: 0.01 * epoch for epoch in range(1, 51)}), 1, Training(50))
    assert long is not None
    assert [long.epochs[position] for position in rungs_of(long)] == [1, 2, 4, 8, 16, 32, 50]


def test_of_many_curves_the_leaders_are_kept_whole_and_the_last_not_at_all() -> None:
    found = [curve_of(trial({e: 0.01 * n + 0.001 * e for e in range(1, 51)}), 1, Training(50)) for n in range(400)]
    curves = [one for one in found if one is not None]
    scale = scale_of(curves)
    assert scale is not None
    seen = thinned(curves, scale, most=300)
    counts = np.bincount(seen.curves, minlength=400)
    assert 300 <= len(seen.values) < 310
    assert np.all(counts[-12:] == 7)
    assert np.all(counts[300:-12] == 2)
    assert np.all(counts[:100] == 0)
