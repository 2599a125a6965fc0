"""The search space as a unit cube, and as the columns between which the covariance measures distances.

Symbols
    d  parameters; p columns: one for each number, one for each choice of a categorical parameter
    u  configurations in the cube [0, 1]^d, NaN for a missing parameter, shape (n, d)
    X  their columns, shape (n, p)

What is covered: logarithms, steps, integers, choices; parameters that only some trials have, if another parameter with
few values decides which trials have them.
What is not covered: a parameter whose range changes from trial to trial; it is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from autotune.search.curves.cache import OfFinished, Recent
from autotune.search.history import countable, n_values

Array = NDArray[np.float64]

_SHARED_BY_TRIAL: OfFinished[Mapping[str, BaseDistribution]] = OfFinished()
_SHARED: Recent[BaseDistribution] = Recent(1_000)
_FEW = 20  # most values of a parameter that may decide whether a trial has another one


def searched(trials: Iterable[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return the parameters, by name, that some trials have and whose range is the same in all of these."""
    found: dict[str, BaseDistribution] = {}
    moving = set()
    for trial in trials:
        for name, distribution in _distributions(trial).items():
            known = found.setdefault(name, distribution)
            if known is not distribution and known != distribution:
                moving.add(name)
    return {name: found[name] for name in sorted(found) if name not in moving and not found[name].single()}


def _distributions(trial: FrozenTrial) -> Mapping[str, BaseDistribution]:
    """Return a trial's distributions; finished trials share equal ones as the same object, because `==` is slow."""
    if not trial.state.is_finished():
        return trial.distributions
    return _SHARED_BY_TRIAL.get(trial, None, lambda: {n: _shared(one) for n, one in trial.distributions.items()})


def _shared(distribution: BaseDistribution) -> BaseDistribution:
    return (
        distribution if countable(distribution) is not distribution else _SHARED.get(distribution, lambda: distribution)
    )


@dataclass(frozen=True)
class CurveSpace:
    """A search space that converts between Optuna's values, the cube and the columns.

    Args:
        distributions: The parameters, in the order of the cube's axes.
        gates: For each parameter that only some trials have, the axis of the parameter that decides it, and the values
            of that one (internal values; None if it is missing too) for which the parameter is missing.
    """

    distributions: Mapping[str, BaseDistribution]
    gates: Mapping[str, tuple[int, frozenset[float | None]]]

    @cached_property
    def n_choices(self) -> tuple[int, ...]:
        """The number of choices of each parameter, 0 for a number; length d."""
        return tuple(
            len(one.choices) if isinstance(one, CategoricalDistribution) else 0 for one in self.distributions.values()
        )

    @cached_property
    def parameter_of(self) -> NDArray[np.intp]:
        """The parameter of each column, shape (p,)."""
        return np.repeat(np.arange(len(self.n_choices)), [max(1, n) for n in self.n_choices])

    def to_cube(self, params: Sequence[Mapping[str, Any]]) -> Array:
        """Return configurations as points of the cube, shape (n, d); NaN for a missing parameter."""
        u = np.full((len(params), len(self.distributions)), np.nan)
        for axis, (name, distribution) in enumerate(self.distributions.items()):
            rows = [row for row, one in enumerate(params) if name in one]
            internal = np.array([distribution.to_internal_repr(params[row][name]) for row in rows], float)
            u[rows, axis] = _to_unit(distribution, internal)
        return u

    def to_params(self, u: Array) -> dict[str, Any]:
        """Return one point of the cube, shape (d,), as values for Optuna."""
        return {
            name: distribution.to_external_repr(float(_from_unit(distribution, u[axis : axis + 1])[0]))
            for axis, (name, distribution) in enumerate(self.distributions.items())
        }

    def to_values(self, u: Array) -> Array:
        """Move points of the cube, shape (n, d), to the nearest values; NaN for parameters that a gate excludes."""
        moved = np.empty_like(u)
        internal = np.empty_like(u)
        for axis, distribution in enumerate(self.distributions.values()):
            internal[:, axis] = _from_unit(distribution, u[:, axis])
            moved[:, axis] = _to_unit(distribution, internal[:, axis])
        for _ in self.gates:  # repeated, because gates may depend on each other
            for name, (gate, without) in self.gates.items():
                closed = np.isin(internal[:, gate], [value for value in without if value is not None])
                if None in without:
                    closed |= np.isnan(internal[:, gate])
                axis = list(self.distributions).index(name)
                moved[closed, axis] = internal[closed, axis] = np.nan
        return moved

    def to_columns(self, u: Array) -> Array:
        """Return points of the cube as columns, shape (n, p); a missing parameter is in the middle of its range.

        Any two choices of a categorical parameter have the same distance as the ends of a range.
        """
        columns = []
        for axis, n in enumerate(self.n_choices):
            column = u[:, axis]
            missing = np.isnan(column)
            if n == 0:
                columns.append(np.where(missing, 0.5, column)[:, None])
            else:
                chosen = np.floor(np.where(missing, 0.0, column) * n)[:, None] == np.arange(n)
                columns.append(np.where(missing[:, None], 1.0 / n, chosen) / np.sqrt(2.0))
        return np.concatenate(columns, axis=1)


