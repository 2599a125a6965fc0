"""Optuna's percentile pruners, without a look at every trial of the study after each report."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict

import numpy as np
import optuna
from optuna.pruners import BasePruner, PercentilePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autotune.search.finished_trials import FinishedTrials
from autotune.search.storage_view import all_trials


class QuickPercentilePruner(BasePruner):
    """A pruner that says what a `PercentilePruner` or a `MedianPruner` says.

    Args:
        pruner: That one.
    """

    def __init__(self, pruner: PercentilePruner) -> None:
        self._pruner = pruner
        self._peers = FinishedTrials(_Peers)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or not self._is_due(trial, step):
            return False
        with self._peers.look(all_trials(study)) as (peers, _):
            if peers.n_complete < max(1, self._pruner._n_startup_trials):
                return False
            reports = np.frombuffer(peers.reports[step]) if step in peers.reports else np.empty(0)
            bound = self._bound(reports, study.direction)
        reported = np.fromiter(trial.intermediate_values.values(), dtype=float)
        if np.isnan(reported).all():
            return True
        if study.direction == StudyDirection.MAXIMIZE:
            return bool(np.nanmax(reported) < bound)
        return bool(np.nanmin(reported) > bound)

    def _is_due(self, trial: FrozenTrial, step: int) -> bool:
        """Say whether a trial is to be judged at its last step: once in each interval after the warm-up."""
        warm_up, interval = self._pruner._n_warmup_steps, self._pruner._interval_steps
        if step < warm_up:
            return False
        began = (step - warm_up) // interval * interval + warm_up
        return max((other for other in trial.intermediate_values if other != step), default=-1) < began

    def _bound(self, reports: np.ndarray[tuple[int], np.dtype[np.float64]], direction: StudyDirection) -> float:
        """Return what a trial must reach; NaN if there are too few to say."""
        if len(reports) < self._pruner._n_min_trials:
            return math.nan
        percentile = self._pruner._percentile
        known = reports[~np.isnan(reports)]
        if not len(known):
            return math.nan
        return float(np.percentile(known, 100 - percentile if direction == StudyDirection.MAXIMIZE else percentile))


class _Peers:
    """What complete trials have reported, by step."""

    def __init__(self) -> None:
        self.n_complete = 0
        self.reports: defaultdict[int, array[float]] = defaultdict(_new_array)

    def learn(self, trial: FrozenTrial) -> None:
        if trial.state != TrialState.COMPLETE:
            return
        self.n_complete += 1
        for step, value in trial.intermediate_values.items():
            self.reports[step].append(value)


def _new_array() -> array[float]:
    return array("d")
