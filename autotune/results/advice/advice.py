"""Advice for the next search, computed by the checklist of the Deep Learning Tuning Playbook.

Godbole, Dahl, Gilmer, Shallue and Nado, "Deep Learning Tuning Playbook", 2023: are the best points near the edge of
the space, are there enough trials, do the curves show overfitting or too short training, and why do trials fail. Each
advice has its evidence; without evidence there is no advice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.results.advice.failing import failing_region
from autotune.results.advice.importance import Importance
from autotune.results.advice.ranges import is_ordered, position, short, widened
from autotune.results.summary import badness, finished_in_order
from autotune.running.tracking import failure_reason
from autotune.search.history import describe, direction_sign, first_value

Kind = Literal["too few trials", "widen", "fix", "train longer", "overfitting", "failures"]

_NEAR = 0.1  # share of the range, on its own scale, in which the best value is "at the edge"
_HALF_OF_BEST = 0.25  # share of the range in which the median of the best trials must lie too
_STEP = 0.5  # a range is widened by this share of its width
_NEIGHBOURS = 10  # trials of about the same time, see `autotune.results.advice.importance`
_CHANCE = 0.05
_CHANCE_OF_A_TREND = 0.02  # smaller, because every hyperparameter is tested
_FEW_PER_PARAMETER = 5
_ENOUGH_TO_FIX = 40
_NO_SHARE = 0.05  # a hyperparameter with a smaller share of the importance does not matter
_LAST, _SHORTEST = 0.9, 5  # the last tenth of the epochs starts here; curves with fewer epochs are not used
_MANY_FAILED, _SOME_FAILED = 0.1, 3


@dataclass(frozen=True)
class Advice:
    """One advice for the next search.

    Attributes:
        kind: The kind of advice.
        text: The advice, a sentence.
        evidence: The evidence, a sentence with numbers.
        parameter: The hyperparameter; None if it is about none.
        distribution: The range to search instead; None for none.
        value: The value to fix it to; None for none.
    """

    kind: Kind
    text: str
    evidence: str
    parameter: str | None = None
    distribution: BaseDistribution | None = None
    value: Any = None


def advise(
    study: optuna.Study,
    important: Sequence[Importance],
    train_values: Mapping[int, float],
    epochs: int | None,
) -> list[Advice]:
    """Return advice for the next search from the finished trials of a study, the most urgent first.

    Args:
        study: The study.
        important: The result of `importances`.
        train_values: The monitored metric on the training rows, at the epoch that counts, by trial number; at least for
            the best trials. Empty if it is not known.
        epochs: Number of epochs of a trial; None for a plain objective.
    """
    trials = finished_in_order(study)
    places = badness(study, trials)
    best = [trial for _, trial in sorted(zip(places, trials, strict=True), key=lambda pair: pair[0])]
    best = [trial for trial in best if trial.state == TrialState.COMPLETE]
    best = best[: max(5, len(best) // 10)]
    found = [*_failures(study), *_too_few(study, trials)]
    if len(best) >= 5:
        found += [one for name in _names(trials) for one in _edge(name, trials, places, best)]
        found += _longer(study, best, epochs) + _overfitting(study, best, train_values)
        found += _dead(trials, best[0], important)
    return found


def _names(trials: Sequence[FrozenTrial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def _edge(name: str, trials: Sequence[FrozenTrial], places: Sequence[int], best: Sequence[FrozenTrial]) -> list[Advice]:
    """Widen a range if the best trials lie at its edge and trials nearer to that edge are better than others."""
    distribution = best[0].distributions.get(name)
    if distribution is None or not is_ordered(distribution):
        return []
    lying = [
        position(distribution, trial.params[name]) for trial in best if trial.distributions.get(name) == distribution
    ]
    upwards = lying[0] > 0.5
    from_edge = [1 - where if upwards else where for where in lying]
    if from_edge[0] > _NEAR or median(from_edge) > _HALF_OF_BEST:
        return []
    p_value = _trend(name, distribution, trials, places, upwards)
    if p_value > _CHANCE_OF_A_TREND:
        return []
    wider = widened(distribution, upwards, _STEP)
    value = best[0].params[name]
    return [
        Advice(
            "widen",
            f"Widen {name} {'upwards' if upwards else 'downwards'}: {describe(wider)} in place of "
            f"{describe(distribution)}, if such values make sense.",
            f"The best trial ({best[0].number}) has {short(value)}, at the {'upper' if upwards else 'lower'} edge; "
            f"half of the {len(lying)} best lie {_within(median(from_edge))} it; trials nearer to it were better "
            f"than others of their time (p = {p_value:.2g}).",
            name,
            wider,
        )
    ]


def _within(share: float) -> str:
    return f"within {share:.0%} of" if share >= 0.005 else "at"


def _trend(
    name: str, distribution: BaseDistribution, trials: Sequence[FrozenTrial], places: Sequence[int], upwards: bool
) -> float:
    """Return the p-value of results getting better towards an edge (Kendall's tau, one-sided).

    Results are ranked among trials of about the same time, because a sampler that learns moves all hyperparameters
    while results get better, also those that do not matter.
    """
    from scipy import stats

    near, good = [], []
    for start in range(0, len(trials), _NEIGHBOURS):
        block = range(start, min(start + _NEIGHBOURS, len(trials)))
        order = {place: rank for rank, place in enumerate(sorted(places[i] for i in block))}
        for i in block:
            if trials[i].distributions.get(name) == distribution:
                where = position(distribution, trials[i].params[name])
                near.append(where if upwards else 1 - where)
                good.append(-order[places[i]] / len(block))
    if len(set(near)) < 2 or len(set(good)) < 2:
        return 1.0
    return float(stats.kendalltau(near, good, alternative="greater").pvalue)


def _dead(trials: Sequence[FrozenTrial], best: FrozenTrial, important: Sequence[Importance]) -> list[Advice]:
    """Fix hyperparameters that do not matter, if there are enough trials to see this."""
    if len(trials) < _ENOUGH_TO_FIX or not any(one.is_certain for one in important):
        return []
    return [
        Advice(
            "fix",
            f"Fix {one.name} to {short(best.params[one.name])}: it does not matter here.",
            f"Its share of the importance is {one.share:.0%}, 95 % interval {max(0.0, one.low):.0%} to "
            f"{max(0.0, one.high):.0%}, of {len(trials)} finished trials.",
            one.name,
            value=best.params[one.name],
        )
        for one in important
        if one.low <= 0 and one.share < _NO_SHARE and one.name in best.params
    ]


def _longer(study: optuna.Study, best: Sequence[FrozenTrial], epochs: int | None) -> list[Advice]:
    """Train longer if the best trials were still getting better in their last epochs."""
    sign = direction_sign(study)
    curves = [
        [sign * value for step, value in sorted(t.intermediate_values.items()) if step <= (epochs or 0)] for t in best
    ]
    curves = [curve for curve in curves if len(curve) >= _SHORTEST]
    at_end = [curve for curve in curves if np.argmax(curve) + 1 > _LAST * len(curve)]
    if len(curves) < 3 or len(at_end) < 2 / 3 * len(curves):
        return []
    gains = [max(curve) - max(curve[: len(curve) // 2]) for curve in curves]
    return [
        Advice(
            "train longer",
            f"Train longer than {epochs} epochs; with a learning-rate schedule stretch it, too.",
            f"In {len(at_end)} of the {len(curves)} best trials the best epoch is among the last tenth; the second "
            f"half of the epochs brought {median(gains):.3g}.",
        )
    ]


def _overfitting(study: optuna.Study, best: Sequence[FrozenTrial], train_values: Mapping[int, float]) -> list[Advice]:
    """Regularize if training is far above validation: by more than the best trial is above the median one."""
    sign = direction_sign(study)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    gaps = {
        trial.number: sign * (train_values[trial.number] - (first_value(trial) or 0.0))
        for trial in complete
        if trial.number in train_values
    }
    of_best = [gaps[trial.number] for trial in best if trial.number in gaps]
    values = [sign * (first_value(trial) or 0.0) for trial in complete]
    if len(of_best) < 3 or median(of_best) <= max(values) - median(values) or median(of_best) <= 0:
        return []
    helped = _what_helped([trial for trial in complete if trial.number in gaps], gaps)
    return [
        Advice(
            "overfitting",
            "Regularize more, or get more data (augmentation): training is far above validation."
            + (f" What helped: {helped}." if helped else ""),
            f"In the {len(of_best)} best trials the training rows are ahead by {median(of_best):.3g} (median), more "
            f"than the {max(values) - median(values):.3g} between the best and the median trial.",
        )
    ]


def _what_helped(trials: Sequence[FrozenTrial], gaps: Mapping[int, float]) -> str:
    """Name the hyperparameters whose larger values go with a significantly smaller gap."""
    from scipy import stats

    found = []
    for name in _names(trials):
        having = [trial for trial in trials if name in trial.params and is_ordered(trial.distributions[name])]
        values = [position(trial.distributions[name], trial.params[name]) for trial in having]
        if len(having) < 10 or len(set(values)) < 2:
            continue
        result = stats.kendalltau(values, [gaps[trial.number] for trial in having], alternative="less")
        if result.pvalue < _CHANCE / len(_names(trials)):
            found.append(f"more {name} (Kendall's tau {result.statistic:.2f}, p = {result.pvalue:.2g})")
    return ", ".join(found)


def _failures(study: optuna.Study) -> list[Advice]:
    """Report the number of failed trials, their reasons, and the region where they lie."""
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    failed = [trial for trial in ended if trial.state == TrialState.FAIL]
    if len(failed) < _SOME_FAILED or len(failed) < _MANY_FAILED * len(ended):
        return []
    reasons = Counter(map(failure_reason, failed))
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    region = failing_region(ended)
    text = f"Leave out where trials fail: {region.where}." if region else "Look at the logs of the failed trials."
    where = f"; of the {region.n_there} trials there {region.n_failed} failed" if region else ""
    return [
        Advice(
            "failures",
            text,
            f"{len(failed)} of {len(ended)} trials failed ({why}){where}.",
            region.parameter if region else None,
        )
    ]


def _too_few(study: optuna.Study, trials: Sequence[FrozenTrial]) -> list[Advice]:
    n_parameters = len(_names(trials))
    enough = max(20, _FEW_PER_PARAMETER * n_parameters)
    if len(trials) >= enough or n_parameters == 0:
        return []
    return [
        Advice(
            "too few trials",
            f"Run more trials before you conclude: autotune resume {study.study_name} --trials {enough}",
            f"There are {len(trials)} finished trials for {n_parameters} hyperparameters.",
        )
    ]
