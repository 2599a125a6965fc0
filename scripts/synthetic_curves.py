"""Families of synthetic learning curves, each with a property that searches find hard; tasks differ by their optimum.

plain      Seven numbers; errors shrink exponentially to an end, slowly where the learning rate is small
failing    Twenty parameters, half of them idle; each of four optimizers has a learning rate of its own; three tenths of
           the configurations diverge
late       With a schedule that falls, and a large learning rate, the error falls in the last third; these end best
overfit    The error rises again after its least value, which counts for nothing: the last epoch is a trial's value
peaks      The same curves, but the best epoch is a trial's value
jumps      Flat parts, and sudden falls of the error at epochs that vary with every parameter
grid       1,024 configurations: five parameters of four values each
basins     A broad basin of good configurations, and a narrow one of better ones

Symbols
    u    configurations in the unit cube, shape (n, d)
    o    the task's optimum in the cube, shape (d,); w the weights of the parameters, shape (d,)
    q    quality, exp(-Σ w (u - o)²), in (0, 1], shape (n,)
    t    epochs, as shares of the last one, in (0, 1], shape (e,)

Errors are in percent of the rows. What is not covered: noise, which `benchmark_search.py --noise` adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from lcbench import EPOCHS, Config, Curves, Space
from optuna.distributions import CategoricalDistribution, FloatDistribution

from autotune.search.curves import CurveSpace
from autotune.seeds import derive_seed
from autotune.study import EpochPolicy

Array = np.ndarray
_TASKS = "abcdef"
_LEAST, _MOST = 2.0, 60.0  # errors of the best configuration at its end, and of an untrained network


@dataclass(frozen=True)
class Facts:
    """What a task decides.

    Attributes:
        optimum: o, shape (d,).
        weights: w, shape (d,).
        merits: The merit of each choice of the first parameter, in [0, 1], where it is one, shape (4,).
    """

    optimum: Array
    weights: Array
    merits: Array


@dataclass(frozen=True)
class Family:
    """One family of curves.

    Attributes:
        space: The search space.
        errors: A function (u, t, facts) to errors, shape (n, e); NaN from where a training diverges.
        n_idle: So many of the last parameters do not matter.
        epoch_policy: Which epoch is the value of a trial.
    """

    space: Space
    errors: Callable[[Array, Array, Facts], Array]
    n_idle: int = 0
    epoch_policy: EpochPolicy = "last"


class Synthetic:
    """The curves of one family.

    Args:
        name: The name of the family.
    """

    def __init__(self, name: str) -> None:
        self._name, self._family = name, FAMILIES[name]
        self.tasks: Sequence[str] = tuple(f"{name}-{letter}" for letter in _TASKS)
        self.space = self._family.space
        self.epoch_policy = self._family.epoch_policy

    def curves(self, task: str, configs: Sequence[Config], epochs: Sequence[int]) -> Curves:
        """Answer for each configuration and epoch (1 to 50); an epoch takes a second."""
        t = np.asarray(epochs, float) / EPOCHS
        errors = self._family.errors(self._cube.to_cube(configs), t, self._facts(task))
        seconds = np.broadcast_to(np.asarray(epochs, float), errors.shape)
        return Curves(100.0 - errors, seconds)

    def draw(self, n: int, chance: np.random.Generator) -> list[Config]:
        """Draw n configurations uniformly from the cube."""
        return [self._cube.to_params(u) for u in chance.random((n, len(self.space)))]

    @cached_property
    def _cube(self) -> CurveSpace:
        return CurveSpace(dict(self.space), {})

    def _facts(self, task: str) -> Facts:
        chance = np.random.default_rng(derive_seed("synthetic", task))
        d = len(self.space)
        weights = 6.0 * 0.7 ** chance.permutation(d - self._family.n_idle)
        idle = np.zeros(self._family.n_idle)
        return Facts(chance.uniform(0.15, 0.85, d), np.concatenate([weights, idle]), chance.permutation(4) / 3.0)


def _quality(u: Array, optimum: Array, weights: Array) -> Array:
    return np.exp(-(weights * (u - optimum) ** 2).sum(axis=1))


def _shrinking(q: Array, rate: Array, t: Array) -> Array:
    """Return errors that shrink exponentially from that of an untrained network to an end, shape (n, e).

    Args:
        q: The quality of the ends, shape (n,).
        rate: How fast they shrink, in shares of the epochs, shape (n,).
        t: The epochs.
    """
    ends = _LEAST + 40.0 * (1.0 - q[:, None])
    return ends + (_MOST - ends) * np.exp(-t / rate[:, None])


def _rate(learning_rate: Array) -> Array:
    """Return how fast an error shrinks, in epochs: from a half of them all with the least rate to a twentieth."""
    return 0.05 * 10.0 ** (1.0 - learning_rate)


def _plain(u: Array, t: Array, facts: Facts) -> Array:
    return _shrinking(_quality(u, facts.optimum, facts.weights), _rate(u[:, 0]), t)


def _failing(u: Array, t: Array, facts: Facts) -> Array:
    chosen = (u[:, 0] * 4).astype(int)
    rates = u[np.arange(len(u)), 1 + chosen]  # the learning rate of the optimizer that was chosen
    weights = facts.weights.copy()
    weights[:5] = 0.0
    own = facts.optimum[1 + chosen]
    q = _quality(u, facts.optimum, weights)
    q = q * np.exp(-4.0 * (rates - own) ** 2) * (0.7 + 0.3 * facts.merits[chosen])
    errors = _shrinking(q, _rate(rates), t)
    limit = 0.85 - 0.3 * u[:, 5]  # with a large sixth parameter a smaller learning rate diverges
    diverged = (rates > limit)[:, None] & (t > 0.3 * (1.0 - rates[:, None]))
    return np.where(diverged, np.nan, errors)


def _late(u: Array, t: Array, facts: Facts) -> Array:
    falls = u[:, 0] >= 0.5
    left = np.where(falls[:, None], 0.5 * (1.0 + np.cos(np.pi * np.clip((t - 0.4) / 0.6, 0.0, 1.0))), 1.0)
    plateau = 25.0 * u[:, 1, None] * left  # what a large learning rate costs as long as it is large
    q = _quality(u[:, 1:], facts.optimum[1:], facts.weights[1:])
    q = q * (0.7 + 0.3 * u[:, 1])
    return np.minimum(_shrinking(q, _rate(u[:, 1]), t) + plateau, _MOST)


def _overfit(u: Array, t: Array, facts: Facts) -> Array:
    turn = 0.1 + 1.2 * (1.0 - u[:, 1, None])  # the less regularized, the earlier the least error
    rising = 30.0 * np.maximum(t - turn, 0.0)
    return np.minimum(_shrinking(_quality(u, facts.optimum, facts.weights), _rate(u[:, 0]), t) + rising, _MOST)


def _jumps(u: Array, t: Array, facts: Facts) -> Array:
    q = _quality(u, facts.optimum, facts.weights)
    errors = np.full((len(u), len(t)), _MOST)
    for part in range(3):  # three sudden falls, each at an epoch of its own
        phase = np.sin(40.0 * (u @ np.cos(np.arange(u.shape[1]) * (part + 1.0))) + part)
        at = 0.25 * part + 0.15 * (1.0 + phase)
        errors -= (_MOST - _LEAST - 40.0 * (1.0 - q[:, None])) / 3.0 / (1.0 + np.exp(-(t - at[:, None]) / 0.01))
    return errors


def _basins(u: Array, t: Array, facts: Facts) -> Array:
    broad = 0.85 * _quality(u, facts.optimum, 0.4 * facts.weights)
    narrow = _quality(u, 1.0 - facts.optimum, 2.0 * facts.weights)
    return _shrinking(np.maximum(broad, narrow), _rate(u[:, 0]), t)


def _numbers(n: int, first: int = 0) -> dict[str, FloatDistribution]:
    return {f"x{index}": FloatDistribution(0.0, 1.0) for index in range(first, first + n)}


_OPTIMIZERS = ("adam", "lion", "rmsprop", "sgd")
FAMILIES: Mapping[str, Family] = {
    "plain": Family(_numbers(7), _plain),
    "failing": Family(
        {
            "optimizer": CategoricalDistribution(_OPTIMIZERS),
            **{f"{name}_learning_rate": FloatDistribution(1e-5, 1.0, log=True) for name in _OPTIMIZERS},
            **_numbers(15),
        },
        _failing,
        n_idle=10,
    ),
    "late": Family({"schedule": CategoricalDistribution(("constant", "falling")), **_numbers(5)}, _late),
    "overfit": Family(_numbers(6), _overfit),
    "peaks": Family(_numbers(6), _overfit, epoch_policy="best"),
    "jumps": Family(_numbers(5), _jumps),
    "grid": Family({f"x{n}": FloatDistribution(0.0, 0.75, step=0.25) for n in range(5)}, _plain),
    "basins": Family(_numbers(4), _basins),
}
