"""Trials that are known beforehand: configurations to be trained again, each with a seed and a split of its own.

They are an Optuna study of their own beside the one that they belong to, so that they can be stopped, go on and be
shared by many workers as the trials of any search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.parsing import parsed_or_none
from autotune.running.study import read_record
from autotune.running.trial import Assignment, Preparation
from autotune.search.history import FAULTS_OF_CONFIGURATION
from autotune.study_name import PARTS
from autotune.training.records import Refit

_CANDIDATE, _REPEAT, _REFIT, _FRACTION = "candidate", "repeat", "refit", "fraction"
_QUEUE = "autotune:queue"
LEARNING_CURVE = PARTS[2]
"""What the name of a search's learning curve ends with."""


@dataclass(frozen=True)
class QueuedTrial:
    """One configuration, to be trained once.

    Attributes:
        candidate: What the configuration is called: the number of the trial that it comes from, or a word.
        params: Its hyperparameters.
        repeat: Which seed it is trained with, and, unless it is refitted, on which split: the same for every
            configuration with this repeat. From 0.
        refit: How to train it on all development rows; None to train it on folds.
        fraction: On which share of the training rows of each fold, in (0, 1].
    """

    candidate: str
    params: Mapping[str, Any]
    repeat: int
    refit: Refit | None = None
    fraction: float = 1.0


class Key(NamedTuple):
    """What tells the queued trials of a study from each other; attributes as in `QueuedTrial`."""

    candidate: str
    repeat: int
    fraction: float


@dataclass(frozen=True)
class Queue:
    """The trials of one study.

    Attributes:
        name: Its name in the storage and its folder in the run dir.
        trials: What it consists of; no two with the same candidate, repeat and fraction.
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
            if Key(trial.candidate, trial.repeat, trial.fraction) in there:
                continue
            noted = {_CANDIDATE: trial.candidate, _REPEAT: trial.repeat}
            refit = {_REFIT: asdict(trial.refit)} if trial.refit else {}
            part = {_FRACTION: trial.fraction} if trial.fraction != 1 else {}
            study.enqueue_trial(dict(trial.params), user_attrs={**noted, **refit, **part})


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
    return tuple(read_record(study, _QUEUE, tuple[QueuedTrial, ...]) or ())


def refit_noted(trial: FrozenTrial) -> Refit | None:
    """Return how a queued trial is trained on all rows; None if it is trained on folds."""
    return parsed_or_none(Refit, trial.user_attrs.get(_REFIT))


def _may_be_mended(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and trial.user_attrs.get("failure") not in FAULTS_OF_CONFIGURATION


def key_of(trial: FrozenTrial) -> Key:
    """Return what a trial that was queued is."""
    attributes = trial.user_attrs
    repeat = parsed_or_none(int, attributes.get(_REPEAT, -1))
    fraction = parsed_or_none(float, attributes.get(_FRACTION, 1.0))
    return Key(str(attributes.get(_CANDIDATE)), -1 if repeat is None else repeat, 1.0 if fraction is None else fraction)


def assignment_of(user_attrs: Mapping[str, Any], prepared: Preparation) -> Assignment:
    """Return what a queued trial trains on, from what it says of itself.

    Fractions of one repeat share their seeds, as they share their validation rows: they differ in the rows alone.
    """
    repeat = int(user_attrs[_REPEAT])
    place = ("repeat", repeat)
    refit = parsed_or_none(Refit, user_attrs.get(_REFIT))
    if refit is not None:
        return Assignment(prepared.whole, place, refit)
    return Assignment(prepared.repeats.get((repeat, float(user_attrs.get(_FRACTION, 1.0)))), place)
