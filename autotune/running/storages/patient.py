"""A storage whose requests wait while it is unreachable, e.g. while a database restarts.

What is covered: every method of Optuna's storages. If the answer to a request was lost, the request is sent again. It
then counts as done if it was done the first time. What is not covered: a new trial may be created twice, so create only
WAITING ones, of which one more does no harm. And a claim may succeed although its answer is lost. The trial is RUNNING
then, the caller believes that it has lost the claim, and it must notice later that the trial has its own mark.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import StorageError, StorageLostError, not_understood
from autotune.forwarding_storage import ForwardingStorage, Request
from autotune.parsing import UNREADABLE
from autotune.running.storages.outages import is_away, is_servers, reason, why_unreadable
from autotune.running.storages.patience import Outage, Patience
from autotune.running.storages.quick import quick_behind

T = TypeVar("T")


class PatientStorage(ForwardingStorage):
    """Optuna's storage, whose requests wait while it is unreachable.

    It may be used in a forked process, which opens the storage again.

    Args:
        opener: Opens the storage: now, and again in each process that inherits or unpickles it.
        name: Its name in messages: the URL without the password.
        patience: How to wait. None to fail at once if it cannot be opened now, and to wait later.
        is_read_only: Whether to refuse all writes.
    """

    def __init__(
        self,
        opener: Callable[[], BaseStorage],
        name: str,
        patience: Patience | None = None,
        is_read_only: bool = False,
    ) -> None:
        self._opener = opener
        self._name = name
        self._is_read_only = is_read_only
        self._patience = patience or Patience()
        self._opened = self._open(self._patience if patience else replace(self._patience, opening_s=0.0))

    def __reduce__(self) -> tuple[object, ...]:
        return PatientStorage, (self._opener, self._name, None, self._is_read_only)

    @property
    def inner(self) -> BaseStorage:
        """The storage itself, whose requests do not wait."""
        return self._here().storage

    def _here(self) -> _Opened:
        if self._opened.pid != os.getpid():
            # Keep the old connections: dropping them could close them for the other process, too.
            self._opened = replace(self._open(self._patience), inherited=self._opened)
        return self._opened

    def _open(self, patience: Patience) -> _Opened:
        outage = Outage(self._name, self._patience)
        opening = Outage(self._name, replace(patience, patience_s=patience.opening_s))
        began = patience.clock()
        attempts = 0
        while True:
            sent = patience.clock()
            try:
                storage = self._opener()
            except StorageError as error:
                attempts += 1
                cause = error.__cause__
                if not (isinstance(cause, Exception) and is_away(cause) and opening.wait(cause, began, attempts)):
                    raise
            else:
                opening.end(sent)
                return _Opened(os.getpid(), storage, outage)

    def ask(self, request: Request[T], again: Request[T] | None = None, *, writes: bool = False) -> T:
        """Return the answer to `request`, waiting while the storage is unreachable.

        Args:
            request: The request.
            again: The request for further attempts, if the answer to the first may have been lost; None for the same.
            writes: Whether the request writes, so that no cache can answer it.

        Raises:
            StorageError: If the storage stays unreachable for too long.
            StorageLostError: If a proxy answers with an error of the storage behind it.
        """
        here = self._here()
        began = self._patience.clock()
        attempts = 0
        while True:
            sent = self._patience.clock()
            try:
                result = request(here.storage)
            except Exception as error:
                if is_servers(error) and not is_away(error):
                    raise _failed_there(self._name, error) from error
                if not is_away(error):
                    raise
                failure = error
            else:
                if attempts or writes:  # else the answer may come from a cache
                    here.outage.end(sent)
                return result
            attempts += 1
            if not here.outage.wait(failure, began, attempts):
                raise _gave_up(self._name, failure) from failure
            request = again or request

    def write(self, request: Request[T], again: Request[T] | None = None) -> T:
        """Return the answer to a request that writes, like `ask`.

        Raises:
            StorageError: Also if the storage was opened for reading only.
        """
        if self._is_read_only:
            raise StorageError(
                f"the storage {self._name} was opened for reading, but something tried to write to it.",
                "Commands that only read must not change the storage.",
                "Use a command that runs trials to write to it.",
            )
        return self.ask(request, again, writes=True)

    def read(self, request: Request[T], study_id: int | None = None) -> T:
        """Return the answer to a request that reads, like `ask`.

        Raises:
            StoredStudyError: If a stored record is invalid.
        """
        try:
            return self.ask(request)
        except Exception as error:
            if (why := why_unreadable(error)) is None:
                raise
            raise not_understood(self._name_of(study_id), why) from error

    def _name_of(self, study_id: int | None) -> str | None:
        with contextlib.suppress(KeyError, *UNREADABLE):
            return None if study_id is None else self.ask(lambda storage: storage.get_study_name_from_id(study_id))
        return None

    def study_names(self) -> list[str]:
        """Return the names of all studies; a database also gives those of studies with invalid records."""

        def read(storage: BaseStorage) -> list[str]:
            if (quick := quick_behind(storage)) is not None:
                return quick.study_names()
            return [study.study_name for study in storage.get_all_studies()]

        return self.read(read)

    # ---- studies ----

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        name = study_name or f"no-name-{uuid.uuid4()}"  # like Optuna, but the same name in each attempt

        def create_again(storage: BaseStorage) -> int:
            try:
                return storage.create_new_study(directions, name)
            except DuplicatedStudyError:
                study_id = storage.get_study_id_from_name(name)
                is_new = not storage.get_all_trials(study_id, deepcopy=False)
                if is_new and storage.get_study_directions(study_id) == list(directions):
                    return study_id
                raise

        return self.write(lambda storage: storage.create_new_study(directions, name), create_again)

    def delete_study(self, study_id: int) -> None:
        def delete_again(storage: BaseStorage) -> None:
            try:
                storage.delete_study(study_id)
            except KeyError:
                return  # it was deleted the first time

        self.write(lambda storage: storage.delete_study(study_id), delete_again)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        found = super().get_study_directions(study_id)
        if not found:
            raise not_understood(self._name_of(study_id), "it has no direction")
        return found

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        def change(storage: BaseStorage) -> bool:
            return storage.set_trial_state_values(trial_id, state, values)

        if state.is_finished():
            return self.write(change, lambda storage: _finish_again(storage, trial_id, state, values))
        if state == TrialState.WAITING:
            claimed = self.get_trial(trial_id).datetime_start

            def put_back_again(storage: BaseStorage) -> bool:
                trial = storage.get_trial(trial_id)
                if trial.state == TrialState.WAITING or trial.datetime_start != claimed:
                    return True  # it waits, or another parent has claimed it since
                return change(storage)

            return self.write(change, put_back_again)
        return self.write(change)

    # ---- trials, read ----

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self.ask(lambda storage: storage.get_trial_id_from_study_id_trial_number(study_id, trial_number))

    def outlines(self, study_id: int) -> list[FrozenTrial]:
        """Return all trials of a study with their states, times and values; other fields may be empty."""

        def read(storage: BaseStorage) -> list[FrozenTrial]:
            if (quick := quick_behind(storage)) is not None:
                return quick.outlines(study_id)
            return storage.get_all_trials(study_id, deepcopy=False)

        return self.read(read, study_id)

    def trials_in(self, study_id: int, states: Container[TrialState]) -> list[FrozenTrial]:
        """Return the trials of a study in some states; databases do not read the others."""

        return self.read(lambda to: (quick_behind(to) or to).get_all_trials(study_id, False, states), study_id)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        return self.read(lambda storage: storage.get_best_trial(study_id), study_id)

    def remove_session(self) -> None:
        self.inner.remove_session()


def _gave_up(name: str, failure: Exception) -> StorageError:
    return StorageError(
        f"the storage {name} does not answer: {reason(failure)}.",
        "The run has waited for it, but not longer than the limit, and not after it was told to end.",
        "Run the same command again when it answers: trials go on after their last finished epochs.",
    )


def _failed_there(name: str, failure: Exception) -> StorageLostError:
    return StorageLostError(
        f"the storage {name} answers with an error: {reason(failure)}.",
        "This proxy passes on errors of the storage behind it.",
        "Read the output of `autotune serve` there, correct the problem, and run the same command again.",
    )


def _finish_again(storage: BaseStorage, trial_id: int, state: TrialState, values: Sequence[float] | None) -> bool:
    try:
        return storage.set_trial_state_values(trial_id, state, values)
    except UpdateFinishedTrialError:
        trial = storage.get_trial(trial_id)
        if trial.state == state and (values is None or trial.values == list(values)):
            return True  # it was finished the first time
        raise


@dataclass(frozen=True)
class _Opened:
    """A storage that was opened in the process `pid`."""

    pid: int
    storage: BaseStorage
    outage: Outage
    inherited: _Opened | None = None
