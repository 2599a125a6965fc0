"""A check of the configurations that a study file gives to a plain objective, while its trials run.

The search space of an objective is known only while it runs. A value that no trial can suggest raises an error at the
first suggestion that shows this. A range may differ between trials. So a number outside of it only leads to a note,
and fails only the trial to which it was given.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from autotune.errors import SearchSpaceError
from autotune.running.tracking import Note, Observer
from autotune.running.trial import BASELINE, Configurations, contains, may_contain, outside, place_of, refusal
from autotune.search.history import describe
from autotune.search.transfer import fitted, guess_of, origin_of

_EXPECTED = "`baseline`, `enqueue` and `guess` must give values that the objective's `suggest_*` can return."


class OutsideError(Exception):
    """A trial was given a value that is outside of the range that it asks for.

    Args:
        error: The error to show.
        ends_run: Whether it ends the run, because no trial is finished yet.
    """

    def __init__(self, error: SearchSpaceError, ends_run: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.ends_run = ends_run


class GivenTrials:
    """Checks the configurations that a study file gives.

    Args:
        given: The configurations.
        has_results: Tells whether a trial of the study is finished.
        observer: Receives notes about problems that do not end the run.
    """

    def __init__(self, given: Configurations, has_results: Callable[[], bool], observer: Observer) -> None:
        self._given = given
        self._has_results = has_results
        self._observer = observer
        self._told: set[tuple[str, str]] = set()  # label and name of each checked value
        self._lock = threading.Lock()

    def check(self, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> None:
        """Check the values that are given for a hyperparameter that a trial asks for.

        Raises:
            OutsideError: If the trial itself was given a value outside of the range.
            SearchSpaceError: If another configuration has a value that no such suggestion can return.
        """
        own = self._label_of(trial)
        if own is not None and (problems := outside(_given_to(trial), {name: distribution})):
            problem = refusal([f"{own}: {problems[0]}"], _EXPECTED)
            ends_run = not self._has_results()
            if not ends_run:
                self._observer(Note(trial.number, f"{own}: {problems[0]}, and the trial has failed"))
            raise OutsideError(problem, ends_run)
        for label, params in self._given.items():
            if label != own and name in params and self._is_new(label, name):
                self._check_other(label, name, params[name], distribution, trial.number)

    def note_unused(self, trial: FrozenTrial) -> None:
        """Send a note if a finished trial did not use a given value, or the first one differs from the baseline."""
        own, asked_for = self._label_of(trial), trial.params.keys()
        for label, params in self._given.items():
            if label == BASELINE:
                differs = params.keys() != asked_for and not self._has_results()
            else:
                differs = label == own and not params.keys() <= asked_for
            if differs and self._is_new(label, "unused"):
                names, asked = (", ".join(map(repr, there)) or "nothing" for there in (params, asked_for))
                why = "" if label == own else " (it may depend on other hyperparameters)"
                self._observer(Note(trial.number, f"{label} gives {names}; this trial asked for {asked}{why}"))

    def _check_other(self, label: str, name: str, value: Any, distribution: BaseDistribution, number: int) -> None:
        problem = f"{label}: {name}={value!r} is not {describe(distribution)}"
        if not may_contain(distribution, value) and not self._has_results():
            raise refusal([problem], _EXPECTED)
        if not contains(distribution, value):
            self._observer(Note(number, f"{problem}, which this trial asks for"))

    def _label_of(self, trial: FrozenTrial) -> str | None:
        own = _given_to(trial)
        return next((label for label, params in self._given.items() if own and _are_same(params, own)), None)

    def _is_new(self, label: str, what: str) -> bool:
        with self._lock:
            is_new = (label, what) not in self._told
            self._told.add((label, what))
        return is_new


def unused_origin(trial: FrozenTrial) -> str | None:
    """Say that a finished trial has nothing of the earlier study that its configuration comes from; None if it has."""
    origin = origin_of(trial)
    if origin is None or fitted(origin.params, trial.distributions):
        return None
    names, asked = (", ".join(map(repr, there)) or "nothing" for there in (origin.params, trial.params))
    source = f"trial {origin.trial} of {origin.study}"
    return f"nothing could be learned from {source}: it has {names}, and this one asked for {asked}"


def _are_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two configurations are equal, where NaN equals NaN, unlike with `==`."""
    return one.keys() == other.keys() and all(place_of(one[name], [other[name]]) is not None for name in one)


def _given_to(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the values that the study file gives to a trial; none for most trials."""
    fixed: Mapping[str, Any] = trial.system_attrs.get("fixed_params", {})
    return fixed or guess_of(trial) or {}
