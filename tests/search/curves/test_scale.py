"""How values are standardized: straight or with the top spread out."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from autotune.search.curves.scale import Scale

SCALE = Scale(middle=0.8, spread=0.1, floor=0.2)
HEADROOMS = (0.02, 0.3, 1.0, 10.0)


def with_headroom(headroom: float) -> Scale:
    return dataclasses.replace(SCALE, headroom=headroom)


@pytest.mark.parametrize("headroom", HEADROOMS)
def test_the_middle_is_at_zero_the_best_at_one_and_a_half_and_the_order_is_kept(headroom: float) -> None:
    u = with_headroom(headroom).standardized([1.0, 0.9, 0.85, 0.8, 0.5, 0.2, -1.0, -1e30])
    assert u[[1, 3]] == pytest.approx([1.5, 0.0])
    assert np.all(np.diff(u) < 0.0)
    assert u[-1] > -6.0


def test_what_is_not_a_number_is_as_bad_as_the_worst() -> None:
    assert SCALE.finite([0.5, math.nan, -math.inf]).tolist() == [0.5, 0.2, 0.2]
    assert SCALE.standardized([math.nan]) == SCALE.standardized([0.2])


@pytest.mark.parametrize("headroom", HEADROOMS)
@pytest.mark.parametrize("value", [0.95, 0.89, 0.75, 0.4])
def test_the_slopes_agree_with_finite_differences(headroom: float, value: float) -> None:
    scale = with_headroom(headroom)
    ahead, behind = scale.standardized([value + 1e-7, value - 1e-7])
    assert np.exp(scale.log_slopes([value])) == pytest.approx((ahead - behind) / 2e-7 * SCALE.spread, rel=1e-5)


def test_without_headroom_halving_the_distance_to_the_best_is_a_step_of_the_same_size() -> None:
    steps = np.diff(with_headroom(1e-6).standardized([0.9 - 0.04, 0.9 - 0.02, 0.9 - 0.01, 0.9 - 0.005]))
    assert steps == pytest.approx(np.full(3, steps[0]), rel=1e-3)
    steps = np.diff(with_headroom(1e6).standardized([0.86, 0.87, 0.88, 0.89]))
    assert steps == pytest.approx(np.full(3, 0.15), rel=1e-3)


def test_beyond_the_best_it_goes_on_straight() -> None:
    steps = np.diff(with_headroom(0.1).standardized([0.899999, 0.9, 0.900001, 0.900002]))
    assert steps == pytest.approx(np.full(3, steps[0]), rel=1e-3)
