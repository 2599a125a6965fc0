"""The trials of a study that began with configurations of earlier studies, and what these were worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from autotune.search.history import first_value
from autotune.search.transfer.fitting import fitted
from autotune.search.transfer.origin import origin_of


@dataclass(frozen=True)
class TakenOver:
    """A trial with a configuration of an earlier study.

    Attributes:
        trial: Its number.
        value: Its first value; None if it is not complete.
        study: The earlier study.
        trial_there: The number of the trial there.
    """

    trial: int
    value: float | None
    study: str
    trial_there: int


def taken_over(trials: Iterable[FrozenTrial]) -> list[TakenOver]:
    """Return those of the trials that have values of earlier studies; one that waits has none yet."""
    return [
        TakenOver(trial.number, _value(trial), origin.study, origin.trial)
        for trial in trials
        if (origin := origin_of(trial)) is not None and fitted(origin.params, trial.distributions)
    ]


def worth(taken: Sequence[TakenOver], best: int | None) -> str:
    """Say in two sentences where first trials came from, and whether the best trial is one of them; "" for none.

    Args:
        taken: The trials with configurations of earlier studies.
        best: The number of the best trial; None if none is complete.
    """
    if not taken:
        return ""
    came = ", ".join(f"trial {one.trial} (trial {one.trial_there} of {one.study})" for one in taken)
    found = f"Learned from earlier studies: {came}."
    if best is None:
        return found
    which = "one" if any(one.trial == best for one in taken) else "none"
    return f"{found} The best trial so far, {best}, is {which} of these."


def _value(trial: FrozenTrial) -> float | None:
    return first_value(trial) if trial.state == TrialState.COMPLETE else None
