"""Confirm the best trials: train each again with new seeds on new splits, and choose the winner.

The best value of a search was partly lucky. The repeats have no such selection, and all candidates use the same seeds
and splits, so that they are compared in pairs. Among the candidates that are not clearly worse than the best, the
smallest network wins, or the one with the lowest cost that the study minimizes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from autotune.data.splits import Design
from autotune.errors import StudyFailedError
from autotune.results.final.statistics import Estimate, estimate
from autotune.running.planning import QueuedTrial, key_of
from autotune.running.tracking import last_words
from autotune.search.curves import CurvePruner
from autotune.search.history import best_first, direction_sign, first_value, twin
from autotune.training.records import Refit, best_epoch, fold_values, learning_rates, n_parameters, stage_ends

BASELINE = "baseline"
_NOISE = 0.05  # significance level: differences with a larger p-value count as noise


@dataclass(frozen=True)
class Candidate:
    """One configuration, trained again.

    Attributes:
        name: The number of its trial in the search, or "baseline".
        params: Its hyperparameters.
        searched: Its value in the search; None for the baseline, and for a pruned trial.
        confirmed: The mean over the repeats; None if not all of them are complete.
        optimism: The value in the search minus the confirmed mean, larger than 0 if the search was too optimistic; None
            if one of the two is missing.
        n_failed: Number of failed repeats.
        n_parameters: Number of weights of its network; None for a plain objective.
        versus_best: The paired difference between the best candidate and this one, larger than 0 if the best is better.
        costs: The costs that the study minimizes, by name: the median over the repeats.
    """

    name: str
    params: Mapping[str, Any]
    searched: float | None
    confirmed: Estimate | None
    optimism: float | None
    n_failed: int
    n_parameters: int | None
    versus_best: Estimate | None
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def burden(self) -> float:
        """The number that decides between equally good candidates: the first cost, else the number of weights."""
        return next(iter(self.costs.values()), self.n_parameters or 0)


@dataclass(frozen=True)
class Confirmation:
    """The result of the repeats.

    Attributes:
        candidates: All candidates with the baseline, the best first.
        winner: The name of the winner.
        is_clear: Whether the best is better than the second by more than noise.
        versus_baseline: The paired difference between the winner and the baseline; None if there is no baseline, or if
            the baseline won. Its p-value is corrected for the choice among several candidates.
        repeats: Number of repeats of each candidate.
        remark: What the intervals cover, if the repeats do not draw new rows; "" if they do.
    """

    candidates: tuple[Candidate, ...]
    winner: str
    is_clear: bool
    versus_baseline: Estimate | None
    repeats: int
    remark: str = ""

    @property
    def beats_baseline(self) -> bool:
        """Whether the winner is better than the baseline by more than noise."""
        versus = self.versus_baseline
        return versus is not None and versus.mean > 0 and versus.p_value < _NOISE

    def candidate(self, name: str) -> Candidate:
        """Return the candidate of that name."""
        return next(one for one in self.candidates if one.name == name)

    def __post_init__(self) -> None:
        if self.winner not in [one.name for one in self.candidates]:
            raise ValueError("the winner is none of the candidates")


def candidates_to_confirm(
    study: optuna.Study, top: int, repeats: int, baseline: Mapping[str, Any] | None, pruner: BasePruner | None = None
) -> list[QueuedTrial]:
    """Return the best trials of a study, and its baseline, each to be trained `repeats` times.

    Two trials with the same hyperparameters are one candidate, and a trial of the baseline is none beside it. With
    several objectives only the first counts, because the trials of the Pareto front are, for their costs, the luckiest
    ones. With a `CurvePruner` the pruner ranks the trials, because it also stops good trials as soon as it knows that
    they are good.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    chosen: list[FrozenTrial] = []
    for trial in pruner.best_first(study) if isinstance(pruner, CurvePruner) else best_first(study, complete):
        if len(chosen) < top and trial.params != baseline and not _is_among(chosen, trial.params):
            chosen.append(trial)
    named: list[tuple[str, Mapping[str, Any]]] = [(str(trial.number), trial.params) for trial in chosen]
    if baseline is not None:
        named.append((BASELINE, baseline))
    # Repeat by repeat, so that all candidates can be compared if the confirmation is interrupted.
    return [QueuedTrial(name, params, repeat) for repeat in range(repeats) for name, params in named]


def _is_among(chosen: Sequence[FrozenTrial], params: Mapping[str, Any]) -> bool:
    if not params:  # a study of a single configuration
        return any(not trial.params for trial in chosen)
    return twin(chosen, params) is not None


