"""A view of one study's storage that shows its trials changed or cached; everything else passes through unchanged."""

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
_LARGEST_STEP = 2**31 - 1  # PostgreSQL's limit
_LONGEST_KEY = 255


class TrialsReader(Protocol):
    """A source of the trials of one study, in place of the storage."""

    def trial(self, trial_id: int) -> FrozenTrial | None:
        """Return a trial; None to read it from the storage."""

    def trials(self) -> Sequence[FrozenTrial]:
        """Return all trials, ordered by number."""

    def note(self, trial_id: int, change: Change) -> None:
        """Apply a change that was just written to a trial."""


class TrialsWriter(Protocol):
    """Decides when a trial's reports and attributes are written to the storage."""

    def write(self, trial_id: int, write: Callable[[], None]) -> None:
        """Call `write` for a trial now, or later but in the order of the calls."""

    def settle(self, trial_id: int) -> None:
        """Finish all writes of a trial before returning."""


class WritesAtOnce:
    """Writes immediately."""

    def write(self, trial_id: int, write: Callable[[], None]) -> None:
        write()

    def settle(self, trial_id: int) -> None:
        return None


class MappedTrials:
    """The stored trials of a study, each changed by a function; for views that only read.

    Args:
        study: The study.
        change: The function from a stored trial to the trial to show.
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
    """Trials of a study that were read before; for views that only read.

    Args:
        trials: The trials, ordered by number.
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
        reader: The source of its trials.
        directions: The directions to show; None for the study's own.
        writer: Decides when reports, numeric user attributes and system attributes are written; None to write
            immediately.
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
        """Write through the writer if every storage accepts the value; else now, so that the caller gets errors."""
        if is_sure:
            self._writer.write(trial_id, write)
        else:
            self._writer.settle(trial_id)  # earlier writes come first
            write()

    def get_study_id_from_name(self, study_name: str) -> int:
        if study_name == self._study.study_name:
            return id_of_study(self._study)  # saves a query in every suggestion
        return self._storage.get_study_id_from_name(study_name)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return list(self._directions)  # they never change

    def _note(self, trial_id: int, field: str, key: Any, value: Any) -> None:
        def change(trial: FrozenTrial) -> FrozenTrial:
            changed = copy.copy(trial)  # a copy, because callers may hold the old trial
            setattr(changed, field, {**getattr(trial, field), key: value})
            return changed

        self._reader.note(trial_id, change)


def all_trials(study: optuna.Study) -> Sequence[FrozenTrial]:
    """Return all trials of a study, ordered by number, without a copy of the list if it is cached.

    If `study` is a bracket of Hyperband, this returns the trials of all brackets.
    """
    storage = storage_of(study)
    if isinstance(storage, StorageView):
        return storage._reader.trials()
    return storage.get_all_trials(id_of_study(study), deepcopy=False)


def _is_numeric(value: Any) -> bool:
    """Tell whether a value is a number, or a (nested) list of numbers."""
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))


def _copied(trial: FrozenTrial) -> FrozenTrial:
    """Copy a trial with its dictionaries, because Optuna's `Trial` writes into the ones that it gets."""
    copied = copy.copy(trial)
    for field in ("params", "distributions", "intermediate_values", "user_attrs", "system_attrs"):
        setattr(copied, field, dict(getattr(trial, field)))
    return copied
