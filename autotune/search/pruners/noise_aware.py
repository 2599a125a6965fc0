"""The default pruner, which takes the noise of reports into account.

A trial's *level* at a step is its best mean so far of w reports in a row. It is compared with the levels of all other
trials that reached the step, also of those that were stopped later, so that survivors do not raise the bar. The bar is
a third of the way from their median to their best level, after the amount by which the best of n levels is too high by
chance is subtracted. A trial is stopped if its level is below the bar by more than its own noise explains. If reports
are exact, w is 1; with more noise w is larger.

The noise is estimated from third differences of the reports, which are close to zero for a smooth curve.

What is covered: reports at every step or at every few steps, folds, and any number of trials: each is read once.
What is not covered: trials with other steps than the rest, noise that lasts for several epochs, and a few reports that
are far off. In these cases the best trial is stopped about as often as by a median of the complete trials.

Symbols: w reports are averaged; n peers; sigma is the standard deviation of one report, in its own unit. Larger values
are better here, whatever the study's direction.

References: Blom 1958, "Statistical Estimates and Transformed Beta-Variables", for the expected best of n;
Wald 1945, "Sequential Tests of Statistical Hypotheses", for how few epochs can tell two noisy trials apart.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from statistics import NormalDist
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import UsageError
from autotune.search.history import COPY_OF, FinishedTrials, all_trials, direction_sign

# Chosen on curves of scripts/simulated_pruning.py, and compared with other pruners on LCBench's (docs/search.md).
_TOWARDS_BEST = 1 / 3  # of the way from the median to the best level
_DOUBT = 1.1  # standard deviations by which a level must be below the bar
_CLEAR = 0.25  # w is large enough if the noise is at most this share of the best level's lead over the median
_LONGEST = 32  # the largest w; after it, the mean of all reports is used
_MOST_STEPS = 60  # the most steps from which the noise is estimated
_QUARTILES_APART = 1.349  # distance of the quartiles of a normal distribution, in standard deviations
_WHOLE = None  # a value of w that means all reports so far


class NoiseAwarePruner(BasePruner):
    """Stop a trial that is worse than the better other trials at the same epoch by more than noise explains.

    Args:
        grace_epochs: No trial is stopped before it has trained this many epochs, at least 0.
        peers: No trial is stopped at an epoch before this many others have reached it, at least 2.

    Raises:
        UsageError: If an argument is out of range.

    Example:
        >>> study = optuna.create_study(direction="maximize", pruner=NoiseAwarePruner(grace_epochs=8))
    """

    def __init__(self, grace_epochs: int = 3, peers: int = 5) -> None:
        if grace_epochs < 0 or peers < 2:
            raise UsageError(
                f"NoiseAwarePruner(grace_epochs={grace_epochs!r}, peers={peers!r}) is out of range.",
                "grace_epochs must be at least 0, and peers at least 2.",
                "Correct the pruner in the study file.",
            )
        self.grace_epochs = grace_epochs
        self.peers = peers
        self._is_of_folds = False
        self._known = FinishedTrials(_Peers)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings only, without the information from trials."""
        return type(self), (self.grace_epochs, self.peers)

    def of_folds(self) -> NoiseAwarePruner:
        """Return a pruner for trials whose steps are folds: folds have no order, so all finished ones count."""
        pruner = NoiseAwarePruner(0, self.peers)
        pruner._is_of_folds = True
        return pruner

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step < self.grace_epochs:
            return False
        sign = direction_sign(study)
        own = _curve_of(trial, sign)
        if not own.steps:
            return True  # nothing but NaN
        with self._known.look(all_trials(study)) as (known, unfinished):
            others = (_curve_of(t, sign) for t in unfinished if t.number != trial.number)
            peers = _AtStep(known, own, [curve for curve in others if step in curve.steps], step, sign)
            w = _WHOLE if self._is_of_folds else 1
            if len(peers.levels(w)) < self.peers:
                return False
            w = w and peers.window()
            return own.levels(w)[-1] < peers.bar(w) - _DOUBT * peers.sigma_of_mean(w)


@dataclass(frozen=True)
class _Curve:
    """The finite reports of one trial.

    Attributes:
        steps: Their steps, in order.
        values: The reported values; larger is better.
    """

    steps: Sequence[int]
    values: Sequence[float]

    def level(self, step: int, w: int | None) -> float:
        """Return the level at the last step that is not after `step`."""
        return self.levels(w)[bisect_right(self.steps, step) - 1]

    def levels(self, w: int | None) -> list[float]:
        """Return the level at each step: the best mean so far of w reports in a row, or the mean of all so far."""
        if w == 1:  # without sums, which would round the values
            return list(accumulate(self.values, max))
        sums = [0.0, *accumulate(self.values)]
        if w is None:
            return [total / n for n, total in enumerate(sums[1:], start=1)]
        first = [sums[n] / n for n in range(1, min(w, len(sums)))]
        whole = ((after - before) / w for before, after in zip(sums, sums[w:], strict=False))
        return [*first, *accumulate(whole, max)]

    def differences(self) -> list[tuple[int, float]]:
        """Return steps with the scaled third differences of reports; second differences if there are three reports."""
        v = self.values
        if len(v) == 3:
            return [(self.steps[2], (v[2] - 2 * v[1] + v[0]) / math.sqrt(6))]
        third = ((v[i] - 3 * v[i - 1] + 3 * v[i - 2] - v[i - 3]) / math.sqrt(20) for i in range(3, len(v)))
        return list(zip(self.steps[3:], third, strict=True))


