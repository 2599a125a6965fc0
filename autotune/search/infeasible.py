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
from collections.abc import Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


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
    return optuna.Study(study.study_name, _View(study, shown), sampler=study.sampler, pruner=study.pruner)


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


class _View(BaseStorage):
    """A study's storage in which some trials are shown otherwise; everything else is read and written as it is.

    Args:
        study: The study.
        shown: From a trial's id to what is shown in its place. Finished trials only: they do not change any more.
    """

    def __init__(self, study: optuna.Study, shown: Mapping[int, FrozenTrial]) -> None:
        self._study = study
        self._storage = study._storage
        self._shown = shown

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._shown.get(trial_id) or self._storage.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = self._storage.get_all_trials(study_id, deepcopy=False)
        trials = [self._shown.get(t._trial_id, t) for t in trials]
        trials = [t for t in trials if states is None or t.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_study_id_from_name(self, study_name: str) -> int:
        if study_name == self._study.study_name:
            return self._study._study_id  # a query less for every suggestion
        return self._storage.get_study_id_from_name(study_name)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._storage.get_study_directions(study_id)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._storage.get_study_name_from_id(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._storage.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._storage.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[Any]:
        return self._storage.get_all_studies()

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self._storage.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self._storage.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._storage.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._storage.set_study_system_attr(study_id, key, value)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._storage.create_new_trial(study_id, template_trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._storage.set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        return self._storage.set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._storage.set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._storage.set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._storage.set_trial_system_attr(trial_id, key, value)