def space_of(trials: Sequence[FrozenTrial], distributions: Mapping[str, BaseDistribution]) -> CurveSpace:
    """Return the space of these parameters, with the gates that the trials show."""
    partial = [name for name in distributions if not all(name in trial.params for trial in trials)]
    gates = {name: gate for name in partial if (gate := _gate(name, trials, distributions)) is not None}
    return CurveSpace(dict(distributions), gates)


def _gate(
    name: str, trials: Sequence[FrozenTrial], distributions: Mapping[str, BaseDistribution]
) -> tuple[int, frozenset[float | None]] | None:
    """Return the axis of a parameter whose value decides whether a trial has `name`, and the values without `name`."""
    for axis, (other, distribution) in enumerate(distributions.items()):
        n = n_values(distribution)
        if other == name or n is None or n > _FEW:
            continue
        with_it: set[float | None] = set()
        without: set[float | None] = set()
        for trial in trials:
            value = distribution.to_internal_repr(trial.params[other]) if other in trial.params else None
            (with_it if name in trial.params else without).add(value)
        if with_it and without and not with_it & without and with_it != {None}:
            return axis, frozenset(without)
    return None


def _n_steps(distribution: BaseDistribution) -> int | None:
    """Return the number of equally spaced values; None if they are not equally spaced, or infinite."""
    if getattr(distribution, "log", False):
        return None
    return n_values(distribution)


def _log_ends(distribution: FloatDistribution | IntDistribution) -> tuple[float, float]:
    half = 0.5 if isinstance(distribution, IntDistribution) else 0.0  # each integer gets an interval around it
    return float(np.log(distribution.low - half)), float(np.log(distribution.high + half))


def _to_unit(distribution: BaseDistribution, internal: Array) -> Array:
    n = _n_steps(distribution)
    if isinstance(distribution, CategoricalDistribution):
        return (internal + 0.5) / len(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if distribution.log:
        low, high = _log_ends(distribution)
        unit = (np.log(np.maximum(internal, 1e-300)) - low) / (high - low)
    elif n is not None:
        unit = ((internal - distribution.low) / (distribution.step or 1.0) + 0.5) / n
    else:
        unit = (internal - distribution.low) / (distribution.high - distribution.low)
    return np.clip(unit, 0.0, 1.0)  # values that a user gave by hand may lie outside


def _from_unit(distribution: BaseDistribution, u: Array) -> Array:
    n = _n_steps(distribution)
    if n is not None:
        position = np.clip(np.floor(u * n), 0, n - 1)
        if isinstance(distribution, CategoricalDistribution):
            return position
        assert isinstance(distribution, (FloatDistribution, IntDistribution))
        internal = distribution.low + position * (distribution.step or 1.0)
        return np.minimum(internal, distribution.high)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if not distribution.log:
        return np.clip(
            distribution.low + u * (distribution.high - distribution.low), distribution.low, distribution.high
        )
    low, high = _log_ends(distribution)
    internal = np.exp(low + u * (high - low))
    if isinstance(distribution, IntDistribution):
        internal = np.round(internal)
    return np.clip(internal, distribution.low, distribution.high)
