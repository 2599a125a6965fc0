"""Trials that are known beforehand: configurations to be trained again, each with a seed and a split of its own.

They are an Optuna study of their own beside the one that they belong to, so that they can be stopped, go on and be
shared by many workers as the trials of any search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.running.preparing import Preparation
from autotune.running.trial_task import Assignment
from autotune.search import FAULTS_OF_CONFIGURATION
from autotune.training.refit import Refit

_CANDIDATE, _REPEAT, _REFIT = "candidate", "repeat", "refit"
_QUEUE = "autotune:queue"


@dataclass(frozen=True)
class QueuedTrial:
    """One configuration, to be trained once.

    Attributes:
        candidate: What the configuration is called: the number of the trial that it comes from, or a word.
        params: Its hyperparameters.
        repeat: Which seed it is trained with, and, unless it is refitted, on which split: the same for every
            configuration with this repeat. From 0.
        refit: How to train it on all development rows; None to train it on folds.
    """

    candidate: str
    params: Mapping[str, Any]
    repeat: int
    refit: Refit | None = None


@dataclass(frozen=True)
class Queue:
    """The trials of one study.

    Attributes:
        name: Its name in the storage and its folder in the run dir.
        trials: What it consists of; no two with the same candidate and repeat.
    """

    name: str
    trials: Sequence[QueuedTrial]

    def as_begun(self, study: optuna.Study) -> Queue:
        """Return what `study` was begun with, which is recorded before the first trial waits; else this."""
        return Queue(self.name, begun_with(study) or self.trials)

    def fill(self, study: optuna.Study) -> None:
        """Let those trials wait in `study` that are not there yet, or have failed by a mistake that may be mended."""
        if not begun_with(study):
            study.set_user_attr(_QUEUE, [asdict(trial) for trial in self.trials])
        there = {key_of(trial) for trial in study.get_trials(deepcopy=False) if not _may_be_mended(trial)}
        for trial in self.trials:
            if (trial.candidate, trial.repeat) in there:
                continue
            noted = {_CANDIDATE: trial.candidate, _REPEAT: trial.repeat}
            refit = {_REFIT: asdict(trial.refit)} if trial.refit else {}
            study.enqueue_trial(dict(trial.params), user_attrs={**noted, **refit})


class NothingToSuggest(optuna.samplers.RandomSampler):
    """A sampler for trials that are wholly known: what they are asked beside that is a mistake."""

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ValueError(
            f"{param_name!r} is asked for, but {trial.user_attrs.get(_CANDIDATE, 'this trial')!r} does not give it, or "
            f"gives what is not in {param_distribution}."
        )


def begun_with(study: optuna.Study) -> tuple[QueuedTrial, ...]:
    """Return the trials that a study was begun with; none if it was not begun."""
    return tuple(
        QueuedTrial(**{**stored, _REFIT: _refit(stored[_REFIT])}) for stored in study.user_attrs.get(_QUEUE, [])
    )


def _refit(stored: Mapping[str, Any] | None) -> Refit | None:
    return None if stored is None else Refit(stored["epochs"], tuple(stored["learning_rates"]))


def _may_be_mended(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and trial.user_attrs.get("failure") not in FAULTS_OF_CONFIGURATION


def key_of(trial: FrozenTrial) -> tuple[str, int]:
    """Return the candidate and the repeat of a trial that was queued."""
    return str(trial.user_attrs.get(_CANDIDATE)), int(trial.user_attrs.get(_REPEAT, -1))


def assignment_of(user_attrs: Mapping[str, Any], prepared: Preparation) -> Assignment:
    """Return what a queued trial trains on, from what it says of itself."""
    place = ("repeat", int(user_attrs[_REPEAT]))
    refit = _refit(user_attrs.get(_REFIT))
    if refit is not None:
        return Assignment(prepared.whole, place, refit)
    return Assignment(prepared.repeats[place[1]] if prepared.repeats else None, place)
