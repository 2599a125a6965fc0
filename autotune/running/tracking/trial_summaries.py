"""Summaries of a study's trials: the event at the start of a run, and why trials failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.failures import SUMMARY, last_line
from autotune.parsing import parsed_or_none
from autotune.running.study import FINISHED, StudySettings
from autotune.running.tracking.events import RunStarted
from autotune.search.history import best_first, first_value
from autotune.training.records import n_finished_folds

_LONGEST_REASON = 40  # characters of one word


def run_started(
    study: optuna.Study, trials: Sequence[FrozenTrial], settings: StudySettings, slots: int, folds: int | None
) -> RunStarted:
    """Return the event for a run that starts on this machine.

    Args:
        study: The study.
        trials: Its trials.
        settings: Its stored settings.
        slots: The number of slots.
        folds: The number of folds of each trial; None if it is unknown.
    """
    states = Counter(trial.state for trial in trials)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = next(iter(best_first(study, complete)), None)
    return RunStarted(
        name=study.study_name,
        n_trials=settings.n_trials,
        finished=sum(states[state] for state in FINISHED),
        slots=slots,
        epochs=settings.epochs if settings.monitor else None,
        direction=study.directions[0].name.lower(),
        monitor=settings.monitor,
        folds=folds,
        pruned=states[TrialState.PRUNED],
        failed=dict(Counter(failure_reason(trial) for trial in trials if trial.state == TrialState.FAIL)),
        waiting=tuple(trial.number for trial in trials if trial.state == TrialState.WAITING),
        best=(best.number, first_value(best) or 0.0) if best else None,
    )


def failure_reason(trial: FrozenTrial) -> str:
    """Return why a trial has failed, in one word."""
    found = parsed_or_none(str, trial.user_attrs.get("failure", "error"))
    return "error" if found is None else found[:_LONGEST_REASON]


def last_words(trial: FrozenTrial) -> str:
    """Return why a trial has failed, in one line: the last line of its summary or message; "" if it has neither."""
    summary, message = (parsed_or_none(str, trial.user_attrs.get(key)) or "" for key in (SUMMARY, "failure_message"))
    return last_line(summary) or last_line(message)


def most_folds(trials: Sequence[FrozenTrial]) -> int | None:
    """Return the largest number of folds of a complete trial; None if no complete trial has several."""
    found = [n_finished_folds(trial.user_attrs) for trial in trials if trial.state == TrialState.COMPLETE]
    return max(found, default=0) or None


def mean_seconds(trials: Sequence[FrozenTrial]) -> float | None:
    """Return the mean duration of finished trials in seconds; None if there is none."""
    taken = [trial.duration.total_seconds() for trial in trials if trial.state in FINISHED and trial.duration]
    return sum(taken) / len(taken) if taken else None