def _curve_of(trial: FrozenTrial, sign: int) -> _Curve:
    known = sorted((step, sign * value) for step, value in trial.intermediate_values.items() if math.isfinite(value))
    return _Curve([step for step, _ in known], [value for _, value in known])


class _Ordered:
    """A growing list of numbers that is sorted when it is read."""

    def __init__(self) -> None:
        self._new: list[float] = []
        self._ordered: list[float] = []

    def add(self, value: float) -> None:
        self._new.append(value)

    def all(self) -> list[float]:
        if self._new:
            self._ordered += self._new
            self._new.clear()
            self._ordered.sort()  # fast, because nearly all numbers are sorted already
        return self._ordered


class _Peers:
    """The reports of finished trials."""

    def __init__(self) -> None:
        self._trials: list[FrozenTrial] = []
        self._differences: dict[int, _Ordered] = {}
        self._steps: list[int] = []  # the steps with differences, in order
        self._levels: defaultdict[tuple[int, int | None], defaultdict[int, _Ordered]]
        self._levels = defaultdict(lambda: defaultdict(_Ordered))
        self._n_seen: defaultdict[tuple[int, int | None], int] = defaultdict(int)

    def learn(self, trial: FrozenTrial) -> None:
        if trial.state == TrialState.FAIL or COPY_OF in trial.user_attrs:
            return
        self._trials.append(trial)
        for step, difference in _curve_of(trial, 1).differences():
            if step not in self._differences:
                insort(self._steps, step)
                self._differences[step] = _Ordered()
            self._differences[step].add(difference)

    def levels(self, step: int, sign: int, w: int | None) -> list[float]:
        """Return the sorted levels of the trials that reported at this step."""
        table = self._levels[sign, w]
        for trial in self._trials[self._n_seen[sign, w] :]:
            curve = _curve_of(trial, sign)
            for at, level in zip(curve.steps, curve.levels(w), strict=True):
                table[at].add(level)
        self._n_seen[sign, w] = len(self._trials)
        return table[step].all()

    def sigma(self, step: int) -> float:
        """Return the standard deviation of a report, from steps between half and twice this one; 0 if unknown."""
        n, total = 0, 0.0
        near = self._steps[bisect_left(self._steps, step / 2) : bisect_right(self._steps, step * 2)]
        for at in near[:: 1 + len(near) // _MOST_STEPS]:
            known = self._differences[at].all()
            if len(known) > 1:
                spread = (_quantile(known, 0.75) - _quantile(known, 0.25)) / _QUARTILES_APART
                n, total = n + len(known), total + len(known) * spread**2
        return math.sqrt(total / n) if n else 0.0


class _AtStep:
    """The peers of a trial at one step.

    Args:
        known: The finished trials.
        own: The trial's own curve.
        running: The curves of unfinished trials that have reported at this step.
        step: The step.
        sign: 1 if a larger value is better, -1 if a smaller one is.
    """

    def __init__(self, known: _Peers, own: _Curve, running: Sequence[_Curve], step: int, sign: int) -> None:
        self._known, self._running = known, running
        self._step, self._sign = step, sign
        self._n_reports = len(own.steps)

    def levels(self, w: int | None) -> list[float]:
        """Return their sorted levels."""
        finished = self._known.levels(self._step, self._sign, w)
        running = [curve.level(self._step, w) for curve in self._running]
        return sorted(finished + running) if running else finished

    def window(self) -> int | None:
        """Return the smallest w whose mean is exact enough to tell the best trial from the median one."""
        w = 1
        while w < min(self._n_reports, _LONGEST):
            if self.sigma_of_mean(w) <= _CLEAR * self._ahead(w):
                return w
            w *= 2
        return _WHOLE

    def bar(self, w: int | None) -> float:
        """Return the level that a trial has to reach."""
        return _quantile(self.levels(w), 0.5) + _TOWARDS_BEST * self._ahead(w)

    def sigma_of_mean(self, w: int | None) -> float:
        """Return the standard deviation of the mean of w of a trial's reports."""
        return self._sigma / math.sqrt(w or self._n_reports)

    @cached_property
    def _sigma(self) -> float:
        return self._known.sigma(self._step)

    def _ahead(self, w: int | None) -> float:
        """Return the lead of the best level over the median, minus the lead that noise alone would give; at least 0."""
        levels = self.levels(w)
        n = len(levels)
        by_chance = NormalDist().inv_cdf((n - 0.375) / (n + 0.25)) * self.sigma_of_mean(w)
        return max(0.0, levels[-1] - _quantile(levels, 0.5) - by_chance)


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = (len(ordered) - 1) * share
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))
