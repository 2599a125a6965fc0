"""Samplers whose suggestions depend only on the stored trials and the study's seed.

What is covered: a search that is interrupted anywhere, even between two parameters of one trial, makes the same
suggestions afterwards as without the interruption. A configuration is not suggested twice while untried ones are left.
What is not covered: with more than one slot the order in which trials finish differs from run to run, so the stored
trials and the suggestions differ too. Two slots that start a trial at the same moment may get the same suggestion;
the run then makes one of them wait for the other.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BruteForceSampler, GridSampler, PartialFixedSampler, QMCSampler
from optuna.trial import FrozenTrial, TrialState

from autotune.optuna_inside import fixed_by
from autotune.search.curves import CurveSampler
from autotune.search.history import (
    FinishedTrials,
    Tried,
    all_trials,
    all_tried,
    below,
    countable,
    countable_trial,
    draw_untried,
    is_exhausted,
    n_untried,
    n_values,
    value_at,
)
from autotune.search.samplers.feasibility import Feasibility, never
from autotune.search.samplers.infeasible import show_to_sampler
from autotune.search.samplers.thinning import Thinned, with_trials
from autotune.search.transfer import Guess, Leaning, fitted, guess_of, origin_of
from autotune.seeds import derive_seed

_ATTEMPTS = 10  # attempts to get a whole configuration that has not been tried
_LIKELY_TO_FAIL = 0.2  # above this probability of running out of memory or time a proposal is rejected
_ATTEMPTS_AT_ONE = 4  # attempts for a single parameter; after that one of the untried values is drawn


def tpe(seed: int) -> optuna.samplers.TPESampler:
    """Return Optuna's TPE with fixed settings where versions of Optuna have different defaults."""
    return optuna.samplers.TPESampler(
        seed=seed,
        multivariate=True,
        group=True,  # models conditional parameters in the groups in which they occur
        constant_liar=True,  # keeps slots that run at the same time from similar suggestions
        n_startup_trials=10,
    )


@dataclass(frozen=True)
class _Past:
    """The inputs of a suggestion.

    Attributes:
        study: The view of the study for the inner sampler, with the trials that it can learn from.
        space: The view of the study from which the inner sampler infers the search space.
        tried: The trials whose configurations must not be suggested again.
        given: The values that the trial was enqueued with, or has from an earlier study; they replace suggestions.
        chance_of_failure: The probability that a configuration runs out of memory or time.
    """

    study: optuna.Study
    space: optuna.Study
    tried: list[FrozenTrial]
    given: dict[str, Any]
    chance_of_failure: Callable[[Mapping[str, Any]], float] = never


class _Learned:
    """The information from finished trials that suggestions need."""

    def __init__(self) -> None:
        self.tried = Tried()
        self.thinned = Thinned()
        self.feasibility = Feasibility()

    def learn(self, trial: FrozenTrial) -> None:
        self.tried.learn(trial)
        self.thinned.learn(trial)
        self.feasibility.learn(trial)


