"""The state of the model before a decision: curves, Gaussian process, expected final values.

It is a function of the stored trials, so that every process that joins or resumes the study computes the same. The
covariance is fitted to the first 8, 10, 12 ... finished trials (starting with fewer if a trial takes long to start);
these do not change later. A fit is cached under the data that it was fitted to.
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
from autotune.search.curves.feasibility import Feasibility, feasibility_of
from autotune.search.curves.kernel import Array, Points
from autotune.search.curves.model import CurveModel, Fit, condition, fit
from autotune.search.curves.scale import Scale
from autotune.search.curves.space import CurveSpace, searched, space_of
from autotune.search.curves.training import Training
from autotune.search.history import LEARNED_FROM, all_trials, direction_sign

_GROWTH = 1.15  # of the number of curves between two fits
_CAUTION = 0.5  # standard deviations by which an expected final value is lowered
_HOPE = 1.0  # standard deviation above its expected final value that a curve may end with
_MOST_LEARNED_AT_START = 3  # of the trials before the model, configurations of earlier studies
_MOST_FITTED = 150  # most points for the fit of the hyperparameters, which takes O(n³) about thirty times
_MOST_SEEN = 300  # most points that the model is conditioned on

_CURVES: OfFinished[Curve | None] = OfFinished()
_BELIEFS: Recent[Belief | None] = Recent(4)
_FITS: Recent[Fit] = Recent(64)


@dataclass(frozen=True, eq=False)  # hashed by identity, as a key of caches
class Belief:
    """The state of the model before a decision.

    Attributes:
        space: The search space.
        scale: The scale; all values below are standardized.
        training: The settings of the study's training.
        curves: The n curves that have a value; trials that failed or diverged are left out.
        cube: Their configurations, shape (n, d).
        model: The model, conditioned on these curves and on fantasies of running trials.
        ends: The expected values of the curves at the last epoch, shape (n,).
        doubts: The standard deviations of `ends`, shape (n,).
        taken: Configurations of finished and running trials, shape (m, d), m >= n.
        feasibility: Where trials have failed or diverged.
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
    feasibility: Feasibility

    @property
    def leader(self) -> int:
        """The index of the curve with the best cautious final value.

        The best reported value would select a lucky one if reports are noisy. The best expected value could select a
        trial that was stopped early, which would stay the best without more evidence.
        """
        return int(self.cautious_ends.argmax())

    @property
    def best(self) -> float:
        """The expected final value of the leader."""
        return float(max(self.ends[self.leader], self._least_ends[self.leader]))

    @cached_property
    def cautious_ends(self) -> Array:
        """The expected final values, each lowered by half of its standard deviation, shape (n,)."""
        return np.maximum(self.ends - _CAUTION * self.doubts, self._least_ends)

    @cached_property
    def best_seen(self) -> float:
        """The best of all reported values and of the expected final values of running trials.

        Where the last epoch counts, a better value before it is worth no more than the curve may still end with.
        """
        seen = self._best_reports
        if self.training.epoch_policy != "best":
            ended = np.array([curve.epochs[-1] == self.training.max_epochs for curve in self.curves])
            seen = np.minimum(seen, np.where(ended, self._last_reports, self.ends + _HOPE * self.doubts))
        runs = [not curve.trial.state.is_finished() for curve in self.curves]
        return float(max([*seen, *self.ends[runs]]))

    @cached_property
    def _best_reports(self) -> Array:
        return self.scale.standardized(curve.extremes[1] for curve in self.curves)

    @cached_property
    def _last_reports(self) -> Array:
        return self.scale.standardized(curve.values[-1] for curve in self.curves)

    @property
    def _least_ends(self) -> Array:
        """The least that curves can end with, shape (n,): their best report, where the best epoch counts."""
        return self._best_reports if self.training.epoch_policy == "best" else np.full(len(self.curves), -np.inf)

    def predict_ends(self, cube: Array, trial: int = -1) -> tuple[Array, Array]:
        """Return mean and standard deviation of configurations at the last epoch, shapes (m,).

        Args:
            cube: The configurations, shape (m, d).
            trial: The number of the trial that they belong to; -1 for a new trial.
        """
        return self.model.predict(_ends(self.space, self.training.max_epochs, cube, np.full(len(cube), trial)))

    def predict_curve(self, u: Array, trial: int, epochs: Sequence[int]) -> tuple[Array, Array]:
        """Return mean, shape (m,), and covariance, shape (m, m), of a configuration, shape (d,), at m epochs."""
        cube, trials = np.tile(u, (len(epochs), 1)), np.full(len(epochs), trial)
        points = _points(self.space, self.training.max_epochs, cube, trials, np.array(epochs))
        return self.model.predict_together(points)

    def with_curve(self, curve: Curve) -> Belief:
        """Return the belief with one more curve, finished or not."""
        model = self.model.extended(*_seen(self.space, self.scale, self.training.max_epochs, curve))
        return dataclasses.replace(self, model=model)


