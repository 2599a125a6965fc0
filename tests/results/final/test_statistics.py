"""Means and differences are as sure as their design allows, and no surer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autotune.data.splits import Design, GroupKFold, Holdout, KFold, design_of
from autotune.results.final.statistics import estimate, estimate_on_test_rows


def test_independent_values_have_students_interval() -> None:
    found = estimate([[2.0], [4.0], [4.0], [4.0], [5.0]], Design())
    assert found.mean == pytest.approx(3.8)
    assert found.standard_error == pytest.approx(math.sqrt(1.2 / 5))
    assert (found.low, found.high) == pytest.approx((3.8 - 2.7764 * 0.4899, 3.8 + 2.7764 * 0.4899), abs=1e-3)


@pytest.mark.parametrize("metric", ["val_accuracy", "sparse_categorical_accuracy", "val_auc"])
def test_no_accuracy_is_above_one(metric: str) -> None:
    high, low = estimate([[0.98], [1.0], [0.99]], Design()), estimate([[0.0], [0.1], [0.05]], Design())
    assert high.high > 1
    assert low.low < 0
    assert (high.of(metric).high, low.of(metric).low) == (1.0, 0.0)
    assert (high.of(metric).low, low.of(metric).high) == (high.low, low.high)
    assert high.of("val_loss") == high


def test_a_p_value_is_that_of_a_paired_t_test() -> None:
    from scipy import stats

    a, b = np.array([0.91, 0.93, 0.92, 0.95, 0.90]), np.array([0.90, 0.91, 0.93, 0.92, 0.88])
    assert estimate((a - b)[:, np.newaxis], Design()).p_value == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.parametrize(
    ("folds", "overlap"), [(Holdout(0.1), 1 / 9), (Holdout(0.5), 1.0), (KFold(5), 1 / 4)], ids=repr
)
def test_trainings_that_share_rows_are_less_sure(folds: Holdout | KFold, overlap: float) -> None:
    values = np.array([[0.1, 0.3], [0.2, 0.4], [0.0, 0.2]])
    found = estimate(values, design_of(folds, ()))
    assert found.standard_error == pytest.approx(math.sqrt((1 / 6 + overlap) * values.var(ddof=1)))


def test_more_repeats_on_the_same_groups_say_nothing_about_other_groups() -> None:
    values = np.random.default_rng(0).normal(size=(20, 6))
    once, often = (estimate(v, design_of(GroupKFold(6), ())) for v in (values[:1], values))
    assert often.standard_error > 0.5 * once.standard_error
    assert often.standard_error == pytest.approx(math.sqrt((1 / 6 + 1 / 5) * values.var(ddof=1)))


def test_a_single_value_is_not_sure_at_all() -> None:
    found = estimate([[0.5]], Design())
    assert (found.low, found.high, found.p_value) == (-math.inf, math.inf, 1.0)


@pytest.mark.parametrize(("value", "p_value"), [(0.0, 1.0), (0.1, 0.0)])
def test_values_without_any_spread_are_sure(value: float, p_value: float) -> None:
    assert estimate([[value]] * 5, Design()).p_value == p_value


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0.7, 0.1, size=(1000, 5, 1))
    covered = sum(found.low <= 0.7 <= found.high for found in (estimate(sample, Design()) for sample in samples))
    assert 930 <= covered <= 970


def test_on_test_rows_both_seeds_and_rows_count() -> None:
    rows = np.array([1.0] * 90 + [0.0] * 10)
    of_seeds = estimate_on_test_rows([0.9, 0.91, 0.89], None)
    of_both = estimate_on_test_rows([0.9, 0.91, 0.89], rows)
    assert of_both.mean == of_seeds.mean == pytest.approx(0.9)
    error_of_rows = math.sqrt(rows.var(ddof=1) / 100)
    assert of_both.standard_error == pytest.approx(math.hypot(of_seeds.standard_error, error_of_rows))
    # The rows decide here: nearly the normal distribution's interval, and not that of three values.
    assert of_both.high - 0.9 == pytest.approx(1.98 * of_both.standard_error, rel=0.01)
    assert estimate_on_test_rows([0.9, 0.91, 0.89], np.full(100, 0.9)).high == pytest.approx(of_seeds.high)


def test_interval_and_p_value_of_test_rows_say_the_same() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        found = estimate_on_test_rows(rng.normal(0.01, 0.01, 5), rng.normal(0.01, 0.1, 100))
        assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)


def test_one_training_alone_says_nothing_of_the_next() -> None:
    assert estimate_on_test_rows([0.9], np.ones(100)).low == -math.inf
