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
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from autotune.running.claims.attempts import is_due, losses_with_this, note_error, note_losses
from autotune.running.claims.census import Books, has_begun, is_fresh, is_spent
from autotune.running.claims.configurations import Configurations
from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.late_writes import LateWrites
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Owner, is_foreign, is_ours, make_ours, runner_of
from autotune.running.study import Budget
from autotune.search.history import FinishedTrials, StorageView
from autotune.search.samplers import SeededSampler

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
        configurations: Who trains which configuration; None where each trial is known beforehand, and run as it is.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: optuna.storages.BaseStorage,
        owner: Owner,
        budget: Budget,
        lease: Lease | None = None,
    ) -> None:
        self._study = study
        self._storage = storage
        self._owner = owner
        self._budget = budget
        self._lease = lease
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._shared = KnownTrials(storage, self._study_id)
        self._late = LateWrites(self._may_write)
        self._view = StorageView(study, self._shared, writer=self._late)
        self._finished = FinishedTrials(partial(Books, budget))
        self.configurations = (
            Configurations(self._shared, self._finished, owner) if budget.n_trials is not None else None
        )
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._held: dict[int, Literal["claiming", "running", "ending"]] = {}
        self._doubtful: set[int] = set()  # trials that run here and may have become somebody else's
        self._unheld: set[int] = set()  # trials with our mark that no slot of ours holds, as the last look saw them

    def next_trial(self) -> optuna.Trial | None:
        """Claim a trial, or return None if there is none to run at the moment."""
        is_flat = self._flat_since() is not None
        if not is_flat and self._is_far_from_end():
            claimed = self._made_trial()
        else:
            with self._owner.alone():
                claimed = self._claimed(filter(has_begun, self._recovered())) if is_flat else self._claimed_or_made()
        return self._as_optunas(claimed) if claimed else None

    def is_complete(self) -> bool:
        """Say whether the study has all its trials."""
        with self._books() as (books, unfinished):
            return not unfinished if self._budget.n_trials is None else self._budget.is_met_by(books.n_counted)

    def n_finished(self) -> int:
        """Return how many trials are finished, by all parents."""
        with self._books() as (books, _):
            return books.n_finished

    def known_trials(self) -> Sequence[FrozenTrial]:
        """Return all trials as this parent knows them: what others have written may be a second old."""
        return self._shared.trials()

    def why_over(self) -> str | None:
        """Return why the study ends although trials are missing; None if it does not."""
        if self._budget.stop is not None and (since := self._flat_since()) is not None:
            is_over = all(trial.state.is_finished() for trial in self._counted() if has_begun(trial))
            return self._budget.stop.reason(since) if is_over else None
        if self._is_exhausted():
            return "every configuration of the search space has been tried: there is nothing left to do"
        return None

    def _flat_since(self) -> int | None:
        if self._budget.stop is None:
            return None
        trials = [trial for trial in self._shared.trials() if not is_foreign(trial)]
        return self._budget.flat_since(trials, self._study.directions[0].name.lower())

    def _is_exhausted(self) -> bool:
        """Say whether all that the study can still do is to repeat what it has done."""
        sampler = self._study.sampler
        if not isinstance(sampler, SeededSampler) or not sampler.is_done(self._as_shared()):
            return False
        return all(t.state.is_finished() or is_fresh(t) for t in self._counted())

    def holds(self, number: int) -> bool:
        """Say whether a trial that was claimed here is still this parent's to write to."""
        if self._lease is not None and self._lease.is_fresh() and number not in self._doubtful:
            return True
        return self._owner.is_mine(self._trial(number))

    def ending(self, number: int) -> None:
        """Note that a slot is about to write down how a trial ended."""
        with self._lock:
            self._held[number] = "ending"

    def release(self, number: int) -> None:
        """Note that no slot of this parent has to do with a trial any more."""
        self._shared.release(number)
        if self.configurations is not None:
            self.configurations.release(number)
        with self._lock:
            self._held.pop(number, None)
            self._doubtful.discard(number)

    def put_back(self, number: int) -> None:
        """Let a RUNNING trial of this parent wait, as itself: with its number, parameters and reports."""
        trial = self._settled(number)
        if self._owner.is_mine(trial):
            with contextlib.suppress(UpdateFinishedTrialError):  # somebody else has just ended it
                self._set_waiting(trial._trial_id)

    def lose(self, number: int) -> bool:
        """Let a trial wait whose process or parent has died, or have it fail if that has happened too often.

        Returns:
            Whether it waits.
        """
        trial = self._settled(number)
        if trial.state != TrialState.RUNNING:
            return True
        losses = losses_with_this(trial)
        with contextlib.suppress(UpdateFinishedTrialError):
            if losses.count > self._budget.max_retries:
                self._fail_as_lost(trial, losses.count)
                return False
            note_losses(self._storage, trial, losses)
            self._set_waiting(trial._trial_id)
        return True

    def try_again(self, number: int) -> str:
        """Let a trial wait that an error has ended; return which try that was, "1 of 2"; "" if there is none left."""
        trial = self._settled(number)
        with contextlib.suppress(UpdateFinishedTrialError):  # somebody else has just ended it
            if errors := note_error(self._storage, trial, self._budget.retry_errors):
                self._set_waiting(trial._trial_id)
                return f"{errors.count} of {self._budget.retry_errors}"
        return ""

    def look(self) -> set[int]:
        """Renew the lease, take over what parents have left that are gone, and see whether all here is still ours.

        Returns:
            Trials that slots of this parent run and that have become somebody else's.
        """
        assert self._lease is not None
        held = self._running_here()
        if not self._lease.is_fresh():  # somebody may have taken them over, which a new lease does not undo
            with self._lock:
                self._doubtful |= held
        self._lease.renew()
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        runners = {trial.number: runner_of(trial) for trial in running if is_ours(trial)}
        me = self._owner.mark.parent
        gone = self._lease.gone(set(runners.values()) - {me})
        for number, parent in runners.items():
            if parent in gone:
                with self._owner.alone():
                    self._lose_from(number, parent)
        mine = {number for number, parent in runners.items() if parent == me}
        self._put_back_unheld(mine)
        lost = held & self._running_here() - mine
        with self._lock:
            self._doubtful = lost & self._held.keys()
        return lost

    def recover(self) -> None:
        """Have the RUNNING trials wait whose parents are known to be dead."""
        with self._owner.alone():
            self._recover(self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def _recover(self, trials: Sequence[FrozenTrial]) -> None:
        for trial in trials:
            # What was read a moment ago may have become somebody else's since.
            if trial.state == TrialState.RUNNING and self._owner.is_dead(trial):
                self._lose_from(trial.number, runner_of(trial))

    def _lose_from(self, number: int, parent: str) -> None:
        if runner_of(self._trial(number)) == parent:  # else another onlooker was faster
            self.lose(number)

    def _running_here(self) -> set[int]:
        with self._lock:
            return {number for number, state in self._held.items() if state == "running"}

    def _put_back_unheld(self, mine: set[int]) -> None:
        """Put back what a claim of ours has won whose answer was lost: at two looks it has our mark and no slot."""
        with self._lock:
            unheld = mine - set(self._held)
            lost = unheld & self._unheld
            self._unheld = unheld
        for number in lost:
            self.put_back(number)

    def _others_made_trials(self) -> bool:
        """Say whether there were more trials than this parent knew of, at the price of one small query."""
        following = len(self._shared.trials())
        try:
            self._id(following)
        except KeyError:
            return False
        if self._shared.n_known() == following:
            with self._making:  # another slot may have made it, and not noted it yet
                pass
        if self._shared.n_known() > following:
            return False
        self._shared.forget()
        return True

    def _claimable(self, counted: list[FrozenTrial]) -> Iterator[FrozenTrial]:
        """List the trials that wait, and need not wait for one that runs and is the same."""
        for trial in counted:
            if trial.state != TrialState.WAITING or trial.number in self._held or not is_due(trial):
                continue
            if self.configurations is None or (
                self._has_room() if is_fresh(trial) else self.configurations.may_run(trial)
            ):
                yield trial

    def _has_room(self, more: int = 0) -> bool:
        """Say whether a new trial, and so many more, would have something new to try."""
        sampler = self._study.sampler
        return not isinstance(sampler, SeededSampler) or sampler.room(self._as_shared()) > more

    def _claim(self, trial: FrozenTrial) -> bool:
        self._late.forget(trial._trial_id)
        if not is_ours(trial):
            make_ours(self._storage, trial._trial_id)
        with self._lock:
            self._held[trial.number] = "claiming"
        if not self._set_running(trial):
            self._shared.forget()
            self.release(trial.number)
            return False
        self._owner.sign(self._storage, trial._trial_id)
        self._shared.hold(self._storage.get_trial(trial._trial_id))
        with self._lock:
            self._held[trial.number] = "running"
        return True

    def _is_far_from_end(self) -> bool:
        """Say whether nothing waits, and any number of parents can make trials at once without one too many."""
        if self._lease is None or not self._seems_far_from_end(self._lease.slots):
            return False
        return not self._others_made_trials() or self._seems_far_from_end(self._lease.slots)

    def _seems_far_from_end(self, slots: int) -> bool:
        with self._books() as (books, unfinished):
            counted = [t for t in unfinished if not is_foreign(t)]
            n_counted = books.n_counted + len(counted)
        if any(t.state == TrialState.WAITING or self._owner.is_dead(t) for t in counted):
            return False
        runs_alone = all(self._owner.is_mine(t) for t in counted)
        margin = slots if runs_alone else _FAR * slots
        return not self._budget.is_met_by(n_counted + margin) and self._has_room(margin)

    def _claimed_or_made(self) -> FrozenTrial | None:
        self._others_made_trials()
        counted = self._recovered()
        claimed = self._claimed(counted)
        if claimed is None and not self._budget.is_met_by(len(counted)) and self._has_room():
            return self._made_trial()
        return claimed

    def _recovered(self) -> list[FrozenTrial]:
        self._recover(self._shared.trials())
        return self._counted()

    def _claimed(self, counted: Iterable[FrozenTrial]) -> FrozenTrial | None:
        return next((trial for trial in self._claimable(list(counted)) if self._claim(trial)), None)

    def _made_trial(self) -> FrozenTrial | None:
        """Make a trial that runs here from its first moment; None if it would be, or is and waits, one too many."""
        with self._making:  # databases do it one after the other; in a queue there, slots would hold all connections
            if self._budget.is_met_by(self._shared.n_known()) and self._budget.is_met_by(len(self._counted())):
                return None  # the other slots were faster
            trial = self._owner.new_trial()
            trial._trial_id = self._storage.create_new_trial(self._study_id, trial)
            trial.number = self._number(trial._trial_id)
            self._shared.hold(trial)
        if self._budget.is_met_by(trial.number):  # not all before it need count
            self._shared.forget()
            if trial.number not in {t.number for t in self._counted()}:
                self._set_waiting(trial._trial_id)
                return None
        with self._lock:
            self._held[trial.number] = "running"
        return trial

    def _number(self, trial_id: int) -> int:
        """Return the number of a trial that has just been made: the next one, which is easy to see, but for others."""
        with contextlib.suppress(KeyError):
            following = self._shared.n_known()
            if self._id(following) == trial_id:
                return following
        return self._storage.get_trial(trial_id).number

    def _set_running(self, trial: FrozenTrial) -> bool:
        try:
            return self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _as_optunas(self, trial: FrozenTrial) -> optuna.Trial:
        """Do what `study.ask` does with a trial that waits; a study of its own keeps nothing from earlier trials."""
        return optuna.Trial(self._as_shared(), trial._trial_id)

    def _as_shared(self) -> optuna.Study:
        """Return the study with trials that are read once for all slots."""
        return optuna.Study(self._study.study_name, self._view, self._study.sampler, self._study.pruner)

    def _counted(self) -> list[FrozenTrial]:
        trials = self._shared.trials()
        counted = [t for t in trials if not is_foreign(t) and (t.state != TrialState.FAIL or is_spent(t, self._budget))]
        return counted[: self._budget.n_trials]

    def _books(self) -> contextlib.AbstractContextManager[tuple[Books, list[FrozenTrial]]]:
        """Give what is known of the finished trials, and the others."""
        return self._finished.look(self._shared.trials())

    def _fail_as_lost(self, trial: FrozenTrial, times: int) -> None:
        message = f"The worker that ran it, or its process, was killed {times} times in a row without a new report."
        self._storage.set_trial_user_attr(trial._trial_id, "failure", "lost")
        self._storage.set_trial_user_attr(trial._trial_id, "failure_message", message)
        self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        self._shared.drop(trial._trial_id)

    def _set_waiting(self, trial_id: int) -> None:
        self._owner.unsign(self._storage, trial_id)
        self._storage.set_trial_state_values(trial_id, TrialState.WAITING)
        self._shared.drop(trial_id)
        number = self._storage.get_trial_number_from_id(trial_id)
        with self._lock:
            if self._held.get(number) != "ending":  # else its slot is not done with it, and releases it
                self._held.pop(number, None)

    def _may_write(self, trial_id: int) -> bool:
        trial = self._shared.trial(trial_id)
        return trial is None or self.holds(trial.number)

    def _settled(self, number: int) -> FrozenTrial:
        """Return a trial as it is stored, after all that this parent had to write to it."""
        trial_id = self._id(number)
        with contextlib.suppress(UpdateFinishedTrialError):  # as its state says
            self._late.settle(trial_id)
        return self._storage.get_trial(trial_id)

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
