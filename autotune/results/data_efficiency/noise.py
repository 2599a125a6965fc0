"""The noise of the trainings: the part that they share, and the part of each training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from autotune.data.splits import Design

_Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CurveNoise:
    """The noise of trainings, lines of which share seeds and validation rows, by an analysis of variance.

    That of the training of line j in column k is sqrt(1 / weights_k) * (u_j + e_jk).

    Attributes:
        own: The mean square of what each training has for itself.
        shared: The mean square between lines, the variance of e and, once for each column, of u.
        own_freedom: Degrees of freedom.
        shared_freedom: Degrees of freedom.
        of_mean: The variance of a mean over lines, in units of that of one line.
    """

    own: float
    shared: float
    own_freedom: int
    shared_freedom: int
    of_mean: float

    @classmethod
    def of(cls, errors: _Array, weights: _Array, design: Design) -> CurveNoise:
        """Measure it.

        Args:
            errors: Shape (J, K), J and K at least 2.
            weights: Shape (K,), the larger the less noise.
            design: How the trainings of a column hang together.
        """
        lines, columns = errors.shape
        independent = lines if design.groups is None else min(design.groups, lines)
        residuals = (errors - errors.mean(axis=0)) * np.sqrt(weights)
        luck = residuals.mean(axis=1, keepdims=True)
        return cls(
            own=float(((residuals - luck) ** 2).sum()) / ((lines - 1) * (columns - 1)),
            shared=columns * float((luck**2).sum()) / (lines - 1),
            own_freedom=(independent - 1) * (columns - 1),
            shared_freedom=independent - 1,
            of_mean=1 / independent + design.overlap,
        )

    def draw(self, n_draws: int, columns: int, rng: np.random.Generator) -> _Array:
        """Draw the noise of means over lines, times the square root of the weights, shape (n_draws, columns).

        The variances are drawn too: they are as unsure as their degrees of freedom say.
        """

        def variance(mean_square: float, freedom: int) -> _Array:
            return mean_square * freedom / rng.chisquare(freedom, n_draws)

        if self.shared <= self.own:  # nothing is seen of shared luck: all is noise of the same kind
            freedom = self.own_freedom + self.shared_freedom
            pooled = (self.own * self.own_freedom + self.shared * self.shared_freedom) / freedom
            own, shared = variance(pooled, freedom), np.zeros(n_draws)
        else:
            own = variance(self.own, self.own_freedom)
            shared = np.maximum(variance(self.shared, self.shared_freedom) - own, 0.0) / columns
        own_scale, shared_scale = (np.sqrt(self.of_mean * part)[:, np.newaxis] for part in (own, shared))
        noise: _Array = own_scale * rng.normal(size=(n_draws, columns)) + shared_scale * rng.normal(size=(n_draws, 1))
        return noise
