"""Planted laws are found within their intervals, and where there is none nothing is said."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from autotune.data.splits import Design
from autotune.results.data_efficiency.power_law import Fitted, Interval, NoLaw, fit_power_law

ROWS = np.array([130, 260, 520, 910, 1300])
REPEATS = 3


def _law(n_rows: np.ndarray, b: float, c: float) -> np.ndarray:
    return 0.1 * (n_rows / 1300) ** -b + c


def _errors(b: float, c: float, seed: int, shared: float = 0.5, noise: float = 0.05) -> np.ndarray:
    """Draw noise, a part of which is the same for all fractions of a repeat."""
    rng = np.random.default_rng(seed)
    luck = np.sqrt(shared) * rng.normal(size=(REPEATS, 1)) + np.sqrt(1 - shared) * rng.normal(size=(REPEATS, len(ROWS)))
    return _law(ROWS, b, c) * (1 + noise * luck)


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def _fitted(errors: np.ndarray, seed: int = 0, design: Design | None = None) -> Fitted:
    found = fit_power_law(ROWS, errors, design or Design(), seed)
    assert isinstance(found, Fitted), found
    return found


@functools.cache
def _planted(b: float, c: float) -> list[Fitted]:
    return [_fitted(_errors(b, c, seed), seed) for seed in range(20)]


@pytest.mark.parametrize(("b", "c"), [(0.3, 0.0), (0.5, 0.0), (0.5, 0.05), (1.0, 0.0)])
def test_a_planted_law_lies_within_its_intervals_about_as_often_as_they_say(b: float, c: float) -> None:
    found = _planted(b, c)
    assert sum(_holds(one.law.b, b) for one in found) >= 17
    assert sum(_holds(one.law.a, 0.1) for one in found) >= 17
    assert sum(_holds(one.error_at(2600), float(_law(np.array(2600), b, c))) for one in found) >= 17
    assert sum(_holds(one.gain(2), 0.1 * (1 - 2**-b)) for one in found) >= 17
    widths = [one.law.b.high - one.law.b.low for one in found]
    assert np.median(widths) < 0.5 * max(b, 0.5)  # an interval that says something


def test_a_law_without_noise_is_found_as_it_is() -> None:
    law = _fitted(np.tile(_law(ROWS, 0.5, 0.0), (2, 1))).law
    assert (law.a.value, law.b.value, law.c.value) == pytest.approx((0.1, 0.5, 0.0), abs=1e-6)
    law = _fitted(np.tile(_law(ROWS, 0.5, 0.05), (2, 1))).law
    assert (law.a.value, law.b.value, law.c.value) == pytest.approx((0.1, 0.5, 0.05), abs=1e-4)
    assert law.error_at([1300, 5200]) == pytest.approx([0.15, 0.1], abs=1e-4)


def test_a_floor_is_claimed_only_where_it_is_seen() -> None:
    without = [one.law.c.value for one in _planted(0.5, 0.0)]
    clear = [_fitted(_errors(1.0, 0.1, seed, noise=0.01)).law.c for seed in range(8)]
    assert sum(c == 0 for c in without) >= 15
    assert all(c.value == pytest.approx(0.1, rel=0.2) for c in clear)
    assert all(c.low > 0 for c in clear)


def test_the_same_seed_gives_the_same_intervals() -> None:
    errors = _errors(0.5, 0.0, 0)
    first, again, other = (_fitted(errors, seed) for seed in (1, 1, 2))
    assert first.law == again.law
    assert first.law.b.value == other.law.b.value
    assert first.law != other.law


def test_trainings_that_share_their_rows_make_the_law_less_sure() -> None:
    errors = _errors(0.5, 0.0, 0)
    free, bound = (_fitted(errors, design=design).law.b for design in (Design(), Design(overlap=1.0)))
    assert bound.value == free.value
    assert bound.high - bound.low > 1.3 * (free.high - free.low)


def test_fractions_on_which_a_network_only_guesses_are_left_out() -> None:
    errors = _errors(1.0, 0.0, 0, noise=0.02)
    errors[:, :2] = 0.3 + np.random.default_rng(0).normal(0, 0.003, (REPEATS, 2))
    law = _fitted(errors).law
    assert law.n_min == 520
    assert _holds(law.b, 1.0)


def test_a_peak_before_the_error_falls_is_no_reason_to_call_it_flat() -> None:
    errors = _errors(1.0, 0.0, 0, noise=0.02)
    errors[:, :2] = 0.15 + np.random.default_rng(0).normal(0, 0.003, (REPEATS, 2))
    assert _fitted(errors).law.n_min == 520


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        (np.zeros((3, 5)), "is 0 already"),
        (np.full((3, 5), 0.1), "do not lower the error beyond noise"),
        (np.random.default_rng(0).normal(0.3, 0.02, (3, 5)), "do not lower the error beyond noise"),
        (_errors(-0.5, 0.0, 0), "do not lower the error beyond noise"),
        (_errors(0.5, 0.0, 0)[:1], "at least 2 trainings"),
        (0.3 - 1e-4 * np.tile(ROWS, (3, 1)) ** 1.1 * [[0.99], [1.0], [1.01]], "no power of the number of rows"),
    ],
    ids=["perfect", "flat", "noise", "rising", "single", "line"],
)
def test_where_nothing_can_be_said_that_is_said(errors: np.ndarray, why: str) -> None:
    found = fit_power_law(ROWS, errors, Design(), 0)
    assert isinstance(found, NoLaw), found
    assert why in found.why


def test_two_numbers_of_rows_make_no_law() -> None:
    found = fit_power_law(ROWS[:2], _errors(0.5, 0.0, 0)[:, :2], Design(), 0)
    assert found == NoLaw("a law needs at least 3 different numbers of rows, and there are 2")
