"""Guesses of a study's author: first trials try them, and early suggestions lean towards them.

Of the suggestions to a trial with the number n a share of w(n) = 1/2 · 2^(-n / 10) is drawn around a guess: each number
from a normal distribution with its mean there and a deviation of .15 of the range, each choice kept with a probability
of .75. So a good guess is refined early, and a bad one costs a handful of trials.

References: Hvarfner et al. 2022, "πBO: Augmenting acquisition functions with user beliefs" (a prior that fades);
Mallik et al. 2023, "PriorBand" (suggestions drawn around a prior, next to others).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from autotune.parsing import parsed_or_none
from autotune.search.curves import CurveSpace
from autotune.search.history import GUESS
from autotune.search.transfer.fitting import fitted
from autotune.seeds import derive_seed

_SHARE, _HALVED_AFTER = 0.5, 10
_DEVIATION = 0.15  # of the range
_KEPT = 0.75  # probability that a choice is kept

Guess = Mapping[str, Any]


def guess_of(trial: FrozenTrial) -> Guess | None:
    """Return the guess that a trial tries; None if it tries none."""
    return parsed_or_none(dict[str, Any], trial.user_attrs.get(GUESS))


@dataclass(frozen=True)
class Leaning:
    """Suggestions that lean towards guesses.

    Args:
        guesses: The guesses.
        seed: The study's seed.
    """

    guesses: Sequence[Guess]
    seed: int

    def drawn(self, number: int, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        """Return values around a guess for the trial with this number; none if the sampler is to suggest them."""
        if not self.guesses:
            return {}
        chance = self._chance(number, "lean")
        if chance.random() >= _SHARE * 2.0 ** (-number / _HALVED_AFTER):
            return {}
        guess = fitted(self.guesses[chance.randrange(len(self.guesses))], space)
        return {name: _around(value, space[name], self._chance(number, name)) for name, value in guess.items()}

    def _chance(self, number: int, use: str) -> random.Random:
        return random.Random(derive_seed(self.seed, "guess", number, use))


def _around(value: Any, distribution: BaseDistribution, chance: random.Random) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return value if chance.random() < _KEPT else chance.choice(distribution.choices)
    space = CurveSpace({"": distribution}, {})
    u = space.to_cube([{"": value}])[0]
    moved = abs(u + chance.gauss(0.0, _DEVIATION))  # reflected at the ends of the range
    return space.to_params(1.0 - abs(1.0 - moved))[""]
