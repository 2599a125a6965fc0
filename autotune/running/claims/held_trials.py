"""The trials that this parent holds: claim them, check that it still owns them, put them back."""

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


class HeldTrials:
    """The trials of one study that the slots of this parent hold.

    Args:
        storage: The study's storage.
        known: Its trials.
        owner: This parent.
        lease: This parent's lease; None for a parent that claims nothing.
        configurations: The check for repeated configurations; None for no check.

    Attributes:
        numbers: The numbers of the trials.
        late: The writer of their reports.
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
        """Claim a WAITING trial; return False if another slot was faster."""
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
        """Tell whether this parent still owns a trial that it has claimed, and so may write to it."""
        if self._lease is not None and self._lease.is_fresh() and not self.numbers.is_doubtful(number):
            return True
        return self._owner.is_mine(self.stored(number))

    def start_ending(self, number: int) -> None:
        """Note that a slot is about to store how a trial ended."""
        self.numbers.put(number, "ending")

    def release(self, number: int) -> None:
        """Note that no slot of this parent holds a trial any more."""
        self._known.release(number)
        if self._configurations is not None:
            self._configurations.release(number)
        self.numbers.release(number)

    def put_back(self, number: int) -> None:
        """Make a RUNNING trial of this parent wait again, with its number, parameters and reports."""
        trial = self.settled(number)
        if self._owner.is_mine(trial):
            with contextlib.suppress(UpdateFinishedTrialError):  # another parent has just ended it
                self.let_wait(trial)

    def let_wait(self, trial: FrozenTrial) -> None:
        """Make a RUNNING trial of any parent wait again.

        Raises:
            UpdateFinishedTrialError: If it has ended.
        """
        self._owner.unsign(self._storage, id_of(trial))
        self._storage.set_trial_state_values(id_of(trial), TrialState.WAITING)
        self._known.drop(id_of(trial))
        self.numbers.release_unless_ending(trial.number)

    def settled(self, number: int) -> FrozenTrial:
        """Return a trial from the storage, once everything that this parent had to write to it is written."""
        with contextlib.suppress(UpdateFinishedTrialError):  # the returned state shows it
            self.late.settle(self._known.id_of(number))
        return self.stored(number)

    def stored(self, number: int) -> FrozenTrial:
        """Return a trial from the storage."""
        return self._storage.get_trial(self._known.id_of(number))

    def _set_running(self, trial: FrozenTrial) -> bool:
        try:
            return self._storage.set_trial_state_values(id_of(trial), TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _may_write(self, trial_id: int) -> bool:
        trial = self._known.trial(trial_id)
        return trial is None or self.holds(trial.number)
