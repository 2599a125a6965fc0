"""Queued trials: configurations that are trained again, each with its own seed and split.

They form a second Optuna study next to the search, so that they can be stopped, resumed and shared by many slots like
the trials of a search.
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
"""The end of the name of the second study that trains on shares of the rows."""


@dataclass(frozen=True)
class QueuedTrial:
    """One training of one configuration.

    Attributes:
        candidate: The name of the configuration: the number of its trial in the search, or a word.
        params: Its hyperparameters.
        repeat: The index, from 0, of its seed and of its split (a refit has no split). All configurations with the same
            repeat have the same seed and split.
        refit: The schedule of a training on all development rows; None for a training on folds.
        fraction: The share of the training rows of each fold, in (0, 1].
    """

    candidate: str
    params: Mapping[str, Any]
    repeat: int
    refit: Refit | None = None
    fraction: float = 1.0


class Key(NamedTuple):
    """The identity of a queued trial in its study; attributes as in `QueuedTrial`."""

    candidate: str
    repeat: int
    fraction: float


@dataclass(frozen=True)
class Queue:
    """The queued trials of one study.

    Attributes:
        name: Its name in the storage and its folder in the run dir.
        trials: Its trials; no two have the same candidate, repeat and fraction.
    """

    name: str
    trials: Sequence[QueuedTrial]

    def as_begun(self, study: optuna.Study) -> Queue:
        """Return the queue with which `study` was started before; this queue if it was not started."""
        return Queue(self.name, begun_with(study) or self.trials)

    def fill(self, study: optuna.Study) -> None:
        """Enqueue the trials that `study` does not have yet, or that have failed for a reason that can be corrected."""
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
    """A sampler for trials with given parameters: it refuses to suggest any other parameter."""

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ValueError(
            f"{param_name!r} is asked for, but {trial.user_attrs.get(_CANDIDATE, 'this trial')!r} does not give it, or "
            f"gives what is not in {param_distribution}."
        )


def begun_with(study: optuna.Study) -> tuple[QueuedTrial, ...]:
    """Return the queued trials with which a study was started; empty if it was not started."""
    return tuple(read_record(study, _QUEUE, tuple[QueuedTrial, ...]) or ())


def refit_noted(trial: FrozenTrial) -> Refit | None:
    """Return the schedule of a refit; None for a trial on folds."""
    return parsed_or_none(Refit, trial.user_attrs.get(_REFIT))


def _may_be_mended(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and trial.user_attrs.get("failure") not in FAULTS_OF_CONFIGURATION


def key_of(trial: FrozenTrial) -> Key:
    """Return the identity of a queued trial."""
    attributes = trial.user_attrs
    repeat = parsed_or_none(int, attributes.get(_REPEAT, -1))
    fraction = parsed_or_none(float, attributes.get(_FRACTION, 1.0))
    return Key(str(attributes.get(_CANDIDATE)), -1 if repeat is None else repeat, 1.0 if fraction is None else fraction)


def assignment_of(user_attrs: Mapping[str, Any], prepared: Preparation) -> Assignment:
    """Return the rows and the seed of a queued trial, from its user attributes.

    All fractions of one repeat have the same seed and the same validation rows; they differ in the training rows only.
    """
    repeat = int(user_attrs[_REPEAT])
    place = ("repeat", repeat)
    refit = parsed_or_none(Refit, user_attrs.get(_REFIT))
    if refit is not None:
        return Assignment(prepared.whole, place, refit)
    return Assignment(prepared.repeats.get((repeat, float(user_attrs.get(_FRACTION, 1.0)))), place)
