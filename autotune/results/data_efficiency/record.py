"""The stored data efficiency of a winner: trainings, law, and the prediction at twice the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import optuna

from autotune.data.splits import Design
from autotune.optuna_inside import storage_of
from autotune.results.data_efficiency.power_law import Fitted, Interval, NoLaw, PowerLaw, fit_power_law
from autotune.results.final import estimate
from autotune.running.planning import LEARNING_CURVE, find_study
from autotune.running.study import read_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVE = "autotune:learning_curve"
_TIMES = 2  # how far beyond what was trained on anything is said
_N_SHOWN = 25


@dataclass(frozen=True)
class CurvePoint:
    """The winner on one fraction of the training rows.

    Attributes:
        fraction: Of each fold's training rows.
        n_rows: How many rows that is; the mean over folds.
        mean: The metric's mean over the repeats.
        standard_error: Its standard error; None where a single value says nothing of it.
        values: The metric of each complete repeat.
    """

    fraction: float
    n_rows: float
    mean: float
    standard_error: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Expected:
    """The metric that a training on so many rows should have: the mean of many, not a single one."""

    n_rows: float
    metric: Interval


@dataclass(frozen=True)
class LearningCurve:
    """The data efficiency of a winner: its metric on growing numbers of training rows.

    Attributes:
        study: The search's name.
        candidate: The number of the trial whose configuration it is, or "baseline".
        is_final: Whether it was the winner of `autotune finalize`; else it was the best complete trial.
        params: Its hyperparameters.
        monitor: The metric.
        direction: "maximize" or "minimize".
        repeats: With how many seeds and splits it was trained on each fraction.
        n_failed: How many of these trainings have failed.
        points: The fractions, by their rows.
        error: What the law is of, e.g. "1 - val_accuracy"; None if the metric makes no error.
        law: The error as a function of the number of rows; None if nothing can be said of it.
        expected: The metric by the law, from where it holds to twice the largest number of rows; none without a law.
        now: The same at the largest number of rows; None without a law.
        doubled: The same at twice that.
        gain: By how much twice the rows are better, larger than 0 if better.
        sentence: What twice the rows should bring, or why nothing can be said.
    """

    study: str
    candidate: str
    is_final: bool
    params: Mapping[str, Any]
    monitor: str
    direction: str
    repeats: int
    n_failed: int
    points: tuple[CurvePoint, ...]
    error: str | None
    law: PowerLaw | None
    expected: tuple[Expected, ...]
    now: Expected | None
    doubled: Expected | None
    gain: Interval | None
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Return the curve as JSON can hold it."""
        return asdict(self)

    def draw(self) -> Figure:
        """Return a picture: the trainings, and the law with its band, dashed where nothing was trained."""
        from autotune.figures import FittedCurve, draw_data_efficiency  # Matplotlib takes its time

        law = FittedCurve(
            n_rows=[one.n_rows for one in self.expected],
            metric=[one.metric.value for one in self.expected],
            low=[one.metric.low for one in self.expected],
            high=[one.metric.high for one in self.expected],
        )
        values = {point.n_rows: point.values for point in self.points}
        return draw_data_efficiency(self.monitor, values, law if self.expected else None)


@dataclass(frozen=True)
class Measured:
    """The trainings on one fraction of the rows.

    Attributes:
        fraction: Of each fold's training rows.
        n_rows: How many rows that is; the mean over folds.
        values: The metric of each repeat's folds, shape (r, k); the same repeats and folds for every fraction.
    """

    fraction: float
    n_rows: float
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What can be said of more rows: attributes as in `LearningCurve`."""

    points: tuple[CurvePoint, ...]
    error: str | None
    law: PowerLaw | None
    expected: tuple[Expected, ...]
    now: Expected | None
    doubled: Expected | None
    gain: Interval | None
    sentence: str


def learn_from(measured: Sequence[Measured], monitor: str, direction: str, design: Design, seed: int) -> Found:
    """Say what trainings on more and more rows show.

    The law is of an error whose best value is 0: of a metric to be minimized as it is, of one to be maximized its
    distance from 1. Of metrics below 0, or above 1 where they are to be maximized, it says nothing.

    Args:
        measured: At least one, by increasing rows.
        monitor: The metric's name.
        direction: "maximize" or "minimize".
        design: How the trainings on one fraction hang together.
        seed: Where the chance of the intervals comes from.
    """
    points = tuple(_point(one, design) for one in measured)
    values = np.stack([one.values.ravel() for one in measured], axis=1)  # (r * k, fractions)
    is_error = direction == "minimize"
    errors = values if is_error else 1 - values
    if errors.min() < 0:
        best = "are at least 0" if is_error else "are at most 1"
        return _nothing(points, None, f"the law is of errors whose best value is 0, and not all {monitor} {best}")
    error = monitor if is_error else f"1 - {monitor}"
    fitted = fit_power_law([one.n_rows for one in measured], errors, design, seed)
    if isinstance(fitted, NoLaw):
        return _nothing(points, error, fitted.why)
    n_max = measured[-1].n_rows
    shown = np.geomspace(fitted.law.n_min, _TIMES * n_max, _N_SHOWN)
    expected = tuple(_expected(fitted, float(n), direction) for n in shown)
    now, doubled = (_expected(fitted, n, direction) for n in (n_max, _TIMES * n_max))
    gain = fitted.gain(_TIMES)
    sentence = (
        f"Twice the rows ({doubled.n_rows:,.0f}) should bring {monitor} from {now.metric.value:.4g} to "
        f"{doubled.metric.value:.4g} (95 % interval {doubled.metric.low:.4g} to {doubled.metric.high:.4g}), "
        f"better by {gain.value:.2g} ({gain.low:.2g} to {gain.high:.2g})."
    )
    return Found(points, error, fitted.law, expected, now, doubled, gain, sentence)


def read_learning_curve(search: optuna.Study) -> LearningCurve | None:
    """Return the learning curve that was recorded for a search; None if there is none."""
    beside = find_study(storage_of(search), search.study_name + LEARNING_CURVE)
    return read_record(beside, _CURVE, LearningCurve) if beside else None


def record_learning_curve(beside: optuna.Study, curve: LearningCurve) -> None:
    """Keep the curve in the study of its trainings."""
    beside.set_user_attr(_CURVE, curve.as_dict())


def _point(one: Measured, design: Design) -> CurvePoint:
    found = estimate(one.values, design)
    error = found.standard_error if np.isfinite(found.standard_error) else None
    return CurvePoint(one.fraction, one.n_rows, found.mean, error, tuple(map(float, one.values.mean(axis=1))))


def _expected(fitted: Fitted, n_rows: float, direction: str) -> Expected:
    error = fitted.error_at(n_rows)
    if direction == "minimize":
        return Expected(n_rows, error)
    return Expected(n_rows, Interval(1 - error.value, 1 - error.high, 1 - error.low))


def _nothing(points: tuple[CurvePoint, ...], error: str | None, why: str) -> Found:
    return Found(points, error, None, (), None, None, None, f"Nothing can be said of more rows: {why}.")
