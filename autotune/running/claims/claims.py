"""The choice of the next trial of a slot, within a budget that is exact over all parents and machines.

The first N trials that have not failed use up the budget. A slot claims the first WAITING one of them:
`HeldTrials.claim` sets its state to RUNNING in the storage, which succeeds for exactly one slot. If there are fewer
than N, it may create a new trial. If two machines create one at the same time, the trial above N waits until the budget
becomes larger.

What is covered: parents that die, are suspended, or lose the storage at any moment. What is not covered: a person or
program that changes states while the study runs.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from functools import partial

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import id_of, set_id
from autotune.running.claims.attempts import is_due
from autotune.running.claims.census import Census, FinishedIndex, has_begun, is_fresh
from autotune.running.claims.configurations import Configurations
from autotune.running.claims.held_trials import HeldTrials
from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner, is_foreign
from autotune.running.claims.takeover import Takeover
from autotune.running.study import Budget
from autotune.search.history import FinishedTrials, StorageView

_FAR = 4  # times the number of slots: more trials than several parents create before they see each other's


class Claims:
    """Gives trials to the slots of one parent.

    Args:
        study: The study.
        storage: Its storage.
        owner: This parent.
        budget: The number of trials that the study should have.
        lease: This parent's lease; None for a parent that only reads and claims nothing.

    Attributes:
        known: All trials. Changes by other parents appear in it after at most about a second.
        configurations: The check for repeated configurations; None if all trials were given beforehand.
        held: The trials that this parent holds.
        census: The counts of the study's trials.
        takeover: Recovers the trials of processes and parents that have died.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: optuna.storages.BaseStorage,
        owner: Owner,
        budget: Budget,
        lease: Lease | None = None,
    ) -> None:
        self._storage = storage
        self._owner = owner
        self._budget = budget
        self._slots = lease.slots if lease is not None else 0
        self._making = threading.Lock()
        self.known = KnownTrials(storage, storage.get_study_id_from_name(study.study_name))
        finished = FinishedTrials(partial(FinishedIndex, budget))
        self.configurations = Configurations(self.known, finished, owner) if budget.n_trials is not None else None
        self.held = HeldTrials(storage, self.known, owner, lease, self.configurations)
        view = StorageView(study, self.known, writer=self.held.late)
        self.census = Census(study, view, self.known, finished, budget)
        self.takeover = Takeover(study, self.known, self.held, owner, budget, lease)

    def next_trial(self) -> optuna.Trial | None:
        """Claim a trial, or return None if there is none to run at the moment."""
        is_flat = self.census.flat_since() is not None
        if not is_flat and self._is_far_from_end():
            claimed = self._made_trial()
        else:
            with self._owner.alone():
                claimed = self._claimed(filter(has_begun, self._recovered())) if is_flat else self._claimed_or_made()
        return optuna.Trial(self.census.study(), id_of(claimed)) if claimed else None  # as `study.ask` does

    def _others_made_trials(self) -> bool:
        """Tell whether other parents have created trials that this parent did not know. Costs one small query."""
        following = len(self.known.trials())
        try:
            self.known.id_of(following)
        except KeyError:
            return False
        if self.known.n_known() == following:
            with self._making:  # another slot of this parent may be creating it: wait until it is known
                pass
        if self.known.n_known() > following:
            return False
        self.known.forget()
        return True

    def _claimable(self, counted: list[FrozenTrial]) -> Iterator[FrozenTrial]:
        """Yield the waiting trials that may run now: none with the configuration of a running trial."""
        for trial in counted:
            if trial.state != TrialState.WAITING or trial.number in self.held.numbers or not is_due(trial):
                continue
            if self.configurations is None or (
                self.census.has_room() if is_fresh(trial) else self.configurations.may_run(trial)
            ):
                yield trial

    def _is_far_from_end(self) -> bool:
        """Tell whether no trial waits, and all parents can create trials at once without exceeding the budget."""
        return self._seems_far_from_end() and (not self._others_made_trials() or self._seems_far_from_end())

    def _seems_far_from_end(self) -> bool:
        if not self._slots:
            return False
        with self.census.finished_and_others() as (index, unfinished):
            counted = [t for t in unfinished if not is_foreign(t)]
            n_counted = index.n_counted + len(counted)
        if any(t.state == TrialState.WAITING or self._owner.is_dead(t) for t in counted):
            return False
        runs_alone = all(self._owner.is_mine(t) for t in counted)
        margin = self._slots if runs_alone else _FAR * self._slots
        return not self._budget.is_met_by(n_counted + margin) and self.census.has_room(margin)

    def _claimed_or_made(self) -> FrozenTrial | None:
        self._others_made_trials()
        counted = self._recovered()
        claimed = self._claimed(counted)
        if claimed is None and not self._budget.is_met_by(len(counted)) and self.census.has_room():
            return self._made_trial()
        return claimed

    def _recovered(self) -> list[FrozenTrial]:
        self.takeover.recover_among(self.known.trials())
        return self.census.counted()

    def _claimed(self, counted: Iterable[FrozenTrial]) -> FrozenTrial | None:
        return next((trial for trial in self._claimable(list(counted)) if self.held.claim(trial)), None)

    def _made_trial(self) -> FrozenTrial | None:
        """Create a trial that runs here at once. Return None if it would exceed the budget; if it exists, it waits."""
        with self._making:  # the database creates one at a time: slots that wait there would use up its connections
            if self._budget.is_met_by(self.known.n_known()) and self._budget.is_met_by(len(self.census.counted())):
                return None  # the other slots were faster
            trial = self._owner.new_trial()
            trial_id = self._storage.create_new_trial(self.known.study_id, trial)
            set_id(trial, trial_id, self._number(trial_id))
            self.known.hold(trial)
        if self._budget.is_met_by(trial.number):  # it may still be within the budget: some before it may not count
            self.known.forget()
            if trial.number not in {t.number for t in self.census.counted()}:
                self.held.let_wait(trial)
                return None
        self.held.numbers.put(trial.number, "running")
        return trial

    def _number(self, trial_id: int) -> int:
        """Return the number of a trial that was just created: the next one, unless others created some meanwhile."""
        with contextlib.suppress(KeyError):
            following = self.known.n_known()
            if self.known.id_of(following) == trial_id:
                return following
        return self._storage.get_trial(trial_id).number