def believe(
    study: optuna.Study,
    training: Training,
    space: Mapping[str, BaseDistribution] | None = None,
    but: int | None = None,
) -> Belief | None:
    """Return the state of the model of a study; None if there are too few curves for a model.

    Args:
        study: The study; of several objectives the first counts.
        training: The settings of its training.
        space: The parameters to model; None for all.
        but: The number of the trial that the decision is about, which is left out; None for none.
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
    lasting = [curve for curve in over if curve.lasted]
    scale = scale_of(lasting)
    if len(over) < training.n_start + _n_extra(over) or scale is None:
        return None
    max_epochs = training.max_epochs
    space = space_of([curve.trial for curve in over], distributions)
    n_fitted = _n_fitted(training, len(over))
    tried = space.to_cube([curve.trial.params for curve in over])
    feasibility = feasibility_of(space, tried, [curve.lasted for curve in over], n_fitted)
    fitted = _fitted(space, training, [curve for curve in over[:n_fitted] if curve.lasted] or lasting)
    scale = dataclasses.replace(scale, headroom=fitted.headroom)
    cube = space.to_cube([curve.trial.params for curve in lasting])
    seen = thinned(lasting, scale, _MOST_SEEN)
    points = _points_of(space, max_epochs, lasting, cube, seen)
    model = condition(fitted.kernel, points, scale.standardized(seen.values))
    known = [curve for curve in running if curve.epochs and curve.lasted]
    for curve in known:
        model = model.extended(*_seen(space, scale, max_epochs, curve))
    curves = (*lasting, *known)
    cube = space.to_cube([curve.trial.params for curve in curves])
    ends, doubts = model.predict(_ends(space, max_epochs, cube, np.array([curve.trial.number for curve in curves])))
    running_cube = space.to_cube([curve.trial.params for curve in running])
    model = _with_fantasies(
        model, _ends(space, max_epochs, running_cube, np.array([curve.trial.number for curve in running]))
    )
    taken = np.concatenate([tried, running_cube])
    return Belief(space, scale, training, curves, cube, model, ends, doubts, taken, feasibility)


def _n_extra(over: Sequence[Curve]) -> int:
    """Return how many more trials the model waits for because the first ones come from earlier studies.

    If these are bad here, the model needs some that are spread over the space. With the five worst trials of earlier
    studies as first trials the regret at 250 epochs was .15 without this, .12 with it, .10 without earlier studies
    (`scripts/benchmark_search.py --earlier 5 --worst --seeds 5`).
    """
    learned = sum(LEARNED_FROM in curve.trial.user_attrs for curve in over)
    return max(0, learned - _MOST_LEARNED_AT_START)


def _n_fitted(training: Training, n: int) -> int:
    """Return the largest of 8, 10, 12 ... that is at most n: the model is fitted to so many of the first curves."""
    found = training.n_start
    while (more := math.ceil(found * _GROWTH)) <= n:
        found = more
    return found


def _fitted(space: CurveSpace, training: Training, first: Sequence[Curve]) -> Fit:
    """Return the fit to the curves of trials that did not fail, on a scale of their own."""
    scale = scale_of(first)
    assert scale is not None  # each of them has a value
    observed = _fewer(thinned(first, scale, _MOST_SEEN))
    cube = space.to_cube([curve.trial.params for curve in first])
    points = _points_of(space, training.max_epochs, first, cube, observed)
    given = [points.columns, points.trials, points.times, observed.values, space.parameter_of]
    digest = hashlib.sha256(b"|".join(np.ascontiguousarray(one).tobytes() for one in given)).digest()
    return _FITS.get((digest, scale), lambda: fit(points, observed.values, scale, space.parameter_of))


def _fewer(seen: Observations) -> Observations:
    """Return at most `_MOST_FITTED` observations: the best third of that number, and the others evenly."""
    n = len(seen.values)
    if n <= _MOST_FITTED:
        return seen
    order = np.argsort(-seen.values, kind="stable")
    n_best = _MOST_FITTED // 3
    others = np.linspace(n_best, n - 1, _MOST_FITTED - n_best).astype(int)
    chosen = np.sort(np.concatenate([order[:n_best], order[others]]))
    return Observations(seen.curves[chosen], seen.epochs[chosen], seen.values[chosen])


def _with_fantasies(model: CurveModel, ends: Points) -> CurveModel:
    """Return the model as if running trials had ended with their expected values: only standard deviations change.

    Reference: Ginsbourger, Le Riche and Carraro 2010, "Kriging is well-suited to parallelize optimization".
    """
    return model.extended(ends, model.predict(ends)[0]) if len(ends) else model


def _seen(space: CurveSpace, scale: Scale, max_epochs: int, curve: Curve) -> tuple[Points, Array]:
    """Return the points of a curve for the model, and their targets."""
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
