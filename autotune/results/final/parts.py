"""Progress of the studies of repeats and refits, and a check of their options."""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from autotune.errors import UsageError


@dataclass(frozen=True)
class Unfinished:
    """The progress of an unfinished study when the time ran out.

    Attributes:
        study: The name of the study.
        finished: Number of its finished trials.
        n_trials: Number of all its trials.
    """

    study: str
    finished: int
    n_trials: int


def what_is_left(study: optuna.Study) -> Unfinished | None:
    """Return the progress of a study; None if all its trials are finished."""
    trials = study.get_trials(deepcopy=False)
    finished = sum(trial.state.is_finished() for trial in trials)
    return Unfinished(study.study_name, finished, len(trials)) if finished < len(trials) else None


def check_at_least(name: str, value: int, least: int) -> None:
    """Check an option that counts something.

    Raises:
        UsageError: If it is too small.
    """
    if value < least:
        raise UsageError(f"{name} is {value}.", f"It must be at least {least}.", f"Correct --{name}, or leave it out.")
