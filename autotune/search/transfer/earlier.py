"""An earlier study: its configurations, the best first, and what it expects of others.

The model of learning curves says how good each of its trials would have become, also a trial that was stopped, and how
good a configuration of another study would be in this one. A study with fewer trials than the model needs only says in
which order its own are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.trial import TrialState

from autotune.errors import UsageError
from autotune.search.curves import Belief, Training, believe, by_predicted_end, one_thread
from autotune.search.history import direction_sign
from autotune.search.transfer.fitting import fitted

_BEST, _WORST = 1.5, -1.5  # the scale of the model has the best at 1.5 and the median at 0


@dataclass(frozen=True, eq=False)
class Earlier:
    """An earlier study.

    Attributes:
        name: Its name.
        numbers: The numbers of the n trials with a value, the best first.
        configurations: Their parameters.
        values: Their expected final values, standardized (see `autotune.search.curves.scale`), shape (n,).
        belief: The state of its model; None if it has too few trials.
    """

    name: str
    numbers: Sequence[int]
    configurations: Sequence[Mapping[str, Any]]
    values: npt.NDArray[np.float64]
    belief: Belief | None

    def expected(self, configurations: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        """Return the expected final values of any configurations in this study, shape (m,): its own, or the model's.

        What the model does not know is expected to be like the median, 0.
        """
        if self.belief is None:
            found = np.zeros(len(configurations))
        else:
            space = self.belief.space
            found = self.belief.predict_ends(
                space.to_cube([fitted(one, space.distributions) for one in configurations])
            )[0]
        own = dict(zip(map(_key, self.configurations), self.values, strict=True))
        return np.array([own.get(_key(one), value) for one, value in zip(configurations, found, strict=True)])


def earlier_of(
    study: optuna.Study, training: Training, confirmed: Mapping[int, float] | None = None, name: str | None = None
) -> Earlier | None:
    """Return an earlier study; None if no trial of it has a value.

    Trials that failed are left out, because they may have failed because of their configurations.

    Args:
        study: The study; of several objectives the first counts.
        training: The settings of its training.
        confirmed: The means of the trials that were trained again with other seeds, by number: they come first.
        name: Its name; None for its own.
    """
    try:
        trials = [trial for trial in by_predicted_end(study, training) if trial.state != TrialState.FAIL]
    except UsageError:  # no trial has a value
        return None
    sign, again = direction_sign(study), confirmed or {}
    first = sorted((trial for trial in trials if trial.number in again), key=lambda trial: -sign * again[trial.number])
    trials = [*first, *(trial for trial in trials if trial.number not in again)]
    with one_thread():
        belief = believe(study, training)
    if belief is None:
        values = np.linspace(_BEST, _WORST, len(trials))
    else:
        values = np.sort(belief.ends)[::-1][: len(trials)]
    return Earlier(name or study.study_name, [t.number for t in trials], [t.params for t in trials], values, belief)


def _key(params: Mapping[str, Any]) -> str:
    return repr(sorted(params.items()))
