"""Which trial a slot runs next: an exact budget over all slots and all parents.

The trials that count are the first N that have not failed. A slot takes the first WAITING one of those, or has Optuna
make a new one while there are fewer than N. A trial that turns out to be one too many (a parent elsewhere was faster)
is put back and waits for a larger budget.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from autotune.running.ownership import Owner, is_foreign
from autotune.running.settings import ATTRIBUTE

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Claims:
    """The way to trials for the slots of one parent.

    Args:
        study: The study.
        storage: Its storage.
        owner: This parent.
        n_trials: How many finished trials the study is to have.
    """

    def __init__(self, study: optuna.Study, storage: optuna.storages.BaseStorage, owner: Owner, n_trials: int) -> None:
        self._study = study
        self._storage = storage
        self._owner = owner
        self._n_trials = n_trials
        self._study_id = storage.get_study_id_from_name(study.study_name)

    def next_trial(self) -> optuna.Trial | None:
        """Claim a trial, or return None if there is none to run at the moment."""
        with self._owner.alone():
            self.recover()
            if not self._is_work_left():
                return None
            # Whose it is stands in a trial before it is RUNNING: one that says nothing is somebody else's, say of a
            # plain `study.optimize`, and is left alone.
            self._owner.claim(self._storage, self._id(self._next_number()))
            trial = self._study.ask()
            self._owner.claim(self._storage, self._id(trial.number))
            if trial.number not in {t.number for t in self._counted()}:
                self.put_back(trial.number)
                return None
            return trial

    def put_back(self, number: int) -> None:
        """Let a RUNNING trial wait, as itself: with its number, parameters and reports."""
        with contextlib.suppress(UpdateFinishedTrialError):  # somebody else has ended it
            self._storage.set_trial_state_values(self._id(number), TrialState.WAITING)

    def is_complete(self) -> bool:
        """Say whether the study has all its finished trials."""
        return len(self._study.get_trials(deepcopy=False, states=FINISHED)) >= self._n_trials

    def recover(self) -> None:
        """Have the RUNNING trials of parents that are dead wait. Call it while the owner is `alone`."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._owner.is_dead(trial):
                self.put_back(trial.number)

    def _is_work_left(self) -> bool:
        counted = self._counted()
        return len(counted) < self._n_trials or any(t.state == TrialState.WAITING for t in counted)

    def _next_number(self) -> int:
        """Return the number of the trial that Optuna gives out next, making one if none waits."""
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if not waiting:
            self._study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING))
            waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return waiting[0].number

    def _counted(self) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy=False)
        return [t for t in trials if t.state != TrialState.FAIL and not is_foreign(t)][: self._n_trials]

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


def recover_lost_trials(storage: optuna.storages.BaseStorage, study_file: str, folder: Callable[[str], Path]) -> None:
    """Have the trials wait that dead parents of any study of `study_file` have left RUNNING.

    Slots do the same before each claim; here it is done while TensorFlow is still to be imported, so that a command
    that is stopped before its first claim leaves nothing RUNNING either.

    Args:
        storage: The storage.
        study_file: The study file, absolute.
        folder: From a study's name to its folder.
    """
    for record in storage.get_all_studies():
        if record.user_attrs.get(ATTRIBUTE, {}).get("study_file") != study_file:
            continue
        study = optuna.load_study(study_name=record.study_name, storage=storage)
        if not study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            continue
        with contextlib.closing(Owner(folder(record.study_name) / "workers")) as owner, owner.alone():
            Claims(study, storage, owner, n_trials=0).recover()
