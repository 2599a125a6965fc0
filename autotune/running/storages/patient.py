"""A storage that is waited for while it is away: a database that restarts, a network that comes back.

What is covered: every method of Optuna's storages. A request whose answer was lost is sent again, and counts as done if
it turns out to have been done the first time. What is not: a new trial may have been created twice, so ask only for
WAITING ones (one more of them is no harm); and a claim may have been made of which nobody has heard: the trial is then
RUNNING, the claim counts as lost, and whoever wrote down whose the trial is has to notice that nobody runs it.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import StorageError, StorageLostError, not_understood
from autotune.escaping import say
from autotune.parsing import UNREADABLE
from autotune.running.storages.outages import is_away, is_servers, reason, why_unreadable
from autotune.running.storages.quick import QuickStorage

T = TypeVar("T")


def _say(line: str) -> None:
    say(line, sys.stderr)


@dataclass(frozen=True)
class Patience:
    """How to wait for a storage.

    Attributes:
        patience_s: How long before giving up.
        opening_s: The same for a storage that is to be opened: its URL may be wrong.
        first_wait_s: How long to wait before asking again; twice as long each further time.
        longest_wait_s: How long at most.
        clock: Returns seconds that never go back.
        sleep: Waits so many seconds; returns True (as `threading.Event.wait` does) to give up at once.
        chance: Makes waits differ, so that many who wait do not come all at once.
        say: Shows a line.
    """

    patience_s: float = 1800.0
    opening_s: float = 60.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    chance: random.Random = field(default_factory=random.Random)
    say: Callable[[str], None] = _say

    def wait_s(self, attempts: int) -> float:
        """Return how long to wait after so many attempts, in seconds."""
        longest = min(self.first_wait_s * 2.0 ** min(attempts - 1, 60), self.longest_wait_s)
        return longest * self.chance.uniform(0.5, 1.0)


class PatientStorage(BaseStorage):
    """Optuna's storage, waited for while it is away.

    It may be used in a forked process: there the storage is opened anew.

    Args:
        opener: Opens the storage; at once, and again in each process that inherits or unpickles it.
        name: What to call it in messages: its URL without the password.
        patience: How to wait.
        is_read_only: Whether it is for looking only: nothing is written to it, whatever its kind.
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
        """The storage that is waited for."""
        return self._here().storage

    def _here(self) -> _Opened:
        if self._opened.pid != os.getpid():
            # The connections are the other process's; what is only dropped here might be closed for both.
            self._opened = replace(self._open(self._patience), inherited=self._opened)
        return self._opened

    def _open(self, patience: Patience) -> _Opened:
        outage = _Outage(self._name, self._patience)
        opening = _Outage(self._name, replace(patience, patience_s=patience.opening_s))
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

    def _ask(self, request: Callable[[BaseStorage], T], again: Callable[[BaseStorage], T] | None = None) -> T:
        """Have `request` answered, however long it takes; ask `again` where a first answer may have been lost."""
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
                if attempts:  # any other answer may come from a cache
                    here.outage.end(sent)
                return result
            attempts += 1
            if not here.outage.wait(failure, began, attempts):
                raise _gave_up(self._name, failure) from failure
            request = again or request

    def _write(self, request: Callable[[BaseStorage], T], again: Callable[[BaseStorage], T] | None = None) -> T:
        """Have `request`, which writes, answered like any other."""
        if self._is_read_only:
            raise StorageError(
                f"the storage {self._name} was opened to be looked at, and something was to be written to it.",
                "Who only looks changes nothing.",
                "Open it by a command that runs trials.",
            )
        return self._ask(request, again)

    def _read(self, request: Callable[[BaseStorage], T], study_id: int | None = None) -> T:
        """Have `request`, which reads, answered; records that nobody can understand are named as such.

        Raises:
            StoredStudyError: If what is stored makes no sense.
        """
        try:
            return self._ask(request)
        except Exception as error:
            if (why := why_unreadable(error)) is None:
                raise
            raise not_understood(self._name_of(study_id), why) from error

    def _name_of(self, study_id: int | None) -> str | None:
        with contextlib.suppress(KeyError, *UNREADABLE):
            return None if study_id is None else self._ask(lambda storage: storage.get_study_name_from_id(study_id))
        return None

    def study_names(self) -> list[str]:
        """Return the names of all studies, of those too that cannot be understood where that is possible."""

        def read(storage: BaseStorage) -> list[str]:
            backend = getattr(storage, "_backend", None)
            if isinstance(backend, QuickStorage):
                return backend.study_names()
            return [study.study_name for study in storage.get_all_studies()]

        return self._read(read)

    # ---- studies ----

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        name = study_name or f"no-name-{uuid.uuid4()}"  # as Optuna does: the same one each time it is asked for

        def create_again(storage: BaseStorage) -> int:
            try:
                return storage.create_new_study(directions, name)
            except DuplicatedStudyError:
                study_id = storage.get_study_id_from_name(name)
                is_new = not storage.get_all_trials(study_id, deepcopy=False)
                if is_new and storage.get_study_directions(study_id) == list(directions):
                    return study_id
                raise

        return self._write(lambda storage: storage.create_new_study(directions, name), create_again)

    def delete_study(self, study_id: int) -> None:
        def delete_again(storage: BaseStorage) -> None:
            try:
                storage.delete_study(study_id)
            except KeyError:
                return  # it was deleted the first time

        self._write(lambda storage: storage.delete_study(study_id), delete_again)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._write(lambda storage: storage.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._write(lambda storage: storage.set_study_system_attr(study_id, key, value))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._ask(lambda storage: storage.get_study_id_from_name(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._ask(lambda storage: storage.get_study_name_from_id(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        found = self._read(lambda storage: storage.get_study_directions(study_id), study_id)
        if not found:
            raise not_understood(self._name_of(study_id), "it has no direction")
        return found

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._read(lambda storage: storage.get_study_user_attrs(study_id), study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._read(lambda storage: storage.get_study_system_attrs(study_id), study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._read(lambda storage: storage.get_all_studies())

    # ---- trials, written ----

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._write(lambda storage: storage.create_new_trial(study_id, template_trial))

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        # Again: databases keep the first value, the journal the last, and both are the same.
        self._write(
            lambda storage: storage.set_trial_param(trial_id, param_name, param_value_internal, distribution),
        )

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        def change(storage: BaseStorage) -> bool:
            return storage.set_trial_state_values(trial_id, state, values)

        if state.is_finished():
            return self._write(change, lambda storage: _finish_again(storage, trial_id, state, values))
        if state == TrialState.WAITING:
            claimed = self.get_trial(trial_id).datetime_start

            def put_back_again(storage: BaseStorage) -> bool:
                trial = storage.get_trial(trial_id)
                if trial.state == TrialState.WAITING or trial.datetime_start != claimed:
                    return True  # it waits, or somebody else has claimed it since
                return change(storage)

            return self._write(change, put_back_again)
        return self._write(change)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._write(lambda storage: storage.set_trial_intermediate_value(trial_id, step, intermediate_value))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._write(lambda storage: storage.set_trial_user_attr(trial_id, key, value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._write(lambda storage: storage.set_trial_system_attr(trial_id, key, value))

    # ---- trials, read; Optuna's base class answers the rest from these ----

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._ask(lambda storage: storage.get_trial_id_from_study_id_trial_number(study_id, trial_number))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._read(lambda storage: storage.get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._read(lambda storage: storage.get_all_trials(study_id, deepcopy, states), study_id)

    def outlines(self, study_id: int) -> list[FrozenTrial]:
        """Return all trials of a study with their states, times and values, whatever else they may have."""

        def read(storage: BaseStorage) -> list[FrozenTrial]:
            backend = getattr(storage, "_backend", None)
            if isinstance(backend, QuickStorage):
                return backend.outlines(study_id)
            return storage.get_all_trials(study_id, deepcopy=False)

        return self._read(read, study_id)

    def trials_in(self, study_id: int, states: Container[TrialState]) -> list[FrozenTrial]:
        """Return the trials of a study in some states, without a look at the others where that is possible."""

        def read(storage: BaseStorage) -> list[FrozenTrial]:
            backend = getattr(storage, "_backend", None)
            if isinstance(backend, QuickStorage):  # Optuna's cache before it would read all
                return backend.get_all_trials(study_id, deepcopy=False, states=states)
            return storage.get_all_trials(study_id, deepcopy=False, states=states)

        return self._read(read, study_id)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        return self._read(lambda storage: storage.get_best_trial(study_id), study_id)

    def remove_session(self) -> None:
        self.inner.remove_session()


def _gave_up(name: str, failure: Exception) -> StorageError:
    return StorageError(
        f"the storage {name} does not answer: {reason(failure)}.",
        "It is waited for, but not for ever, and not when the run is to end.",
        "Run the same command again when it answers: what was running goes on with all its finished epochs.",
    )


def _failed_there(name: str, failure: Exception) -> StorageLostError:
    return StorageLostError(
        f"the storage {name} answers with an error: {reason(failure)}.",
        "It passes on what goes wrong where the studies are kept.",
        "See what `autotune serve` says there, put that right, and run the same command again.",
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
    """A storage as it was opened in a process."""

    pid: int
    storage: BaseStorage
    outage: _Outage
    inherited: _Opened | None = None


class _Outage:
    """Whether the storage is away at the moment, as all threads of a process know it, and as they say it once."""

    def __init__(self, name: str, patience: Patience) -> None:
        self._name = name
        self._patience = patience
        self._lock = threading.Lock()
        self._since: float | None = None

    def wait(self, error: Exception, began: float, attempts: int) -> bool:
        """Wait a moment after the last of some attempts, the first of them at `began`; False to give up."""
        wait_s = self._patience.wait_s(attempts)
        if self._patience.clock() + wait_s - began > self._patience.patience_s:
            return False
        if attempts > 1:  # what the second attempt heals was no more than a lost connection
            self._begin(error)
        return self._patience.sleep(wait_s) is not True

    def _begin(self, error: Exception) -> None:
        with self._lock:
            if self._since is not None:
                return
            self._since = self._patience.clock()
            self._patience.say(f"The storage {self._name} does not answer: {reason(error)}. Waiting for it ...")

    def end(self, sent: float) -> None:
        """Note that a request which was sent at this time has been answered."""
        if self._since is None or sent < self._since:
            return
        with self._lock:
            if self._since is None:
                return
            seconds = self._patience.clock() - self._since
            self._since = None
            self._patience.say(f"The storage {self._name} answers again after {seconds:.0f} s.")
