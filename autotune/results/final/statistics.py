"""Standard errors of means and of differences of means, for repeated trainings on the same rows.

Symbols: r repeats, k folds; values are (r, k), each from another training. `overlap` is n_validation / n_training.

Trainings on parts of the same rows are not independent, and the usual standard error of their mean is too small. The
corrected one is sqrt((1 / n + overlap) * variance): Nadeau and Bengio, "Inference for the Generalization Error",
Machine Learning 52, 2003; for repeated k-fold cross-validation Bouckaert and Frank, "Evaluating the Replicability of
Significance Tests for Comparing Learning Algorithms", PAKDD 2004.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.splits import Design

_SHARES = {"acc", "auc", "precision", "recall"}  # Keras's names of metrics in [0, 1], without those with "accuracy"
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of means, with its uncertainty.

    Attributes:
        mean: The mean.
        standard_error: Its standard error; infinity for a single value.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p_value: Two-sided, of the mean being zero.
    """

    mean: float
    standard_error: float
    low: float
    high: float
    p_value: float

    def of(self, metric: str) -> Estimate:
        """Return the estimate with its interval cut to the range of the metric: no accuracy is above 1."""
        name = metric.removeprefix("val_")
        if name not in _SHARES and not name.endswith("accuracy"):
            return self
        return dataclasses.replace(self, low=max(self.low, 0.0), high=min(self.high, 1.0))


def estimate(values: npt.ArrayLike, design: Design) -> Estimate:
    """Estimate the mean of values, or of differences of values in pairs, by Student's t with n - 1 degrees of freedom.

    Args:
        values: Shape (r, k), finite, at least one.
        design: The dependence between them.

    Example:
        >>> estimate([[1.0], [2.0], [3.0]], Design()).mean
        2.0
    """
    found: npt.NDArray[Any] = np.asarray(values, dtype=np.float64).ravel()
    mean = float(found.mean())
    n = found.size if design.groups is None else min(design.groups, found.size)
    if n < 2:
        return Estimate(mean, math.inf, -math.inf, math.inf, 1.0)
    error = math.sqrt((1 / n + design.overlap) * float(found.var(ddof=1)))
    return Estimate(mean, error, *_interval(mean, error, n - 1), p_value(mean, error, n - 1))


def p_value(mean: float, standard_error: float, degrees_of_freedom: float) -> float:
    """Return the two-sided p-value of a mean being zero."""
    from scipy import stats  # slow to import, and most commands do not need it

    if standard_error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / standard_error, degrees_of_freedom))


def t_quantile(degrees_of_freedom: float) -> float:
    """Return the half width of a 95 % interval, in standard errors."""
    from scipy import stats

    return float(stats.t.ppf((1 + _CONFIDENCE) / 2, degrees_of_freedom))


def _interval(mean: float, error: float, degrees_of_freedom: float) -> tuple[float, float]:
    half = t_quantile(degrees_of_freedom) * error
    return mean - half, mean + half


def estimate_on_test_rows(seed_values: npt.ArrayLike, row_values: npt.ArrayLike | None) -> Estimate:
    """Estimate a score on test rows, or a difference of two, over training seeds and over rows.

    Another training would give another network, and another sample of rows another score: both variances add up, with
    the degrees of freedom of Satterthwaite, "An Approximate Distribution of Estimates of Variance Components",
    Biometrics Bulletin 2, 1946.

    Args:
        seed_values: One score for each training, shape (r,).
        row_values: The mean over trainings of each row's score, shape (n_rows,); None if the metric is not a mean over
            rows, so that the interval covers seeds only.
    """
    scores: npt.NDArray[Any] = np.asarray(seed_values, dtype=np.float64)
    mean, r = float(scores.mean()), scores.size
    seed_error = math.sqrt(float(scores.var(ddof=1)) / r) if r > 1 else math.inf
    row_error = 0.0
    if row_values is not None:
        rows: npt.NDArray[Any] = np.asarray(row_values, dtype=np.float64)
        row_error = math.sqrt(float(rows.var(ddof=1)) / rows.size)
    if math.isinf(seed_error):
        return Estimate(mean, math.inf, -math.inf, math.inf, 1.0)
    error = math.hypot(seed_error, row_error)
    by_seeds = (seed_error / error) ** 4 / (r - 1) if error else 1.0
    n_rows = math.inf if row_values is None else np.size(row_values)
    by_rows = (row_error / error) ** 4 / (n_rows - 1) if error else 0.0
    freedom = 1 / (by_seeds + by_rows)
    return Estimate(mean, error, *_interval(mean, error, freedom), p_value(mean, error, freedom))
