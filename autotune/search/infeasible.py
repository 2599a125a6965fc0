"""Failed trials that have violated a constraint, shown to samplers as what they can learn from.

Optuna's samplers look at trials that are complete or pruned. One that has run out of memory is neither: it has failed,
and TPE would propose its neighbours over and over. Shown as pruned, with its constraint, it counts as infeasible: TPE
puts those behind all others, and stays away.

What is covered: TPE, and samplers that treat pruned trials with constraints as it does.
What is not covered: samplers that learn from complete trials alone (GPSampler, CmaEsSampler, NSGAIISampler).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.search.storage_view import Change, StorageView


def show_infeasible(study: optuna.Study, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """Return a study with the same storage in which failed trials that have violated a constraint are pruned.

    Args:
        study: The study.
        trials: All its trials.

    Returns:
        Another study, good for one suggestion; `study` itself if there are no such trials.
    """
    infeasible = [t for t in trials if t.state == TrialState.FAIL and any(c > 0 for c in t.constraints.values())]
    if not infeasible:
        return study
    finished = defaultdict(list)
    for trial in trials:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            finished[frozenset(trial.params)].append(trial)
    shown = {t._trial_id: _as_pruned(t, finished) for t in infeasible}
    # Under Hyperband `study` is one bracket, of which samplers that read trials as Optuna's own do see nothing.
    return optuna.Study(
        study.study_name, StorageView(study, _Shown(study, shown)), sampler=study.sampler, pruner=study.pruner
    )


def _as_pruned(trial: FrozenTrial, finished: Mapping[frozenset[str], Sequence[FrozenTrial]]) -> FrozenTrial:
    """Return the trial as a pruned one that has reported nothing, with all the parameters that others have.

    It may have failed before it was asked for some of them, so that it would have failed with any value of those.
    Left out, they would no longer be one group with the others, and TPE would model them apart from then on.
    """
    shown = copy.copy(trial)
    shown.state = TrialState.PRUNED
    shown.values = None
    shown.intermediate_values = {}
    names = frozenset(trial.params)
    fuller = next((those for known, those in finished.items() if names < known), None)
    if fuller and names not in finished:
        other = fuller[trial.number % len(fuller)]
        shown.params = {**other.params, **trial.params}
        shown.distributions = {**other.distributions, **trial.distributions}
    return shown


class _Shown:
    """The trials of a study, some of them shown otherwise: finished ones, which do not change any more."""

    def __init__(self, study: optuna.Study, shown: Mapping[int, FrozenTrial]) -> None:
        self._study = study
        self._shown = shown

    def trial(self, trial_id: int) -> FrozenTrial | None:
        return self._shown.get(trial_id)

    def trials(self) -> list[FrozenTrial]:
        trials = self._study._storage.get_all_trials(self._study._study_id, deepcopy=False)
        return [self._shown.get(t._trial_id, t) for t in trials]

    def note(self, trial_id: int, change: Change) -> None:
        return None
