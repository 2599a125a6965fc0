"""What samplers can learn from trials that are not complete, shown to them as they can read it.

Optuna's samplers look at trials that are complete or pruned. One that has run out of memory is neither: it has failed,
and TPE would propose its neighbours over and over. Shown as pruned, with its constraint, it counts as infeasible: TPE
puts those behind all others, and stays away.

With several objectives a pruned trial is shown without its reports: TPE would order it by them, and asks for the
study's only direction to do so.

What is covered: TPE, and samplers that treat pruned trials with constraints as it does.
What is not covered: samplers that learn from complete trials alone (GPSampler, CmaEsSampler, NSGAIISampler).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import id_of
from autotune.search.history import MappedTrials, StorageView


def show_to_sampler(study: optuna.Study, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """Return a study with the same storage in which failed trials that have violated a constraint are pruned.

    Args:
        study: The study.
        trials: All its trials.

    Returns:
        Another study, good for one suggestion; `study` itself if there is nothing to show otherwise.
    """
    infeasible = [t for t in trials if t.state == TrialState.FAIL and any(c > 0 for c in t.constraints.values())]
    silent = [t for t in trials if t.state == TrialState.PRUNED and len(study.directions) > 1]
    if not infeasible and not silent:
        return study
    finished = defaultdict(list)
    for trial in trials:
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            finished[frozenset(trial.params)].append(trial)
    shown = {id_of(t): _as_pruned(t, finished) for t in infeasible}
    shown |= {id_of(t): _without_reports(t) for t in silent}
    reader = MappedTrials(study, lambda trial: shown.get(id_of(trial), trial))
    # Under Hyperband `study` is one bracket, of which samplers that read trials as Optuna's own do see nothing.
    return optuna.Study(study.study_name, StorageView(study, reader), sampler=study.sampler, pruner=study.pruner)


def _as_pruned(trial: FrozenTrial, finished: Mapping[frozenset[str], Sequence[FrozenTrial]]) -> FrozenTrial:
    """Return the trial as a pruned one that has reported nothing, with all the parameters that others have.

    It may have failed before it was asked for some of them, so that it would have failed with any value of those.
    Left out, they would no longer be one group with the others, and TPE would model them apart from then on.
    """
    shown = _without_reports(trial)
    shown.state = TrialState.PRUNED
    shown.values = None
    names = frozenset(trial.params)
    fuller = next((those for known, those in finished.items() if names < known), None)
    if fuller and names not in finished:
        other = fuller[trial.number % len(fuller)]
        shown.params = {**other.params, **trial.params}
        shown.distributions = {**other.distributions, **trial.distributions}
    return shown


def _without_reports(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.intermediate_values = {}
    return shown
