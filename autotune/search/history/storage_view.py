"""One study in a storage, with its trials read in another way; everything else is read and written as it is."""

from __future__ import annotations

import copy
import datetime
import math
from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autotune.forwarding_storage import ForwardingStorage, Request
from autotune.optuna_inside import id_of_study, storage_of

T = TypeVar("T")
Change = Callable[[FrozenTrial], FrozenTrial]
_LARGEST_STEP = 2**31 - 1  # in PostgreSQL
_LONGEST_KEY = 255


class TrialsReader(Protocol):
    """Another way to read the trials of one study."""

    def trial(self, trial_id: int) -> FrozenTrial | None:
        """Return a trial; None to have it read from the storage."""

    def trials(self) -> Sequence[FrozenTrial]:
        """Return all trials, by their numbers."""

    def note(self, trial_id: int, change: Change) -> None:
        """Take notice of what has just been written to a trial."""


class TrialsWriter(Protocol):
    """When what a trial reports is written to its storage."""

    def write(self, trial_id: int, write: Callable[[], None]) -> None:
        """Have something written to a trial: now, or later in the same order."""

    def settle(self, trial_id: int) -> None:
        """Have all written, at the latest now, that was to be written to a trial."""


class WritesAtOnce:
    """Writes now."""

    def write(self, trial_id: int, write: Callable[[], None]) -> None:
        write()

    def settle(self, trial_id: int) -> None:
        return None


class MappedTrials:
    """The trials of a study, each shown as a function makes it: for readers that write nothing.

    Args:
        study: The study.
        change: From a trial as it is stored to another one, as it is to be shown.
    """

    def __init__(self, study: optuna.Study, change: Change) -> None:
        self._study = study
        self._change = change

    def trial(self, trial_id: int) -> FrozenTrial:
        return self._change(storage_of(self._study).get_trial(trial_id))

    def trials(self) -> list[FrozenTrial]:
        trials = storage_of(self._study).get_all_trials(id_of_study(self._study), deepcopy=False)
        return [self._change(trial) for trial in trials]

    def note(self, trial_id: int, change: Change) -> None:
        return None


class GivenTrials:
    """Trials of a study that were read before: for readers that write nothing.

    Args:
        trials: The trials, by their numbers.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        self._trials = trials

    def trial(self, trial_id: int) -> None:
        return None

    def trials(self) -> Sequence[FrozenTrial]:
        return self._trials

    def note(self, trial_id: int, change: Change) -> None:
        return None


class StorageView(ForwardingStorage):
    """A study's storage whose trials come from a `TrialsReader`.

    Args:
        study: The study.
        reader: Where its trials are read from.
        directions: What its objectives are shown as; None for what they are.
        writer: When reports, and attributes that are numbers or the pruner's, are written; None for at once.
    """

    def __init__(
        self,
        study: optuna.Study,
        reader: TrialsReader,
        directions: Sequence[StudyDirection] | None = None,
        writer: TrialsWriter | None = None,
    ) -> None:
        self._study = study
        self._writer = writer or WritesAtOnce()
        self._directions = list(directions or study.directions)
        self._storage = storage_of(study)
        self._reader = reader

    def ask(self, request: Request[T], again: Request[T] | None = None) -> T:
        return request(self._storage)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        trial = self._reader.trial(trial_id)
        return _copied(trial) if trial is not None else self._storage.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = self._reader.trials()
        chosen = list(trials) if states is None else [t for t in trials if t.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._storage.set_trial_param(trial_id, param_name, param_value_internal, distribution)
        value = distribution.to_external_repr(param_value_internal)
        self._note(trial_id, "params", param_name, value)
        self._note(trial_id, "distributions", param_name, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        self._writer.settle(trial_id)
        is_set = self._storage.set_trial_state_values(trial_id, state, values)

        def change(trial: FrozenTrial) -> FrozenTrial:
            changed = copy.copy(trial)
            changed.state = state
            changed.values = None if values is None else list(values)
            changed.datetime_complete = datetime.datetime.now() if state.is_finished() else None
            return changed

        self._reader.note(trial_id, change)
        return is_set

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        write = partial(self._storage.set_trial_intermediate_value, trial_id, step, intermediate_value)
        self._write(trial_id, write, is_sure=step <= _LARGEST_STEP)
        self._note(trial_id, "intermediate_values", step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        write = partial(self._storage.set_trial_user_attr, trial_id, key, value)
        self._write(trial_id, write, is_sure=_is_numeric(value) and key.isidentifier() and len(key) <= _LONGEST_KEY)
        self._note(trial_id, "user_attrs", key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._writer.write(trial_id, partial(self._storage.set_trial_system_attr, trial_id, key, value))
        self._note(trial_id, "system_attrs", key, value)

    def _write(self, trial_id: int, write: Callable[[], None], is_sure: bool) -> None:
        """Have something written, later if it is sure that every storage takes it: else the caller is to hear it."""
        if is_sure:
            self._writer.write(trial_id, write)
        else:
            self._writer.settle(trial_id)  # what came before comes before
            write()

    def get_study_id_from_name(self, study_name: str) -> int:
        if study_name == self._study.study_name:
            return id_of_study(self._study)  # a query less for every suggestion
        return self._storage.get_study_id_from_name(study_name)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return list(self._directions)  # which never change

    def _note(self, trial_id: int, field: str, key: Any, value: Any) -> None:
        def change(trial: FrozenTrial) -> FrozenTrial:
            changed = copy.copy(trial)  # whoever holds the trial as it was keeps it so
            setattr(changed, field, {**getattr(trial, field), key: value})
            return changed

        self._reader.note(trial_id, change)


def all_trials(study: optuna.Study) -> Sequence[FrozenTrial]:
    """Return all trials of a study, by their numbers: without a copy of the list, if they are known already.

    For who looks at a few of them. A bracket of Hyperband's is a study, too, and shows the trials of all brackets.
    """
    storage = storage_of(study)
    if isinstance(storage, StorageView):
        return storage._reader.trials()
    return storage.get_all_trials(id_of_study(study), deepcopy=False)


def _is_numeric(value: Any) -> bool:
    """Say whether a value is a number, or a list of numbers or of such lists."""
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))


def _copied(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial whose dictionaries are its own: Optuna's `Trial` writes into those that it is given."""
    copied = copy.copy(trial)
    for field in ("params", "distributions", "intermediate_values", "user_attrs", "system_attrs"):
        setattr(copied, field, dict(getattr(trial, field)))
    return copied
