"""Counts of a study's trials, and whether the study is over."""

from __future__ import annotations

import bisect
import contextlib
from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.running.claims.known_trials import KnownTrials
from autotune.running.claims.ownership import is_foreign
from autotune.running.study import FINISHED, Budget
from autotune.search.history import FinishedTrials, StorageView, rough_key, twin
from autotune.search.samplers import SeededSampler


class FinishedIndex:
    """The counts of the finished trials of one study, and an index of them by configuration.

    Args:
        budget: The budget, which says whether failed trials count.

    Attributes:
        n_finished: The number of complete and pruned trials.
        n_counted: The number of trials that use up the budget: complete and pruned ones, and failed ones if they count.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.n_finished = self.n_counted = 0
        self._by_key: defaultdict[Hashable, list[FrozenTrial]] = defaultdict(list)

    def learn(self, trial: FrozenTrial) -> None:
        if trial.state in FINISHED:
            self.n_finished += 1
            bisect.insort(self._by_key[rough_key(trial.params, trial.distributions)], trial, key=lambda t: t.number)
        self.n_counted += trial.state in FINISHED or is_spent(trial, self._budget)

    def twin(self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> FrozenTrial | None:
        """Return the first complete or pruned trial that has exactly these parameters; None if there is none."""
        return twin(self._by_key.get(rough_key(params, distributions), ()), params)


class Census:
    """The counts of one study's trials, for the slots of one parent.

    Args:
        study: The study.
        view: Its storage, with this parent's known trials.
        known: Its trials.
        finished: The index of its finished trials.
        budget: The number of trials that it should have.
    """

    def __init__(
        self,
        study: optuna.Study,
        view: StorageView,
        known: KnownTrials,
        finished: FinishedTrials[FinishedIndex],
        budget: Budget,
    ) -> None:
        self._study = study
        self._view = view
        self._known = known
        self._finished = finished
        self._budget = budget

    def study(self) -> optuna.Study:
        """Return a new study object over the known trials; an older object would return old trials from its cache."""
        return optuna.Study(self._study.study_name, self._view, self._study.sampler, self._study.pruner)

    def is_complete(self) -> bool:
        """Tell whether the study has all its trials."""
        with self.finished_and_others() as (index, unfinished):
            return not unfinished if self._budget.n_trials is None else self._budget.is_met_by(index.n_counted)

    def n_finished(self) -> int:
        """Return how many trials are complete or pruned, of all parents."""
        with self.finished_and_others() as (index, _):
            return index.n_finished

    def why_over(self) -> str | None:
        """Return why the study ends before its budget is used up; None if it does not."""
        if self._budget.stop is not None and (since := self.flat_since()) is not None:
            is_over = all(trial.state.is_finished() for trial in self.counted() if has_begun(trial))
            return self._budget.stop.reason(since) if is_over else None
        if self._is_exhausted():
            return "every configuration of the search space has been tried: there is nothing left to do"
        return None

    def flat_since(self) -> int | None:
        """Return the trial since which the study has not improved; None unless that is long enough to stop."""
        if self._budget.stop is None:
            return None
        trials = [trial for trial in self._known.trials() if not is_foreign(trial)]
        return self._budget.flat_since(trials, self._study.directions[0].name.lower())

    def has_room(self, more: int = 0) -> bool:
        """Tell whether the search space has a new configuration for one trial and `more` others."""
        sampler = self._study.sampler
        return not isinstance(sampler, SeededSampler) or sampler.room(self.study()) > more

    def counted(self) -> list[FrozenTrial]:
        """Return the trials that use up the budget: the first N that have not failed, or whose failure counts."""
        trials = self._known.trials()
        counted = [t for t in trials if not is_foreign(t) and (t.state != TrialState.FAIL or is_spent(t, self._budget))]
        return counted[: self._budget.n_trials]

    def finished_and_others(self) -> contextlib.AbstractContextManager[tuple[FinishedIndex, list[FrozenTrial]]]:
        """Open a context that yields the index of finished trials, and the other trials."""
        return self._finished.look(self._known.trials())

    def _is_exhausted(self) -> bool:
        """Tell whether each trial that is left would repeat a finished one."""
        sampler = self._study.sampler
        if not isinstance(sampler, SeededSampler) or not sampler.is_done(self.study()):
            return False
        return all(t.state.is_finished() or is_fresh(t) for t in self.counted())


def is_spent(trial: FrozenTrial, budget: Budget) -> bool:
    """Tell whether a failed trial uses up a trial of the budget."""
    is_lost = trial.user_attrs.get("failure") == "lost"
    return budget.count_failed and trial.state == TrialState.FAIL and not is_lost


def has_begun(trial: FrozenTrial) -> bool:
    """Tell whether a trial runs, is finished, or was interrupted."""
    return trial.state != TrialState.WAITING or bool(trial.params)


def is_fresh(trial: FrozenTrial) -> bool:
    """Tell whether a trial waits and has no parameters yet, neither suggested nor fixed."""
    return trial.state == TrialState.WAITING and not trial.params and not trial.system_attrs.get("fixed_params")
