"""The trials that this parent runs: taken, kept as its own, and put back."""

from __future__ import annotations

import contextlib

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import id_of
from autotune.running.claims.configurations import Configurations
from autotune.running.claims.held_numbers import HeldNumbers
from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.late_writes import LateWrites
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner, is_ours, make_ours


class Holding:
    """The trials of one study that the slots of this parent hold.

    Args:
        storage: The study's storage.
        known: Its trials.
        owner: This parent.
        lease: This parent's lease; None for one that claims nothing.
        configurations: Who trains which configuration; None where that does not matter.

    Attributes:
        numbers: Their numbers.
        late: Writes their reports.
    """

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        known: KnownTrials,
        owner: Owner,
        lease: Lease | None,
        configurations: Configurations | None,
    ) -> None:
        self._storage = storage
        self._known = known
        self._owner = owner
        self._lease = lease
        self._configurations = configurations
        self.numbers = HeldNumbers()
        self.late = LateWrites(self._may_write)

    def claim(self, trial: FrozenTrial) -> bool:
        """Take a WAITING trial, if nobody else is faster."""
        self.late.forget(id_of(trial))
        if not is_ours(trial):
            make_ours(self._storage, id_of(trial))
        self.numbers.put(trial.number, "claiming")
        if not self._set_running(trial):
            self._known.forget()
            self.release(trial.number)
            return False
        self._owner.sign(self._storage, id_of(trial))
        self._known.hold(self._storage.get_trial(id_of(trial)))
        self.numbers.put(trial.number, "running")
        return True

    def holds(self, number: int) -> bool:
        """Say whether a trial that was claimed here is still this parent's to write to."""
        if self._lease is not None and self._lease.is_fresh() and not self.numbers.is_doubtful(number):
            return True
        return self._owner.is_mine(self.stored(number))

    def ending(self, number: int) -> None:
        """Note that a slot is about to write down how a trial ended."""
        self.numbers.put(number, "ending")

    def release(self, number: int) -> None:
        """Note that no slot of this parent has to do with a trial any more."""
        self._known.release(number)
        if self._configurations is not None:
            self._configurations.release(number)
        self.numbers.release(number)

    def put_back(self, number: int) -> None:
        """Let a RUNNING trial of this parent wait, as itself: with its number, parameters and reports."""
        trial = self.settled(number)
        if self._owner.is_mine(trial):
            with contextlib.suppress(UpdateFinishedTrialError):  # somebody else has just ended it
                self.let_wait(trial)

    def let_wait(self, trial: FrozenTrial) -> None:
        """Let a RUNNING trial wait, whoever runs it.

        Raises:
            UpdateFinishedTrialError: If it has ended.
        """
        self._owner.unsign(self._storage, id_of(trial))
        self._storage.set_trial_state_values(id_of(trial), TrialState.WAITING)
        self._known.drop(id_of(trial))
        self.numbers.release_unless_ending(trial.number)

    def settled(self, number: int) -> FrozenTrial:
        """Return a trial as it is stored, after all that this parent had to write to it."""
        with contextlib.suppress(UpdateFinishedTrialError):  # as its state says
            self.late.settle(self._known.id_of(number))
        return self.stored(number)

    def stored(self, number: int) -> FrozenTrial:
        """Return a trial as it is stored."""
        return self._storage.get_trial(self._known.id_of(number))

    def _set_running(self, trial: FrozenTrial) -> bool:
        try:
            return self._storage.set_trial_state_values(id_of(trial), TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _may_write(self, trial_id: int) -> bool:
        trial = self._known.trial(trial_id)
        return trial is None or self.holds(trial.number)