def confirm(search: optuna.Study, again: optuna.Study, queued: Sequence[QueuedTrial], design: Design) -> Confirmation:
    """Choose among the candidates on their repeats.

    Args:
        search: The study that was searched.
        again: The study of the repeats, all finished.
        queued: The queued repeats.
        design: The dependence between the values of one candidate.

    Raises:
        StudyFailedError: If every candidate has a failed repeat.
    """
    sign = direction_sign(search)
    trained = trained_again(again)
    names = list(dict.fromkeys(trial.candidate for trial in queued))
    repeats = 1 + max(trial.repeat for trial in queued)
    values = {name: values_of(trained[name]) for name in names if _is_whole(trained[name], repeats)}
    if not values:
        raise _nothing_confirmed(again, repeats)
    ranked = sorted(values, key=lambda name: -sign * values[name].mean())
    behind = {name: estimate(sign * (values[ranked[0]] - values[name]), design) for name in ranked}
    params = {trial.candidate: trial.params for trial in queued}
    monitor, *costs = again.metric_names or [""]
    complete = search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    searched = {str(trial.number): first_value(trial) for trial in complete}  # a pruned trial has no final value
    found = [
        Candidate(
            name=name,
            params=params[name],
            searched=searched.get(name),
            confirmed=estimate(values[name], design).of(monitor) if name in values else None,
            optimism=_optimism(searched.get(name), values.get(name), sign),
            n_failed=sum(trial.state != TrialState.COMPLETE for trial in trained[name].values()),
            n_parameters=_size(trained[name]),
            versus_best=behind.get(name),
            costs=_costs(trained[name], costs),
        )
        for name in [*ranked, *(name for name in names if name not in values)]
    ]
    equals = _not_worse(ranked, behind)
    winner = min((one for one in found if one.name in equals), key=lambda one: one.burden).name
    is_clear = len(ranked) > 1 and behind[ranked[1]].p_value < _NOISE
    versus_baseline = _versus_baseline(winner, values, sign, design)
    return Confirmation(tuple(found), winner, is_clear, versus_baseline, repeats, design.meaning)


def _nothing_confirmed(again: optuna.Study, repeats: int) -> StudyFailedError:
    failed = again.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    last = (last_words(failed[-1]) if failed else "") or "nobody knows why"
    return StudyFailedError(
        f"no candidate could be trained with every seed; the last failure: {last}",
        f"Each candidate is trained {repeats} times, and at least one of them must succeed every time.",
        "Correct the study file and run the same command again, or continue the search for more stable configurations.",
    )


def refit_of(again: optuna.Study, name: str) -> Refit:
    """Return the settings of a candidate's refit: the epochs and learning rates of its repeats (medians)."""
    trials = trained_again(again)[name].values()
    epochs = round(median(epoch for trial in trials for epoch in _as_list(best_epoch(trial) or 1)))
    rates = [fold for trial in trials for fold in learning_rates(trial)]
    ends = [fold for trial in trials for fold in stage_ends(trial)]
    stages = tuple(round(median(found)) for found in zip(*ends, strict=False))
    by_epoch = [[fold[epoch] for fold in rates if epoch < len(fold)] for epoch in range(epochs)]
    return Refit(max(1, epochs), tuple(median(found) for found in by_epoch) if all(by_epoch) else (), stages)


def _versus_baseline(winner: str, values: Mapping[str, npt.NDArray[Any]], sign: int, design: Design) -> Estimate | None:
    if BASELINE not in values or winner == BASELINE:
        return None
    found = estimate(sign * (values[winner] - values[BASELINE]), design)
    chances = len(values) - 1  # Bonferroni's correction for the number of candidates that could have won
    return Estimate(found.mean, found.standard_error, found.low, found.high, min(1.0, chances * found.p_value))


def _not_worse(ranked: Sequence[str], behind: Mapping[str, Estimate]) -> list[str]:
    """Return the best and those within one standard error of it (Breiman et al., "CART", 1984, section 3.4.3)."""
    errors = {name: behind[name].standard_error for name in ranked}
    return [name for name in ranked if behind[name].mean <= (errors[name] if math.isfinite(errors[name]) else 0.0)]


def trained_again(again: optuna.Study) -> dict[str, dict[int, FrozenTrial]]:
    """Return the finished repeats of each candidate; if a repeat has several trials, the first complete one."""
    found: dict[str, dict[int, FrozenTrial]] = defaultdict(dict)
    for trial in sorted(again.get_trials(deepcopy=False), key=lambda t: (t.state != TrialState.COMPLETE, t.number)):
        if trial.state.is_finished():
            key = key_of(trial)
            found[key.candidate].setdefault(key.repeat, trial)
    return found


def _is_whole(repeats: Mapping[int, FrozenTrial], n_repeats: int) -> bool:
    return sum(trial.state == TrialState.COMPLETE for trial in repeats.values()) == n_repeats


def values_of(repeats: Mapping[int, FrozenTrial]) -> npt.NDArray[Any]:
    """Return the values of complete repeats, shape (repeats, folds), in the order of the repeats."""
    ordered: Iterable[FrozenTrial] = (repeats[repeat] for repeat in sorted(repeats))
    return np.array(
        [fold_values(trial.user_attrs) or [first_value(trial) or 0.0] for trial in ordered], dtype=np.float64
    )


def _size(repeats: Mapping[int, FrozenTrial]) -> int | None:
    return max((n_parameters(trial) or 0 for trial in repeats.values()), default=0) or None


def _costs(repeats: Mapping[int, FrozenTrial], names: Sequence[str]) -> dict[str, float]:
    values = [trial.values[1:] for trial in repeats.values() if trial.state == TrialState.COMPLETE]
    return {name: median(costs) for name, costs in zip(names, zip(*values, strict=True), strict=False)}


def _optimism(searched: float | None, confirmed: npt.NDArray[Any] | None, sign: int) -> float | None:
    return None if searched is None or confirmed is None else sign * (searched - float(confirmed.mean()))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
