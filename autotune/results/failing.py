"""Where in the search space trials fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from autotune.results.ranges import is_ordered

_CHANCE = 0.05


@dataclass(frozen=True)
class FailingRegion:
    """A part of the space in which more trials fail than elsewhere, beyond chance.

    Attributes:
        parameter: The hyperparameter that it is a part of.
        where: The part in words, e.g. "learning_rate above 0.03".
        n_there: How many trials lie there.
        n_failed: How many of these have failed.
    """

    parameter: str
    where: str
    n_there: int
    n_failed: int


def failing_region(trials: Sequence[FrozenTrial]) -> FailingRegion | None:
    """Return the part of one hyperparameter that goes best with failure; None if none does beyond chance.

    The parts are those above or below a value that was tried, and single choices; each is held against the rest by
    Fisher's exact test, with Bonferroni's allowance for the number of parts.

    Args:
        trials: Complete, pruned and failed trials.
    """
    from scipy import stats

    failed = {trial.number for trial in trials if trial.state == TrialState.FAIL}
    parts = [(part, there) for part, there in _parts(trials) if there & failed]
    best: tuple[float, FailingRegion] | None = None
    for (name, where), there in parts:
        inside = len(there & failed)
        having = {trial.number for trial in trials if name in trial.params}
        outside = len((having - there) & failed)
        table = [[inside, len(there) - inside], [outside, len(having - there) - outside]]
        p_value = float(stats.fisher_exact(table, alternative="greater").pvalue) * len(parts)
        if p_value < _CHANCE and (best is None or p_value < best[0]):
            best = p_value, FailingRegion(name, f"{name} {where}", len(there), inside)
    return best[1] if best else None


def _parts(trials: Sequence[FrozenTrial]) -> Iterator[tuple[tuple[str, str], set[int]]]:
    distributions: dict[str, BaseDistribution] = {}
    for trial in trials:
        distributions.update(trial.distributions)
    for name, distribution in distributions.items():
        having = [trial for trial in trials if name in trial.params]
        values = list({repr(trial.params[name]): trial.params[name] for trial in having}.values())
        if not is_ordered(distribution):
            for value in values:
                yield (name, f"= {value}"), {trial.number for trial in having if trial.params[name] == value}
            continue
        for value in sorted(values)[1:]:
            yield (name, f"of {value:.3g} and more"), {t.number for t in having if t.params[name] >= value}
        for value in sorted(values)[:-1]:
            yield (name, f"of {value:.3g} and less"), {t.number for t in having if t.params[name] <= value}
