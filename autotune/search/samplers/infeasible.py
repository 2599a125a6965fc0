"""A view of a study that shows failed trials to samplers as infeasible ones.

Optuna's samplers use only complete or pruned trials. A trial that ran out of memory has failed, so TPE would ignore it
and propose similar configurations again and again. Shown as a pruned trial with a violated constraint, it counts as
infeasible: TPE ranks it last and avoids its region.

With several objectives a pruned trial is shown without its reports, because TPE would order it by them and fail: it
needs a study with a single direction for that.

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
    """Return a view of a study that shows failed trials with a violated constraint as pruned.

    Args:
        study: The study.
        trials: All its trials.

    Returns:
        A view for one suggestion; `study` itself if there is nothing to change.
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
    # Under Hyperband `study` is one bracket, but Optuna's own samplers read the trials of all brackets too.
    return optuna.Study(study.study_name, StorageView(study, reader), sampler=study.sampler, pruner=study.pruner)


def _as_pruned(trial: FrozenTrial, finished: Mapping[frozenset[str], Sequence[FrozenTrial]]) -> FrozenTrial:
    """Return the trial as a pruned one without reports, with all the parameters that similar trials have.

    If it failed before some parameters were suggested, it would have failed with any value of those. Without them TPE
    would put the trial into a group of its own, and model this group separately from then on.
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