class SeededSampler(optuna.samplers.BaseSampler):
    """A sampler that makes a new inner sampler for every suggestion, seeded by (study seed, trial, parameter).

    A sampler that lives as long as the process would repeat its first random points after a restart. It would also
    give the remaining parameters of an interrupted trial other random numbers than those of an uninterrupted trial.

    If the inner sampler proposes a configuration that was tried, is being tried, or is likely to run out of memory or
    time, it is asked again with another seed. If all its proposals were tried, one of the untried values is drawn. If
    all are likely to fail, the one with the lowest probability is used.

    A trial whose configuration comes from an earlier study gets its values, moved into the ranges that the trial asks
    for. Samplers that try every configuration (`tries_all`) decide by themselves.

    Args:
        factory: A function from a seed to a sampler.
        seed: The study's seed.
        guesses: Configurations that early suggestions lean towards.
    """

    def __init__(
        self, factory: Callable[[int], optuna.samplers.BaseSampler], seed: int, guesses: Sequence[Guess] = ()
    ) -> None:
        self._factory = factory
        self._seed = seed
        self._leaning = Leaning(guesses, seed)
        self._thins = factory is tpe
        self._learned = FinishedTrials(_Learned)
        self._kind = self._plan()  # only its class is used
        self._has_stopped = False
        self._relative: dict[int, dict[str, Any]] = {}  # the result of `sample_relative`, by trial number

    @property
    def tries_all(self) -> bool:
        """Whether the inner sampler tries every configuration once, in an order of its own."""
        return isinstance(self._kind, (GridSampler, BruteForceSampler))

    def is_done(self, study: optuna.Study) -> bool:
        """Tell whether every configuration has been tried, so that a new trial could only repeat one."""
        if isinstance(self._kind, GridSampler):
            return self._kind.is_exhausted(study)
        if self._has_stopped:
            return True
        trials = all_trials(study)
        if isinstance(self._kind, BruteForceSampler):  # it does not retry failed trials either
            return is_exhausted([t for t in trials if t.state.is_finished()])
        with self._learned.look(trials) as (learned, _):
            return not learned.tried.is_endless([]) and is_exhausted(learned.tried.trials)

    def room(self, study: optuna.Study) -> float:
        """Return how many more trials can start now without repeating a configuration.

        Each running trial that does not have all its parameters yet counts as one configuration.
        """
        if self.is_done(study):
            return 0
        with self._learned.look(all_trials(study)) as (learned, unfinished):
            taken = learned.tried.being_tried(unfinished)
            if learned.tried.is_endless(taken):
                return math.inf
            known = {t.number for t in taken}
            n_unknown = sum(t.state == TrialState.RUNNING and t.number not in known for t in unfinished)
            return n_untried(learned.tried.trials + taken) - n_unknown

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        sampler = self._fresh(trial, "space")
        return sampler.infer_relative_search_space(self._past(study, trial).space, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        params = {**self._propose(study, trial, search_space), **self._given_values(trial, search_space)}
        self._relative[trial.number] = params
        return params

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        use = f"parameter {param_name}"
        if isinstance(self._kind, BruteForceSampler):
            return self._by_brute_force(study, trial, param_name, param_distribution)
        if given := self._given_values(trial, {param_name: param_distribution}):
            return given[param_name]
        past = self._past(study, trial)
        known = {**self._relative.get(trial.number, {}), **past.given, **trial.params}
        nearby = below(past.tried, known)
        proposals = []
        for attempt in range(_ATTEMPTS_AT_ONE):
            sampler = self._fresh(trial, use, attempt)
            value = sampler.sample_independent(past.study, trial, param_name, param_distribution)
            if n_values(param_distribution) is None or not all_tried(nearby, {**known, param_name: value}):
                return value
            proposals.append(value)
        if isinstance(sampler, PartialFixedSampler):
            return proposals[0]  # this may be one of the fixed parameters
        rng = random.Random(derive_seed(self._seed, "trial", trial.number, use, "untried"))
        drawn = draw_untried(nearby, known, param_name, param_distribution, rng)
        return proposals[0] if drawn is None else value_at(param_distribution, drawn)

    def _by_brute_force(
        self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """Return the proposal of `BruteForceSampler`, which needs values with a hash."""
        sampler, of_shown = self._fresh(trial, f"parameter {name}"), countable(distribution)
        value = sampler.sample_independent(_countable(study), countable_trial(trial), name, of_shown)
        return distribution.to_external_repr(of_shown.to_internal_repr(value))

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._fresh(trial, "before").before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        if isinstance(self._kind, BruteForceSampler):
            study, trial = _countable(study), countable_trial(trial)
        try:
            self._fresh(trial, "after").after_trial(study, trial, state, values)
        except RuntimeError as error:
            # A sampler whose space is exhausted stops the study, which Optuna refuses outside `study.optimize`.
            if "Study.stop" not in str(error):
                raise
            self._has_stopped = True
        finally:
            self._relative.pop(trial.number, None)

    def _propose(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        past = self._past(study, trial)
        turned_down: list[tuple[float, int]] = []
        for attempt in range(_ATTEMPTS):
            params = self._proposal(past, trial, search_space, attempt)
            # The values that the trial already has are ignored: if it was interrupted, it must get the same other
            # values as without the interruption.
            whole = {**params, **past.given}
            if not params:
                return params
            if all_tried(past.tried, whole):
                continue
            chance = past.chance_of_failure(whole)
            if chance <= _LIKELY_TO_FAIL:
                return params
            turned_down.append((chance, attempt))
        if turned_down:
            return self._proposal(past, trial, search_space, min(turned_down)[1])  # again, as TPE notes its last one
        return {}  # then the parameters are suggested one by one

    def _proposal(
        self, past: _Past, trial: FrozenTrial, search_space: dict[str, BaseDistribution], attempt: int
    ) -> dict[str, Any]:
        sampler = self._fresh(trial, "relative", attempt)
        # Some samplers (TPE with groups) compute in the first call what they need in the second.
        sampler.infer_relative_search_space(past.space, trial)
        return sampler.sample_relative(past.study, trial, search_space)

    def _given_values(self, trial: FrozenTrial, space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
        """Return the values that a trial has from an earlier study or a guess, or that are drawn around a guess."""
        if self.tries_all:
            return {}
        fixed = fixed_by(self._kind)
        free = {name: distribution for name, distribution in space.items() if name not in fixed}
        known = _known_values(trial)
        return self._leaning.drawn(trial.number, free) if known is None else fitted(known, free)

    def _plan(self) -> optuna.samplers.BaseSampler:
        return self._factory(derive_seed(self._seed, "plan"))

    def _fresh(self, trial: FrozenTrial, use: str, attempt: int = 0) -> optuna.samplers.BaseSampler:
        again = ("attempt", attempt) if attempt else ()
        sampler = self._factory(derive_seed(self._seed, "trial", trial.number, use, *again))
        if isinstance(sampler, GridSampler) or (isinstance(sampler, QMCSampler) and use == "relative"):
            # The whole study has one sequence of points, and the seed decides their order.
            return self._plan()
        if isinstance(sampler, CurveSampler) and use == "relative" and not attempt:
            return self._plan()  # it starts with such a sequence too, and derives its own seeds from the trial
        return sampler

    def _past(self, study: optuna.Study, trial: FrozenTrial) -> _Past:
        """Return the inputs of a suggestion for `trial`."""
        if self.tries_all:
            return _Past(study, study, [], {})  # these track tried configurations themselves
        trials = all_trials(study)  # not `study.get_trials`: under Hyperband `study` is only one bracket
        with self._learned.look(trials) as (learned, unfinished):
            others = [t for t in unfinished if t.number != trial.number]
            taken = learned.tried.being_tried(others)
            avoided = [] if learned.tried.is_endless(taken) else learned.tried.trials + taken
            shown = space = study
            is_bracket = type(study) is not optuna.Study  # a bracket of Hyperband
            if self._thins and not is_bracket and len(study.directions) == 1 and learned.thinned.is_needed():
                shown, space = self._thinned(study, learned.thinned, unfinished)
            elif not isinstance(self._kind, QMCSampler):  # QMCSampler takes its space from the first unfailed trial
                shown = space = show_to_sampler(study, trials)
            chance = learned.feasibility.fitted()
        own = trials[trial.number] if trial.number < len(trials) else trial
        given = {**own.system_attrs.get("fixed_params", {}), **(_known_values(own) or {})}
        return _Past(shown, space, avoided, given, chance)

    def _thinned(
        self, study: optuna.Study, thinned: Thinned, unfinished: list[FrozenTrial]
    ) -> tuple[optuna.Study, optuna.Study]:
        running = [t for t in unfinished if t.state == TrialState.RUNNING]
        shown, kinds = thinned.shown(study.direction) + running, thinned.kinds()
        return (
            show_to_sampler(with_trials(study, shown), shown),
            show_to_sampler(with_trials(study, kinds), kinds),
        )


def _known_values(trial: FrozenTrial) -> Guess | None:
    """Return the values that a trial has from an earlier study or a guess; None if it has none."""
    origin = origin_of(trial)
    return origin.params if origin is not None else guess_of(trial)


def _countable(study: optuna.Study) -> optuna.Study:
    """Return a view of the study with countable trials; the study itself, which can be stopped, if all are."""
    trials = all_trials(study)
    shown = [countable_trial(trial) for trial in trials]
    return with_trials(study, shown) if any(map(operator.is_not, shown, trials)) else study
