"""Studies beside a search, whose trials train its configurations again: what there is of them, and what is none."""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from autotune.errors import UsageError


@dataclass(frozen=True)
class Unfinished:
    """What there is when the time was over before the result.

    Attributes:
        study: The study whose trials are not all finished.
        finished: How many of them are.
        n_trials: How many there are.
    """

    study: str
    finished: int
    n_trials: int


def what_is_left(study: optuna.Study) -> Unfinished | None:
    """Return how far a study is; None if all its trials are finished."""
    trials = study.get_trials(deepcopy=False)
    finished = sum(trial.state.is_finished() for trial in trials)
    return Unfinished(study.study_name, finished, len(trials)) if finished < len(trials) else None


def check_at_least(name: str, value: int, least: int) -> None:
    """Check an option that counts something.

    Raises:
        UsageError: If it is too small.
    """
    if value < least:
        raise UsageError(f"{name} is {value}.", f"It is to be at least {least}.", f"Correct --{name}, or leave it out.")
