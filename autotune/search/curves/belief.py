"""What is believed of a study: its curves, a model of them, and what each is expected to end at.

All of it is a function of the stored trials, so that a process that joins or goes on believes the same. The
covariance is fitted to the trials that were the first to finish when there were 8, 10, 12 ... of them (from fewer on
where they take long to begin): those are the same ever after. What has been fitted is remembered by what it was fitted
to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from autotune.search.curves.cache import OfFinished, Recent
from autotune.search.curves.data import Curve, Observations, by_completion, curve_of, rungs_of, scale_of, thinned
from autotune.search.curves.kernel import Array, Points
from autotune.search.curves.model import CurveModel, Fit, condition, fit
from autotune.search.curves.scale import Scale
from autotune.search.curves.space import CurveSpace, searched, space_of
from autotune.search.curves.training import Training
from autotune.search.history import all_trials, direction_sign

_GROWTH = 1.15  # of the number of curves between two fits
_CAUTION = 0.5  # standard deviations that an expected end is lowered by
_MOST_FITTED = 150  # points that hyperparameters are fitted to; it takes some thirty times their cube
_MOST_SEEN = 300  # points that the model is conditioned on

_CURVES: OfFinished[Curve | None] = OfFinished()
_BELIEFS: Recent[Belief | None] = Recent(4)
_FITS: Recent[Fit] = Recent(64)


@dataclass(frozen=True, eq=False)  # two of them are never compared, and the same one is asked often
class Belief:
    """What is believed of a study before a decision.

    Attributes:
        space: The search space.
        scale: How values are standardized; all values below are.
        training: How the study's trials train.
        curves: The n curves that have a value.
        cube: Their configurations, shape (n, d).
        model: The model, which has seen them, and fantasies of those that are still running.
        ends: What each curve is expected to be at the last epoch, shape (n,).
        doubts: The standard deviations of these, shape (n,).
        taken: Configurations that have been tried or are, shape (m, d), m >= n.
    """

    space: CurveSpace
    scale: Scale
    training: Training
    curves: tuple[Curve, ...]
    cube: Array
    model: CurveModel
    ends: Array
    doubts: Array
    taken: Array

    @property
    def leader(self) -> int:
        """The index of the curve that is best with some certainty.

        Not the one with the best value seen, which with noise is a lucky one; nor the one with the best expected end,
        which may be of a trial that was stopped early, and would stay the best for ever.
        """
        return int(self.cautious_ends.argmax())

    @property
    def cautious_ends(self) -> Array:
        """The expected ends, each lowered by some of its doubt, shape (n,)."""
        return self.ends - _CAUTION * self.doubts

    @property
    def best(self) -> float:
        """The expected end of the leader."""
        return float(self.ends[self.leader])

    @cached_property
    def best_seen(self) -> float:
        """The best value that has been seen, or is expected of what runs."""
        seen = self.scale.standardized(curve.extremes[1] for curve in self.curves if curve.finite)
        runs = [not curve.trial.state.is_finished() for curve in self.curves]
        return float(max([*seen, *self.ends[runs]]))

    def predict_ends(self, cube: Array, trial: int = -1) -> tuple[Array, Array]:
        """Return mean and standard deviation of configurations at the last epoch, shapes (m,).

        Args:
            cube: The configurations, shape (m, d).
            trial: The number of the trial that they belong to; -1 for one to come.
        """
        return self.model.predict(_ends(self.space, self.training.max_epochs, cube, np.full(len(cube), trial)))

    def predict_curve(self, u: Array, trial: int, epochs: Sequence[int]) -> tuple[Array, Array]:
        """Return mean, shape (m,), and covariance, shape (m, m), of a configuration, shape (d,), at m epochs."""
        cube, trials = np.tile(u, (len(epochs), 1)), np.full(len(epochs), trial)
        points = _points(self.space, self.training.max_epochs, cube, trials, np.array(epochs))
        return self.model.predict_together(points)

    def resembles_failure(self, cube: Array) -> np.ndarray:
        """Say of configurations, shape (m, d), whether the trial that each resembles most has failed or diverged."""
        failed = np.array([not math.isfinite(curve.values[-1]) for curve in self.curves])
        if not failed.any():  # as in most studies; what follows looks at every pair
            return np.zeros(len(cube), bool)
        to_come, tried = (_ends(self.space, 1, one, np.full(len(one), -1)) for one in (cube, self.cube))
        return np.asarray(failed[self.model.kernel.between(to_come, tried).argmax(axis=1)])

    def with_curve(self, curve: Curve) -> Belief:
        """Return the belief with one more curve, known so far."""
        model = self.model.extended(*_seen(self.space, self.scale, self.training.max_epochs, curve))
        return dataclasses.replace(self, model=model)


def believe(
    study: optuna.Study,
    training: Training,
    space: Mapping[str, BaseDistribution] | None = None,
    but: int | None = None,
) -> Belief | None:
    """Return what is believed of a study; None if there are too few curves for it.

    Args:
        study: The study; of several objectives the first counts.
        training: How its trials train.
        space: The parameters to model; None for all.
        but: The number of a trial that is left out, because the decision is about it.
    """
    # Not `study.get_trials`: under Hyperband `study` is only one bracket.
    trials = [t for t in all_trials(study) if t.number != but and t.params]
    distributions = searched(trials) if space is None else space
    trials = [t for t in trials if any(name in t.params for name in distributions)]
    sign = direction_sign(study)
    finished = sorted((t for t in trials if t.state.is_finished()), key=by_completion)
    over = [curve for t in finished if (curve := _curve_of_finished(t, sign, training)) is not None]
    unfinished = [t for t in trials if not t.state.is_finished()]
    running = [curve for t in unfinished if (curve := curve_of(t, sign, training)) is not None]
    key = (
        training,
        tuple((name, repr(distribution)) for name, distribution in distributions.items()),
        tuple(over),
        tuple((c.trial.number, repr(c.trial.params), c.epochs, c.values) for c in running),
    )
    return _BELIEFS.get(key, lambda: _believe(over, running, training, distributions))


def _curve_of_finished(trial: FrozenTrial, sign: int, training: Training) -> Curve | None:
    return _CURVES.get(trial, (sign, training), lambda: curve_of(trial, sign, training))


def _believe(
    over: Sequence[Curve],
    running: Sequence[Curve],
    training: Training,
    distributions: Mapping[str, BaseDistribution],
) -> Belief | None:
    scale = scale_of(over)
    if len(over) < training.n_start or scale is None:
        return None
    max_epochs = training.max_epochs
    space = space_of([curve.trial for curve in over], distributions)
    fitted = _fitted(space, training, over)
    scale = dataclasses.replace(scale, headroom=fitted.headroom)
    cube = space.to_cube([curve.trial.params for curve in over])
    seen = thinned(over, scale, _MOST_SEEN)
    points = _points_of(space, max_epochs, over, cube, seen)
    model = condition(fitted.kernel, points, scale.standardized(seen.values))
    known = [curve for curve in running if curve.epochs]
    for curve in known:
        model = model.extended(*_seen(space, scale, max_epochs, curve))
    curves = (*over, *known)
    cube = space.to_cube([curve.trial.params for curve in curves])
    ends, doubts = model.predict(_ends(space, max_epochs, cube, np.array([curve.trial.number for curve in curves])))
    running_cube = space.to_cube([curve.trial.params for curve in running])
    model = _with_fantasies(
        model, _ends(space, max_epochs, running_cube, np.array([curve.trial.number for curve in running]))
    )
    taken = np.concatenate([cube, running_cube])
    return Belief(space, scale, training, curves, cube, model, ends, doubts, taken)


def _fitted(space: CurveSpace, training: Training, over: Sequence[Curve]) -> Fit:
    """Return what was fitted to as many of the first finished curves as the last fit was due at."""
    n = training.n_start
    while (more := math.ceil(n * _GROWTH)) <= len(over):
        n = more
    first = over[:n]
    scale = scale_of(first)
    if scale is None:
        scale = scale_of(over)
        assert scale is not None  # `believe` has looked
    observed = _fewer(thinned(first, scale, _MOST_SEEN))
    cube = space.to_cube([curve.trial.params for curve in first])
    points = _points_of(space, training.max_epochs, first, cube, observed)
    given = [points.columns, points.trials, points.times, observed.values, space.parameter_of]
    digest = hashlib.sha256(b"|".join(np.ascontiguousarray(one).tobytes() for one in given)).digest()
    return _FITS.get((digest, scale), lambda: fit(points, observed.values, scale, space.parameter_of))


def _fewer(seen: Observations) -> Observations:
    """Return as many observations as hyperparameters are fitted to: the best third, and evenly of the others."""
    n = len(seen.values)
    if n <= _MOST_FITTED:
        return seen
    order = np.argsort(-seen.values, kind="stable")
    n_best = _MOST_FITTED // 3
    others = np.linspace(n_best, n - 1, _MOST_FITTED - n_best).astype(int)
    chosen = np.sort(np.concatenate([order[:n_best], order[others]]))
    return Observations(seen.curves[chosen], seen.epochs[chosen], seen.values[chosen])


def _with_fantasies(model: CurveModel, ends: Points) -> CurveModel:
    """Return the model as if the ends of what runs were known, and were as expected: no mean changes, only doubts do.

    Reference: Ginsbourger, Le Riche and Carraro 2010, "Kriging is well-suited to parallelize optimization".
    """
    return model.extended(ends, model.predict(ends)[0]) if len(ends) else model


def _seen(space: CurveSpace, scale: Scale, max_epochs: int, curve: Curve) -> tuple[Points, Array]:
    """Return the points of a curve that a model sees, and their targets."""
    positions = rungs_of(curve)
    epochs = np.array([curve.epochs[at] for at in positions])
    trials = np.full(len(positions), curve.trial.number)
    cube = np.repeat(space.to_cube([curve.trial.params]), len(positions), axis=0)
    return _points(space, max_epochs, cube, trials, epochs), scale.standardized(curve.values[at] for at in positions)


def _ends(space: CurveSpace, max_epochs: int, cube: Array, trials: np.ndarray) -> Points:
    return _points(space, max_epochs, cube, trials, np.full(len(cube), max_epochs))


def _points_of(space: CurveSpace, max_epochs: int, curves: Sequence[Curve], cube: Array, seen: Observations) -> Points:
    numbers = np.array([curve.trial.number for curve in curves])
    return _points(space, max_epochs, cube[seen.curves], numbers[seen.curves], seen.epochs)


def _points(space: CurveSpace, max_epochs: int, cube: Array, trials: np.ndarray, epochs: np.ndarray) -> Points:
    times = np.log(epochs.astype(float)) / math.log(max(max_epochs, 2))
    return Points(space.to_columns(cube), trials.astype(np.int64), times)
