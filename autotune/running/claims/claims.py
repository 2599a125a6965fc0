"""Which trial a slot runs next: an exact budget over all slots, parents and machines.

The trials that count are the first N that have not failed. A slot takes the first WAITING one of those, which is a
compare-and-set of the storage that exactly one slot of all wins, or makes a new one while there are fewer than N. A
trial that turns out to be one too many (two machines made one at the same time) waits for a larger budget.

What is covered: parents that die, sleep, or lose the storage at any moment. What is not: somebody who sets states by
hand while a study runs.
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
from autotune.running.claims.census import Books, Census, has_begun, is_fresh
from autotune.running.claims.configurations import Configurations
from autotune.running.claims.holding import Holding
from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner, is_foreign
from autotune.running.claims.takeover import Takeover
from autotune.running.study import Budget
from autotune.search.history import FinishedTrials, StorageView

_FAR = 4  # rounds of all slots: more than several parents make before they know of each other


class Claims:
    """The way to trials for the slots of one parent.

    Args:
        study: The study.
        storage: Its storage.
        owner: This parent.
        budget: How many trials there are to be.
        lease: This parent's lease; None for an onlooker who claims nothing.

    Attributes:
        known: All trials; what other parents have written to them is a second old at most.
        configurations: Who trains which configuration; None where each trial is known beforehand, and run as it is.
        holding: The trials that this parent runs.
        census: How far the study has come.
        takeover: What becomes of the trials of the dead.
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
        finished = FinishedTrials(partial(Books, budget))
        self.configurations = Configurations(self.known, finished, owner) if budget.n_trials is not None else None
        self.holding = Holding(storage, self.known, owner, lease, self.configurations)
        view = StorageView(study, self.known, writer=self.holding.late)
        self.census = Census(study, view, self.known, finished, budget)
        self.takeover = Takeover(study, self.known, self.holding, owner, budget, lease)

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
        """Say whether there were more trials than this parent knew of, at the price of one small query."""
        following = len(self.known.trials())
        try:
            self.known.id_of(following)
        except KeyError:
            return False
        if self.known.n_known() == following:
            with self._making:  # another slot may have made it, and not noted it yet
                pass
        if self.known.n_known() > following:
            return False
        self.known.forget()
        return True

    def _claimable(self, counted: list[FrozenTrial]) -> Iterator[FrozenTrial]:
        """List the trials that wait, and need not wait for one that runs and is the same."""
        for trial in counted:
            if trial.state != TrialState.WAITING or trial.number in self.holding.numbers or not is_due(trial):
                continue
            if self.configurations is None or (
                self.census.has_room() if is_fresh(trial) else self.configurations.may_run(trial)
            ):
                yield trial

    def _is_far_from_end(self) -> bool:
        """Say whether nothing waits, and any number of parents can make trials at once without one too many."""
        return self._seems_far_from_end() and (not self._others_made_trials() or self._seems_far_from_end())

    def _seems_far_from_end(self) -> bool:
        if not self._slots:
            return False
        with self.census.books() as (books, unfinished):
            counted = [t for t in unfinished if not is_foreign(t)]
            n_counted = books.n_counted + len(counted)
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
        return next((trial for trial in self._claimable(list(counted)) if self.holding.claim(trial)), None)

    def _made_trial(self) -> FrozenTrial | None:
        """Make a trial that runs here from its first moment; None if it would be, or is and waits, one too many."""
        with self._making:  # databases do it one after the other; in a queue there, slots would hold all connections
            if self._budget.is_met_by(self.known.n_known()) and self._budget.is_met_by(len(self.census.counted())):
                return None  # the other slots were faster
            trial = self._owner.new_trial()
            trial_id = self._storage.create_new_trial(self.known.study_id, trial)
            set_id(trial, trial_id, self._number(trial_id))
            self.known.hold(trial)
        if self._budget.is_met_by(trial.number):  # not all before it need count
            self.known.forget()
            if trial.number not in {t.number for t in self.census.counted()}:
                self.holding.let_wait(trial)
                return None
        self.holding.numbers.put(trial.number, "running")
        return trial

    def _number(self, trial_id: int) -> int:
        """Return the number of a trial that has just been made: the next one, which is easy to see, but for others."""
        with contextlib.suppress(KeyError):
            following = self.known.n_known()
            if self.known.id_of(following) == trial_id:
                return following
        return self._storage.get_trial(trial_id).number
