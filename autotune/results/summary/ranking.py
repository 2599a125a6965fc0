"""The order of a search's trials from good to bad, including pruned ones."""

from __future__ import annotations

import math

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.search.history import COPY_OF, direction_sign, first_value


def finished_in_order(study: optuna.Study) -> list[FrozenTrial]:
    """Return the complete and the pruned trials in the order of their start, without copies and without NaN."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [t for t in finished if COPY_OF not in t.user_attrs and math.isfinite(first_value(t) or 0.0)]


def badness(study: optuna.Study, trials: list[FrozenTrial]) -> list[int]:
    """Return the rank of each trial, from 0 for the best.

    Pruned trials come after all complete ones. Of two pruned trials the one that was stopped later is better; their
    last reports are less useful, because they are of different epochs.
    """
    sign = direction_sign(study)

    def key(position: int) -> tuple[bool, int, float]:
        trial = trials[position]
        is_pruned = trial.state == TrialState.PRUNED
        last = max(trial.intermediate_values, default=0)
        value = trial.intermediate_values.get(last, math.nan) if is_pruned else first_value(trial) or 0.0
        return is_pruned, -last if is_pruned else 0, -sign * value if math.isfinite(value) else math.inf

    places = [0] * len(trials)
    for place, position in enumerate(sorted(range(len(trials)), key=key)):
        places[position] = place
    return places
