"""What the searches came to, side by side: medians over seeds, as a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from peers.journal import EpochDone, Journal
from peers.measuring import Measured
from peers.methods import METHODS

ROUNDING = 1e-6  # Keras counts in float32: 5,940 of 6,000 may be a little less than 0.99
_SHARES = (0.25, 0.5, 1.0)  # of the time, after which the best values are compared


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        method: By which method.
        seed: With which seed.
        seconds: How long it ran.
        improvements: Each time (seconds) that a validation accuracy was better than all before, and that accuracy.
        first_epoch_s: When the first epoch of any trial ended; infinity for never.
        first_trial_s: When the first trial ended; infinity for never.
        n_trials: Trials that ended, complete or stopped early.
        n_epochs: Epochs that ended, of all trials, counted by their share of the rows.
        outside: Share of time times slots that was no epoch of any trial: imports, building, checkpoints, reports,
            suggestions, waiting, and the epochs that had not ended when the time was up.
        peak_mib: The most memory that all its processes took at once, in MiB.
    """

    method: str
    seed: int
    seconds: float
    improvements: tuple[tuple[float, float], ...]
    first_epoch_s: float
    first_trial_s: float
    n_trials: int
    n_epochs: float
    outside: float
    peak_mib: float

    def seconds_to(self, accuracy: float) -> float:
        """Return after how many seconds a validation accuracy was reached; infinity for never."""
        reached = (seconds for seconds, best in self.improvements if best >= accuracy - ROUNDING)
        return next(reached, math.inf)

    def best_after(self, seconds: float) -> float:
        """Return the best validation accuracy until then; 0 if there was none."""
        return max((best for at, best in self.improvements if at <= seconds), default=0.0)


def new_run(method: str, seed: int, journal: Journal, measured: Measured) -> Run:
    """Return what a search's journal says of its time."""
    epochs, ends = journal.read(until_s=measured.seconds)
    in_epochs = sum(epoch.epoch_s for epoch in epochs)
    outside = 1.0 - in_epochs / (measured.seconds * METHODS[method].slots)
    n_epochs = sum(epoch.share for epoch in epochs)
    firsts = [next((one.seconds for one in done), math.inf) for done in (epochs, ends)]
    improvements = tuple(_improvements(epochs))
    return Run(method, seed, measured.seconds, improvements, *firsts, len(ends), n_epochs, outside, measured.peak_mib)


def _improvements(epochs: Sequence[EpochDone]) -> Iterator[tuple[float, float]]:
    best = -math.inf
    for epoch in epochs:
        if epoch.val_accuracy > best:
            best = epoch.val_accuracy
            yield epoch.seconds, best


def common_levels(runs: Sequence[Run]) -> dict[int, float]:
    """Return for each seed the highest validation accuracy that all of its runs have reached."""
    seeds = sorted({run.seed for run in runs})
    return {seed: min(run.best_after(run.seconds) for run in runs if run.seed == seed) for seed in seeds}


def table(runs: Sequence[Run], thresholds: Sequence[float]) -> list[str]:
    """Return the lines of a table: each method in its order, medians over seeds.

    Args:
        runs: At least one.
        thresholds: Validation accuracies to be reached, in [0, 1].
    """
    levels = common_levels(runs)
    longest = max(run.seconds for run in runs)
    columns: list[tuple[str, Callable[[Run], float], Callable[[float], str]]] = [
        *((f"{100 * level:.1f} %", _seconds_to(level), _seconds) for level in thresholds),
        ("common", lambda run: run.seconds_to(levels[run.seed]), _seconds),
        *((f"@{share * longest:.0f} s", _best_after(share * longest), _percent) for share in _SHARES),
        ("begins", lambda run: run.first_epoch_s, _seconds),
        ("ends", lambda run: run.first_trial_s, _seconds),
        ("trials", lambda run: run.n_trials, _count),
        ("epochs", lambda run: run.n_epochs, _count),
        ("outside", lambda run: run.outside, lambda share: f"{100 * share:.0f} %"),
        ("MiB", lambda run: run.peak_mib, _count),
    ]
    lines = [_line("", [name for name, _, _ in columns])]
    for method, own in _by_method(runs).items():
        cells = [show(statistics.median(map(measure, own))) for _, measure, show in columns]
        lines.append(_line(method, cells))
    return [*lines, "", *_legend(levels), *_fastest(runs, levels)]


def _by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    own = {method: [run for run in runs if run.method == method] for method in METHODS}
    return {method: found for method, found in own.items() if found}


def _seconds_to(level: float) -> Callable[[Run], float]:
    return lambda run: run.seconds_to(level)


def _best_after(seconds: float) -> Callable[[Run], float]:
    return lambda run: run.best_after(seconds)


def _line(first: str, cells: Sequence[str]) -> str:
    return f"{first:<22}" + "".join(f"{cell:>9}" for cell in cells)


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if math.isfinite(value) else "–"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _count(value: float) -> str:
    return f"{value:.0f}"


def _legend(levels: dict[int, float]) -> list[str]:
    reached = ", ".join(f"{100 * level:.2f} % (seed {seed})" for seed, level in levels.items())
    return [
        "Medians over seeds. N %: seconds to that validation accuracy, – where most do not get there; common: to the",
        f"highest that all methods reach, {reached}; @N s: the best until then, in %;",
        "begins, ends: when the first epoch and the first trial had ended; outside: share of time x slots that is no",
        "epoch; MiB: peak memory of all processes.",
    ]


def _fastest(runs: Sequence[Run], levels: dict[int, float]) -> list[str]:
    """Say how our fastest method compares with the fastest peer at the highest accuracy that all reach."""
    times = {
        method: statistics.median(run.seconds_to(levels[run.seed]) for run in own)
        for method, own in _by_method(runs).items()
    }
    ours = [method for method in times if METHODS[method].is_ours]
    theirs = [method for method in times if not METHODS[method].is_ours]
    if not ours or not theirs:
        return []
    our, their = min(ours, key=times.__getitem__), min(theirs, key=times.__getitem__)
    if not math.isfinite(times[our]) or not math.isfinite(times[their]):
        return []
    ratio = times[our] / times[their]
    return [f"Common: {our} needs {times[our]:.0f} s, {their} {times[their]:.0f} s: {ratio:.2f} of it."]
