"""The learning curves of a study's trials, thinned for the model.

What is covered: steps counted from 0 or from 1; trials without reports, for which the value counts; reports that are
NaN or infinite; trials that failed or were pruned before any report, whose curves end with NaN; folds,
whose means are reported at the steps after the first fold's epochs and replace its last epoch; studies in which the
best epoch of a trial counts.
What is not covered: steps that are not epochs, such as batches; `max_epochs` must then be the last step.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from autotune.search.curves.kernel import Array
from autotune.search.curves.scale import Scale
from autotune.search.curves.training import Training
from autotune.search.history import COPY_OF

_N_LEADERS = 12  # trials whose curves are kept from their first epoch on
_LOST = "lost"  # this reason of failure (user attribute "failure") does not depend on the configuration


@dataclass(frozen=True, eq=False)  # hashed by identity: each finished trial has one curve, which is part of cache keys
class Curve:
    """The learning curve of a trial.

    Attributes:
        trial: The trial.
        epochs: The epochs, from 1, in increasing order, at most `max_epochs`.
        values: A value for each epoch, larger is better; NaN counts as the worst value of the study, if values follow.
    """

    trial: FrozenTrial
    epochs: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def lasted(self) -> bool:
        """Whether the trial has not failed or diverged so far."""
        return not self.values or math.isfinite(self.values[-1])

    @cached_property
    def finite(self) -> tuple[float, ...]:
        """The finite values."""
        return tuple(value for value in self.values if math.isfinite(value))

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest finite value; there must be one."""
        return min(self.finite), max(self.finite)


@dataclass(frozen=True)
class Observations:
    """Points on the curves of a study.

    Attributes:
        curves: The index of the curve of each point, shape (n,).
        epochs: The epoch of each point, shape (n,).
        values: The value of each point, shape (n,), all finite.
    """

    curves: np.ndarray
    epochs: np.ndarray
    values: Array


def curve_of(trial: FrozenTrial, sign: int, training: Training) -> Curve | None:
    """Return the learning curve of a trial; None if it has no information.

    Args:
        trial: The trial.
        sign: 1 if a larger value is better, -1 if a smaller one is.
        training: The settings of its training. If the best epoch counts, a curve is the best report so far.
    """
    if not trial.params or COPY_OF in trial.user_attrs:
        return None
    values = _by_epoch(trial.intermediate_values, sign, training)
    if trial.state == TrialState.COMPLETE and trial.values and training.max_epochs not in values:
        values[training.max_epochs] = sign * trial.values[0]
    if _is_bad(trial, values):
        values[training.max_epochs] = math.nan
    if not values and trial.state.is_finished():
        return None
    return Curve(trial, tuple(values), tuple(v if math.isfinite(v) else math.nan for v in values.values()))


def _by_epoch(reports: Mapping[int, float], sign: int, training: Training) -> dict[int, float]:
    first = 1 if 0 in reports else 0  # steps may be counted from 0
    best = -math.inf
    found: dict[int, float] = {}
    for step in sorted(reports):
        epoch, value = max(step + first, 1), sign * reports[step]
        is_mean_of_folds = epoch > training.max_epochs
        if training.epoch_policy == "best" and not is_mean_of_folds and math.isfinite(value):
            value = best = max(best, value)
        found[min(epoch, training.max_epochs)] = value
    return found


def by_completion(trial: FrozenTrial) -> tuple[datetime.datetime, int]:
    """Return a key that sorts finished trials by the time when they finished."""
    return trial.datetime_complete or datetime.datetime.max, trial.number


def scale_of(curves: Sequence[Curve]) -> Scale | None:
    """Return the scale for the values of curves; None if no value is finite."""
    useful = [curve for curve in curves if curve.finite]
    if not useful:
        return None
    best = max(curve.extremes[1] for curve in useful)
    worst = min(curve.extremes[0] for curve in useful)
    middle = float(np.median([curve.finite[-1] for curve in useful]))
    return Scale(middle, max(best - middle, 1e-9, 1e-9 * abs(middle)), worst)


def thinned(curves: Sequence[Curve], scale: Scale, most: int) -> Observations:
    """Return points of curves, from the best curve on: all rungs of the leaders, only the ends of the worst curves.

    Args:
        curves: The curves, each with at least one value.
        scale: The study's scale.
        most: The approximate number of points.
    """
    last = scale.finite(curve.values[-1] for curve in curves)
    taken: list[tuple[int, int, float]] = []
    for rank, index in enumerate(np.argsort(-last, kind="stable")):
        if len(taken) >= most:
            break
        curve = curves[index]
        if rank < _N_LEADERS:
            positions = rungs_of(curve)
        elif rank < most // 3:
            positions = _end_of(curve)
        else:
            positions = [len(curve.epochs) - 1]
        taken += [(int(index), curve.epochs[at], curve.values[at]) for at in positions]
    index, epochs, values = zip(*taken, strict=True)
    return Observations(np.array(index), np.array(epochs), scale.finite(values))


def rungs_of(curve: Curve) -> list[int]:
    """Return the positions of a curve at which the epoch has about doubled, and the last one."""
    positions = []
    wanted = 1
    last = len(curve.epochs) - 1
    for position, epoch in enumerate(curve.epochs):
        if epoch >= wanted and epoch < 0.8 * curve.epochs[last]:
            positions.append(position)
            wanted = 2 * epoch
    return [*positions, last]


def _end_of(curve: Curve) -> list[int]:
    last = len(curve.epochs) - 1
    before = [position for position in range(last) if curve.epochs[position] <= curve.epochs[last] / 2.5]
    return [*before[-1:], last] if before else [*range(min(last, 1)), last]


def _is_bad(trial: FrozenTrial, values: dict[int, float]) -> bool:
    """Tell whether a trial failed because of its configuration, or was pruned without a report."""
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get("failure") != _LOST
    return trial.state == TrialState.PRUNED and not values
