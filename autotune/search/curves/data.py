"""The learning curves of a study's trials, thinned for a model of them.

What is covered: steps counted from 0 or from 1; trials without reports, of which the value counts; reports that are
NaN or infinite, trials that failed or were pruned before any report: as bad as the worst value seen; folds, whose means
are reported at the steps after the first fold's epochs and stand in place of its last epoch; studies in which the best
epoch of a trial counts.
What is not covered: steps that are not epochs, such as batches; `max_epochs` is then to be the last step.
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
_LOST = "lost"  # the reason of a failed trial (user attribute "failure") that says nothing of its configuration


@dataclass(frozen=True, eq=False)  # one of a finished trial is made once, and stands in keys for all that is in it
class Curve:
    """What is known of a trial.

    Attributes:
        trial: The trial.
        epochs: Epochs, counted from 1 and rising, at most the last epoch.
        values: A value for each epoch, larger is better; NaN for what is as bad as the worst.
    """

    trial: FrozenTrial
    epochs: tuple[int, ...]
    values: tuple[float, ...]

    @cached_property
    def finite(self) -> tuple[float, ...]:
        """The values that are not as bad as the worst."""
        return tuple(value for value in self.values if math.isfinite(value))

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest of the finite values, of which there is at least one."""
        return min(self.finite), max(self.finite)


@dataclass(frozen=True)
class Observations:
    """Points on the curves of a study.

    Attributes:
        curves: The curve that each belongs to, an index, shape (n,).
        epochs: shape (n,).
        values: shape (n,), all finite.
    """

    curves: np.ndarray
    epochs: np.ndarray
    values: Array


def curve_of(trial: FrozenTrial, sign: int, training: Training) -> Curve | None:
    """Return what is known of a trial; None if it adds nothing.

    Args:
        trial: The trial.
        sign: 1 if a larger value is better, -1 if a smaller one is.
        training: How it trains. Where its best epoch counts a curve is the best report so far.
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
    first = 1 if 0 in reports else 0  # of a loop that counts from 0
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
    """Return a key to sort finished trials by, so that those that finish later come behind."""
    return trial.datetime_complete or datetime.datetime.max, trial.number


def scale_of(curves: Sequence[Curve]) -> Scale | None:
    """Return how to standardize the values of curves; None if none is finite."""
    useful = [curve for curve in curves if curve.finite]
    if not useful:
        return None
    best = max(curve.extremes[1] for curve in useful)
    worst = min(curve.extremes[0] for curve in useful)
    middle = float(np.median([curve.finite[-1] for curve in useful]))
    return Scale(middle, max(best - middle, 1e-9, 1e-9 * abs(middle)), worst)


def thinned(curves: Sequence[Curve], scale: Scale, most: int) -> Observations:
    """Return points of curves, the best ones' first: of the leaders all along, of the last third only the end.

    Args:
        curves: The curves, each with a value at least.
        scale: The study's.
        most: How many points there may be, about.
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
    """Return positions on a curve at about doubling epochs, and the last one."""
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
    """Say whether a trial ended so badly that it has nothing better to show."""
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get("failure") != _LOST
    return trial.state == TrialState.PRUNED and not values
