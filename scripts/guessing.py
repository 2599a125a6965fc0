"""What the author of a search guesses, for the benchmark of searches: something good or bad, or what is usual."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from lcbench import Task

from autotune.search.curves import CurveSpace
from autotune.seeds import derive_seed

_N_KNOWN = 1_000  # random configurations of which the author knows the best, and the worst
_USUAL = {  # those of `autotune.spaces` for stochastic gradient descent, which nothing here was chosen on
    "batch_size": 32,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.004,
    "num_layers": 2,
    "max_units": 128,
    "max_dropout": 0.2,
}
_OFF = 0.1  # standard deviation, as a share of the range, by which a good guess is off in each hyperparameter


def guess_of(task: Task, kind: str, seed: int) -> Mapping[str, float]:
    """Return a guess.

    Args:
        task: The task, which a usual guess does not look at.
        kind: "good" for one near the best of 1,000 random configurations, "bad" for the worst of them, "usual".
        seed: Where its chance comes from.
    """
    if kind == "usual":
        return _USUAL
    chance = np.random.default_rng(derive_seed(seed, "guess", task.name))
    known = task.draw(_N_KNOWN, chance)
    finals = task.finals(known)
    if kind == "bad":
        return known[int(finals.argmin())]
    space = CurveSpace(dict(task.space), {})
    u = space.to_cube([known[int(finals.argmax())]])[0]
    return space.to_params(np.clip(u + chance.normal(0.0, _OFF, u.shape), 0.0, 1.0))
