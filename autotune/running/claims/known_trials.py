"""The trials of a study, read once for all slots of a parent.

Reading a study's trials takes milliseconds for each slot at work, and samplers, pruners and claims need them many times
in each trial: a parent with many slots would do nothing else. Here, changes by other parents appear after at most about
a second. Changes by this parent appear at once, so that a search with one slot sees exactly what is stored.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import overload

import optuna
from optuna.trial import FrozenTrial

from autotune.optuna_inside import id_of
from autotune.search.history import Change

_SHARE = 0.05  # the largest share of time that goes into reading
_MAX_AGE_S = 1.0
_PATIENCE_S = 1.0  # how long to wait for a storage that does not answer, before the known trials are used


class KnownTrials:
    """The trials of one study, for the threads of one parent.

    Args:
        storage: The storage.
        study_id: The study's id in it.
        clock: Returns seconds; must never go back.

    Attributes:
        storage: The storage.
        study_id: The study's id in it.
    """

    def __init__(
        self, storage: optuna.storages.BaseStorage, study_id: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.storage = storage
        self.study_id = study_id
        self._clock = clock
        self._lock = threading.RLock()  # reentrant, because `release` calls `forget`
        self._reading = threading.Lock()
        self._trials: list[FrozenTrial] = []
        self._held: dict[int, FrozenTrial] = {}  # by id; only this parent writes to these
        self._newer: dict[int, FrozenTrial] = {}  # by number: created or ended here, maybe after the last read began
        self._good_until = float("-inf")
        self._n_forgotten = 0

    def trials(self) -> Sequence[FrozenTrial]:
        """Return all trials, ordered by number."""
        if self._clock() >= self._good_until:
            self._read_again()
        with self._lock:
            n_known = len(self._trials)
            held = {trial.number: trial for trial in self._held.values() if trial.number < n_known}
            return _Trials(self._trials, n_known, held)

    def n_known(self) -> int:
        """Return how many trials are known, without reading any."""
        return len(self._trials)

    def trial(self, trial_id: int) -> FrozenTrial | None:
        """Return a trial if it is held; None otherwise."""
        return self._held.get(trial_id)

    def id_of(self, number: int) -> int:
        """Return a trial's id from the storage.

        Raises:
            KeyError: If there is no such trial.
        """
        return self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)

    def note(self, trial_id: int, change: Change) -> None:
        """Apply a change that this parent has just written to a trial."""
        with self._lock:
            if trial_id in self._held:
                self._held[trial_id] = change(self._held[trial_id])

    def hold(self, trial: FrozenTrial) -> None:
        """Keep a trial that this parent has just created or claimed. From now on only this parent writes to it."""
        with self._lock:
            self._held[id_of(trial)] = trial
            self._put(trial)

    def release(self, number: int) -> None:
        """Stop holding a trial. If its end is known, it is kept until the next read; otherwise all is read again."""
        with self._lock:
            for trial in [t for t in self._held.values() if t.number == number]:
                del self._held[id_of(trial)]
                if trial.state.is_finished():
                    self._put(trial)
                else:
                    self.forget()

    def drop(self, trial_id: int) -> None:
        """Stop holding a trial that was written to without `note`, and read all trials again when next needed."""
        with self._lock:
            trial = self._held.pop(trial_id, None)
            if trial is not None:
                self._newer.pop(trial.number, None)
        self.forget()

    def forget(self) -> None:
        """Read all trials again when they are next needed."""
        with self._lock:
            self._n_forgotten += 1
            self._good_until = float("-inf")

    def _read_again(self) -> None:
        """Read all trials. If that takes long, threads use the trials of the last read, unless these are forgotten."""
        if self._good_until == float("-inf"):
            self._read()
        elif not self._reading.locked():
            reading = threading.Thread(target=self._read_if_possible, name="autotune-read", daemon=True)
            reading.start()
            reading.join(_PATIENCE_S)

    def _read_if_possible(self) -> None:
        with contextlib.suppress(Exception):  # reason: functions that need exact trials read themselves, and raise it
            self._read()

    def _read(self) -> None:
        with self._reading:
            if self._clock() < self._good_until:
                return  # another thread has just read them
            with self._lock:
                old, n_forgotten = dict(self._newer), self._n_forgotten
            began = self._clock()
            trials = self.storage.get_all_trials(self.study_id, deepcopy=False)
            now = self._clock()
            with self._lock:
                self._trials = trials  # a new list: sequences that were returned before do not change
                for number, trial in old.items():  # the new list contains what was written before the read began
                    if self._newer.get(number) is trial:
                        del self._newer[number]
                for number in sorted(self._newer):
                    self._put(self._newer[number])
                if self._n_forgotten == n_forgotten:
                    self._good_until = now + min((now - began) / _SHARE, _MAX_AGE_S)

    def _put(self, trial: FrozenTrial) -> None:
        """Put a trial in its place in the list, as soon as all trials before it are known."""
        self._newer[trial.number] = trial
        if trial.number < len(self._trials):
            self._trials = [*self._trials[: trial.number], trial, *self._trials[trial.number + 1 :]]
        while (following := self._newer.get(len(self._trials))) is not None:
            self._trials.append(following)


class _Trials(Sequence[FrozenTrial]):
    """The trials of one moment. It does not copy the list, which may have thousands of trials.

    Args:
        trials: The trials. The list may grow later, but its items are never replaced.
        n: The number of trials at that moment.
        held: From numbers to trials that replace those in the list.
    """

    def __init__(self, trials: list[FrozenTrial], n: int, held: Mapping[int, FrozenTrial]) -> None:
        self._trials = trials
        self._n = n
        self._held = held

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, at: int) -> FrozenTrial: ...

    @overload
    def __getitem__(self, at: slice) -> list[FrozenTrial]: ...

    def __getitem__(self, at: int | slice) -> FrozenTrial | list[FrozenTrial]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(self._n))]
        number = range(self._n)[at]
        return self._held.get(number) or self._trials[number]

    def __iter__(self) -> Iterator[FrozenTrial]:
        trials = self._trials[: self._n]
        for number, trial in self._held.items():
            trials[number] = trial
        return iter(trials)
