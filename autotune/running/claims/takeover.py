"""Recovery of trials whose process or parent has died.

Such a trial waits again, with its number, parameters and reports. It fails if that has happened too often in a row.
A trial whose run was stopped waits again by `HeldTrials.put_back`, which does not count as such a death.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import id_of
from autotune.running.claims.attempts import losses_with_this, note_error, note_losses
from autotune.running.claims.held_trials import HeldTrials
from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner, is_ours, runner_of
from autotune.running.study import Budget


class Takeover:
    """Recovers the trials of one study whose process or parent has died.

    Args:
        study: The study.
        known: Its trials.
        held: Those that this parent runs.
        owner: This parent.
        budget: The budget, which says how often a trial is tried again.
        lease: This parent's lease; None for a parent that claims nothing.
    """

    def __init__(
        self,
        study: optuna.Study,
        known: KnownTrials,
        held: HeldTrials,
        owner: Owner,
        budget: Budget,
        lease: Lease | None,
    ) -> None:
        self._study = study
        self._known = known
        self._storage = known.storage
        self._held = held
        self._owner = owner
        self._budget = budget
        self._lease = lease

    def lose(self, number: int) -> bool:
        """Make a trial wait whose process or parent has died, or fail if that has happened too often.

        Returns:
            False if it failed; True otherwise.
        """
        trial = self._held.settled(number)
        if trial.state != TrialState.RUNNING:
            return True
        losses = losses_with_this(trial)
        with contextlib.suppress(UpdateFinishedTrialError):  # another parent has just ended it
            if losses.count > self._budget.max_retries:
                self._fail_as_lost(trial, losses.count)
                return False
            note_losses(self._storage, trial, losses)
            self._held.let_wait(trial)
        return True

    def try_again(self, number: int) -> str:
        """Make a trial wait that an error has ended.

        Returns:
            The number of this new try, e.g. "1 of 2"; "" if no try is left.
        """
        trial = self._held.settled(number)
        with contextlib.suppress(UpdateFinishedTrialError):  # another parent has just ended it
            if errors := note_error(self._storage, trial, self._budget.retry_errors):
                self._held.let_wait(trial)
                return f"{errors.count} of {self._budget.retry_errors}"
        return ""

    def look(self) -> set[int]:
        """Renew the lease, take over trials of parents that are gone, and check that this parent still owns its own.

        Returns:
            The numbers of trials that slots of this parent run but that other parents have taken over.
        """
        assert self._lease is not None
        held = self._held.numbers.running()
        if not self._lease.is_fresh():  # other parents may have taken them over; renewing does not change that
            self._held.numbers.doubt(held)
        self._lease.renew()
        runners = {trial.number: runner_of(trial) for trial in self._stored_running() if is_ours(trial)}
        self._lose_gone(runners, self._lease)
        mine = {number for number, parent in runners.items() if parent == self._owner.mark.parent}
        for number in self._held.numbers.unheld_twice(mine):
            self._held.put_back(number)
        lost = held & self._held.numbers.running() - mine
        self._held.numbers.doubt_only(lost)
        return lost

    def recover(self) -> None:
        """Make the RUNNING trials wait whose parents are known to be dead."""
        with self._owner.alone():
            self.recover_among(self._stored_running())

    def recover_among(self, trials: Sequence[FrozenTrial]) -> None:
        """Do the same for those of `trials` only. The caller must be in `Owner.alone`."""
        for trial in trials:
            if trial.state == TrialState.RUNNING and self._owner.is_dead(trial):
                self._lose_from(trial.number, runner_of(trial))

    def _lose_gone(self, runners: Mapping[int, str], lease: Lease) -> None:
        gone = lease.gone(set(runners.values()) - {self._owner.mark.parent})
        for number, parent in runners.items():
            if parent in gone:
                with self._owner.alone():
                    self._lose_from(number, parent)

    def _lose_from(self, number: int, parent: str) -> None:
        """Take a trial from a dead parent, unless another parent was faster."""
        if runner_of(self._held.stored(number)) == parent:
            self.lose(number)

    def _stored_running(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _fail_as_lost(self, trial: FrozenTrial, times: int) -> None:
        message = f"The trial's process was killed {times} times in a row without a new report."
        self._storage.set_trial_user_attr(id_of(trial), "failure", "lost")
        self._storage.set_trial_user_attr(id_of(trial), "failure_message", message)
        self._storage.set_trial_state_values(id_of(trial), TrialState.FAIL)
        self._known.drop(id_of(trial))
