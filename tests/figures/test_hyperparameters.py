"""Pictures of hyperparameters: few integers are drawn one by one, as choices are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.figures.hyperparameters import Tried, effect, importance_bars, interaction, parallel_coordinates
from autotune.figures.style import to_svg

ACCURACY = np.linspace(0.9, 0.99, 12)
PRUNED = [False] * 12


def tried(distribution: BaseDistribution, values: list[Any]) -> Tried:
    return Tried("units", distribution, values * (12 // len(values)))


def labels(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_xticklabels()]


@pytest.mark.parametrize(
    "distribution",
    [
        IntDistribution(32, 128, step=32),
        IntDistribution(1, 4),
        IntDistribution(1, 8, log=True),
        CategoricalDistribution([64, 32, 8]),
        CategoricalDistribution(["relu", "elu"]),
    ],
)
def test_few_values_are_drawn_one_by_one_with_a_median_each(distribution: Any) -> None:
    values = list(getattr(distribution, "choices", range(1, 0)))
    if not values:
        values = list(range(distribution.low, distribution.high + 1, distribution.step))
    one = tried(distribution, (values * 4)[:4])
    figure = effect(one, ACCURACY, PRUNED, "val_accuracy")
    shown = labels(figure)
    assert shown == (sorted(map(str, values), key=float) if values[0] != "relu" else ["relu", "elu"])
    medians = {tuple(line.get_xdata()) for line in figure.axes[0].lines if len(line.get_xdata()) == 2}
    assert medians == {(place - 0.25, place + 0.25) for place in {shown.index(str(value)) for value in one.values}}


def test_many_integers_are_a_range_with_plain_numbers_on_a_log_scale() -> None:
    one = tried(IntDistribution(8, 64, log=True), [8, 20, 40, 64])
    assert one.choices is None
    figure = effect(one, ACCURACY, PRUNED, "val_accuracy")
    assert figure.axes[0].get_xscale() == "log"
    assert "20" in [label.get_text() for label in figure.axes[0].get_xticklabels(which="minor")]


def test_a_value_that_a_trial_was_not_asked_for_is_a_gap() -> None:
    assert np.isnan(tried(IntDistribution(1, 3), [1, None, 3]).numbers()).sum() == 4
    one = tried(FloatDistribution(0, 1), [0.5, None, 0.7])
    places, few = list(np.linspace(0, 1, 12)), tried(IntDistribution(1, 3), [1, 2, None])
    for figure in (parallel_coordinates([one, few], places), interaction(one, few, places)):
        assert to_svg(figure, "picture")


def test_the_interval_of_a_guess_does_not_press_the_bars_into_a_line() -> None:
    low, high = importance_bars(["a", "b"], [0.6, 0.4], [(-3.0, 5.0), (0.1, 0.7)]).axes[0].get_xlim()
    assert low >= -1
    assert high <= 1.5


def test_pruned_trials_are_ticks_whether_they_have_a_value_or_not() -> None:
    one = tried(FloatDistribution(0, 1), [0.25, 0.5, 0.75])
    values = np.where(np.arange(12) == 3, np.nan, ACCURACY)
    figure = effect(one, values, [number < 5 for number in range(12)], "val_accuracy")
    (ticks,) = (line.get_xdata().tolist() for line in figure.axes[0].lines if line.get_marker() == "|")
    assert ticks == [0.25, 0.5, 0.75, 0.25, 0.5]


def test_a_log_scale_has_plain_numbers_and_no_formulas() -> None:
    one = tried(FloatDistribution(1e-4, 1e-1, log=True), [1e-4, 1e-3, 1e-2, 1e-1])
    svg = to_svg(effect(one, ACCURACY, PRUNED, "val_accuracy"), "effect")
    assert ">1e−03</text>" in svg
    assert "$" not in svg
