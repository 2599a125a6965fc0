"""How far a study has come: how many of its trials count, and whether it is over."""

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


class Books:
    """What there is to know of the finished trials of one study.

    Args:
        budget: Says whether failed trials count.

    Attributes:
        n_finished: How many are complete or pruned.
        n_counted: How many count: those, and failed ones that are spent.
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
    """The trials of one study, counted, for the slots of one parent.

    Args:
        study: The study.
        view: Its storage, as this parent knows it.
        known: Its trials.
        finished: What is known of the finished ones.
        budget: How many trials there are to be.
    """

    def __init__(
        self,
        study: optuna.Study,
        view: StorageView,
        known: KnownTrials,
        finished: FinishedTrials[Books],
        budget: Budget,
    ) -> None:
        self._study = study
        self._view = view
        self._known = known
        self._finished = finished
        self._budget = budget

    def study(self) -> optuna.Study:
        """Return a new study object over the known trials: an older one would keep what it has read."""
        return optuna.Study(self._study.study_name, self._view, self._study.sampler, self._study.pruner)

    def is_complete(self) -> bool:
        """Say whether the study has all its trials."""
        with self.books() as (books, unfinished):
            return not unfinished if self._budget.n_trials is None else self._budget.is_met_by(books.n_counted)

    def n_finished(self) -> int:
        """Return how many trials are finished, by all parents."""
        with self.books() as (books, _):
            return books.n_finished

    def why_over(self) -> str | None:
        """Return why the study ends although trials are missing; None if it does not."""
        if self._budget.stop is not None and (since := self.flat_since()) is not None:
            is_over = all(trial.state.is_finished() for trial in self.counted() if has_begun(trial))
            return self._budget.stop.reason(since) if is_over else None
        if self._is_exhausted():
            return "every configuration of the search space has been tried: there is nothing left to do"
        return None

    def flat_since(self) -> int | None:
        """Return since which trial the study has not become better, if that is long enough for it to stop."""
        if self._budget.stop is None:
            return None
        trials = [trial for trial in self._known.trials() if not is_foreign(trial)]
        return self._budget.flat_since(trials, self._study.directions[0].name.lower())

    def has_room(self, more: int = 0) -> bool:
        """Say whether a new trial, and so many more, would have something new to try."""
        sampler = self._study.sampler
        return not isinstance(sampler, SeededSampler) or sampler.room(self.study()) > more

    def counted(self) -> list[FrozenTrial]:
        """Return the trials that count: the first N that have not failed."""
        trials = self._known.trials()
        counted = [t for t in trials if not is_foreign(t) and (t.state != TrialState.FAIL or is_spent(t, self._budget))]
        return counted[: self._budget.n_trials]

    def books(self) -> contextlib.AbstractContextManager[tuple[Books, list[FrozenTrial]]]:
        """Give what is known of the finished trials, and the others."""
        return self._finished.look(self._known.trials())

    def _is_exhausted(self) -> bool:
        """Say whether all that the study can still do is to repeat what it has done."""
        sampler = self._study.sampler
        if not isinstance(sampler, SeededSampler) or not sampler.is_done(self.study()):
            return False
        return all(t.state.is_finished() or is_fresh(t) for t in self.counted())


def is_spent(trial: FrozenTrial, budget: Budget) -> bool:
    """Say whether a failed trial counts although it has failed."""
    is_lost = trial.user_attrs.get("failure") == "lost"
    return budget.count_failed and trial.state == TrialState.FAIL and not is_lost


def has_begun(trial: FrozenTrial) -> bool:
    """Say whether a trial runs or is finished, or has been interrupted."""
    return trial.state != TrialState.WAITING or bool(trial.params)


def is_fresh(trial: FrozenTrial) -> bool:
    """Say whether a trial waits for a sampler to say what it is to try."""
    return trial.state == TrialState.WAITING and not trial.params and not trial.system_attrs.get("fixed_params")
