"""The configuration with the largest expected improvement on the best curve's final value.

A model that is fitted to few trials is too certain: one bad trial makes all similar configurations look bad, and a
search by expected improvement alone stays close to its first leader. So half of the proposals are bold: they compute
the expected improvement with larger standard deviations than the model's, which favours unknown regions. In both the
expected improvement is multiplied by the probability that the training does not fail.

References: Bull 2011, "Convergence rates of efficient global optimization algorithms" (with a fitted model it may never
find the optimum); Wang and de Freitas 2014, "Theoretical analysis of Bayesian optimisation with unknown Gaussian
process hyper-parameters" (expected improvement with deviations times a factor).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotune.search.curves.belief import Belief
from autotune.search.curves.kernel import Array

_N_RANDOM = 300
_N_LEADERS = 8
_PER_REACH = 80
_REACHES = (0.03, 0.1, 0.25)  # standard deviations of steps from the leaders, as shares of the range
_N_REFINED = 4
_PER_REFINED = 40
_FINE_REACH = 0.04
_LEAST_PROBABLE = 0.67  # success; where all trials fail little is known, and any improvement could be expected
_BOLDNESS = (1.0, 3.0)  # factors of the model's standard deviations; one is drawn for each proposal


@dataclass(frozen=True)
class Proposal:
    """A configuration to try.

    Attributes:
        u: The configuration in the cube, shape (d,).
        improvement: Its expected improvement at the last epoch with the model's own deviation, standardized; below 0
            if it has been tried, because nothing new was found.
    """

    u: Array
    improvement: float


def propose(belief: Belief, rng: np.random.Generator) -> Proposal:
    """Return the best of random configurations, steps from the leaders, and steps from the best of all these."""
    boldness = float(rng.choice(_BOLDNESS))
    d = belief.cube.shape[1]
    leaders = np.argsort(-belief.ends, kind="stable")[:_N_LEADERS]
    begun = [rng.random((_N_RANDOM, d))]
    for reach in _REACHES:
        starts = belief.cube[rng.choice(leaders, _PER_REACH)]
        begun.append(_steps(belief, starts, reach, rng))
    u = np.concatenate(begun)
    gains = _gains(belief, u, boldness)
    best = u[np.argsort(-gains, kind="stable")[:_N_REFINED]]
    refined = _steps(belief, np.repeat(best, _PER_REFINED, axis=0), _FINE_REACH, rng)
    u, gains = np.concatenate([u, refined]), np.concatenate([gains, _gains(belief, refined, boldness)])
    chosen = u[int(gains.argmax())]
    return Proposal(chosen, float(_gains(belief, chosen[None], 1.0)[0]))


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Return the expected improvement of normally distributed values over `best`.

    Reference: Jones, Schonlau and Welch 1998, equation 15.
    """
    from scipy.special import ndtr

    z = (mean - best) / deviation
    return np.asarray(deviation * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)))


def _steps(belief: Belief, starts: Array, reach: float, rng: np.random.Generator) -> Array:
    """Return configurations that differ from `starts` in about half of their parameters."""
    starts = np.where(np.isnan(starts), rng.random(starts.shape), starts)
    moved = np.clip(starts + rng.normal(0.0, reach, starts.shape), 0.0, 1.0)
    choices = np.array(belief.space.n_choices) > 0
    moved[:, choices] = rng.random((len(starts), int(choices.sum())))  # choices have no order, so any one is drawn
    share = np.where(choices, 0.25, 0.5)
    return np.where(rng.random(starts.shape) < share, moved, starts)


def _gains(belief: Belief, u: Array, boldness: float) -> Array:
    values = belief.space.to_values(u)
    mean, deviation = belief.predict_ends(values)
    succeeds = belief.feasibility.probability(values)
    gains = expected_improvement(mean, boldness * deviation, belief.best)
    gains = np.where(succeeds < _LEAST_PROBABLE, 0.0, succeeds * gains)
    return np.where(_is_taken(values, belief.taken), -1.0, gains)


def _is_taken(values: Array, taken: Array) -> Array:
    """Tell for configurations, shape (n, d), whether they are among `taken`, shape (m, d)."""
    known = {row.tobytes() for row in np.nan_to_num(np.round(taken, 9), nan=-1.0) + 0.0}
    return np.array([row.tobytes() in known for row in np.nan_to_num(np.round(values, 9), nan=-1.0) + 0.0])
