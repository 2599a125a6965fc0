"""The trials of a study as a parent knows them: read once for all its slots.

Reading the trials of a study costs milliseconds for each slot at work, and samplers, pruners and claims ask for them
many times in a trial: with many slots a parent would do nothing else. What is read here is at most about a second
old as far as other parents are concerned. What this parent itself has written is always there, so that a search with
one worker sees what it would see without this, whatever the clock says.
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

_SHARE = 0.05  # of the time, at most, that goes into reading
_MAX_AGE_S = 1.0
_PATIENCE_S = 1.0  # with a storage that does not answer, before going on with what is known


class KnownTrials:
    """The trials of one study, for the threads of one parent.

    Args:
        storage: The storage.
        study_id: The study's id in it.
        clock: Seconds, of a clock that never goes back.

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
        self._lock = threading.RLock()  # `release` forgets
        self._reading = threading.Lock()
        self._trials: list[FrozenTrial] = []
        self._held: dict[int, FrozenTrial] = {}  # by id; nobody else writes to these
        self._newer: dict[int, FrozenTrial] = {}  # by number: made or ended here, perhaps since the last reading began
        self._good_until = float("-inf")
        self._n_forgotten = 0

    def trials(self) -> Sequence[FrozenTrial]:
        """Return all trials, by their numbers."""
        if self._clock() >= self._good_until:
            self._read_again()
        with self._lock:
            n_known = len(self._trials)
            held = {trial.number: trial for trial in self._held.values() if trial.number < n_known}
            return _Trials(self._trials, n_known, held)

    def n_known(self) -> int:
        """Return how many of the first trials are known, without reading any."""
        return len(self._trials)

    def trial(self, trial_id: int) -> FrozenTrial | None:
        """Return a trial that is held; None for any other."""
        return self._held.get(trial_id)

    def id_of(self, number: int) -> int:
        """Return a trial's id, as the storage says.

        Raises:
            KeyError: If there is no such trial.
        """
        return self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)

    def note(self, trial_id: int, change: Change) -> None:
        """Take notice of what this parent has just written to a trial."""
        with self._lock:
            if trial_id in self._held:
                self._held[trial_id] = change(self._held[trial_id])

    def hold(self, trial: FrozenTrial) -> None:
        """Keep a trial that this parent has just made or claimed, and alone writes to from now on."""
        with self._lock:
            self._held[id_of(trial)] = trial
            self._put(trial)

    def release(self, number: int) -> None:
        """Let go of a trial; only what has been noted of its end is still known of it."""
        with self._lock:
            for trial in [t for t in self._held.values() if t.number == number]:
                del self._held[id_of(trial)]
                if trial.state.is_finished():
                    self._put(trial)
                else:
                    self.forget()

    def drop(self, trial_id: int) -> None:
        """Let go of a trial that has been written to behind the view's back, and read all anew."""
        with self._lock:
            trial = self._held.pop(trial_id, None)
            if trial is not None:
                self._newer.pop(trial.number, None)
        self.forget()

    def forget(self) -> None:
        """Read all anew when the trials are asked for next."""
        with self._lock:
            self._n_forgotten += 1
            self._good_until = float("-inf")

    def _read_again(self) -> None:
        """Read all trials. Where it takes long, threads go on meanwhile with what was read before, if that is good."""
        if self._good_until == float("-inf"):
            self._read()
        elif not self._reading.locked():
            reading = threading.Thread(target=self._read_if_possible, name="autotune-read", daemon=True)
            reading.start()
            reading.join(_PATIENCE_S)

    def _read_if_possible(self) -> None:
        with contextlib.suppress(Exception):  # reason: whoever has to know what is stored reads by itself, and hears it
            self._read()

    def _read(self) -> None:
        with self._reading:
            if self._clock() < self._good_until:
                return  # somebody else has just done it
            with self._lock:
                old, n_forgotten = dict(self._newer), self._n_forgotten
            began = self._clock()
            trials = self.storage.get_all_trials(self.study_id, deepcopy=False)
            now = self._clock()
            with self._lock:
                self._trials = trials  # another list: what was handed out does not change
                for number, trial in old.items():  # what was written before the reading began is in it
                    if self._newer.get(number) is trial:
                        del self._newer[number]
                for number in sorted(self._newer):
                    self._put(self._newer[number])
                if self._n_forgotten == n_forgotten:
                    self._good_until = now + min((now - began) / _SHARE, _MAX_AGE_S)

    def _put(self, trial: FrozenTrial) -> None:
        """Put a trial in its place; one whose predecessors are not known yet has none until these are."""
        self._newer[trial.number] = trial
        if trial.number < len(self._trials):
            self._trials = [*self._trials[: trial.number], trial, *self._trials[trial.number + 1 :]]
        while (following := self._newer.get(len(self._trials))) is not None:
            self._trials.append(following)


class _Trials(Sequence[FrozenTrial]):
    """Trials as they are at a moment, without a copy of thousands of them for each question.

    Args:
        trials: The trials; more of them may come, but those that are there are not replaced.
        n: How many of them are there.
        held: Trials that stand in place of those of their numbers.
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
