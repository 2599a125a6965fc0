"""How often a pruner stops the best configuration when reports are noisy, and how many epochs it saves.

Of ten configurations one is better by .05 from the first epoch to the last; each report has noise of its own. A search
is 40 trials of 12 epochs, in which each configuration comes four times, in an order drawn for each search.

Percent of searches in which the last trial of the best was stopped (in brackets: in which any of its four was), percent
of the trials of the nine others that were, and percent of all epochs that were trained; 300 searches, seed 0, curves
that rise for three epochs (`.8 - .5 exp(-epoch / 3)`) or are flat:

    curves  noise  pruner                       best stopped   others   epochs
    rising  0.05   median of five complete       60.3 (93.3)       85       44
    rising  0.05   NoiseAwarePruner               3.7 (11.3)       66       66
    rising  0.02   median of five complete       24.0 (45.0)       87       43
    rising  0.02   NoiseAwarePruner                0.3 (0.7)       85       48
    rising  0.01   median of five complete         0.3 (0.3)       87       44
    rising  0.01   NoiseAwarePruner                0.0 (0.0)       86       44
    flat    0.05   median of five complete        3.3 (11.0)       33       79
    flat    0.05   NoiseAwarePruner               3.7 (11.3)       65       66
    flat    0.02   median of five complete         0.0 (0.0)       41       74
    flat    0.02   NoiseAwarePruner                0.0 (0.0)       83       49
    flat    0.01   median of five complete         0.0 (0.0)       43       73
    flat    0.01   NoiseAwarePruner                0.0 (0.0)       85       45

Wald's sequential test, which knows all three numbers beforehand and the noise too, takes six of twelve epochs to tell
the best from the others at a noise of .05 with one error in twenty; the first five trials train to their end.

Usage: python scripts/simulated_pruning.py [--searches 300] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.pruners import BasePruner, MedianPruner
from optuna.trial import TrialState

from autotune.search.pruners import NoiseAwarePruner, by_folds
from autotune.seeds import derive_seed

EPOCHS = 12
ROUNDS = 4
CONFIGURATIONS = 10
AHEAD = 0.05
CURVES: dict[str, Callable[[int], float]] = {
    "rising": lambda epoch: 0.8 - 0.5 * math.exp(-epoch / 3),
    "flat": lambda epoch: 0.8,
}
PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "median of five complete": lambda: by_folds(MedianPruner(5, 3, n_min_trials=5)),
    "NoiseAwarePruner": NoiseAwarePruner,
}


@dataclass(frozen=True)
class Search:
    """What became of one search.

    Attributes:
        best: Whether each trial of the best configuration was stopped, in their order.
        others: The same of the other trials.
        epochs: How many epochs were trained, of one for each trial and epoch.
    """

    best: tuple[bool, ...]
    others: tuple[bool, ...]
    epochs: float


def search(pruner: BasePruner, curve: Callable[[int], float], noise: float, seed: int) -> Search:
    """Run one search.

    Args:
        pruner: What stops trials.
        curve: From an epoch, from 1, to the value of the worse configurations.
        noise: Standard deviation of each report.
        seed: Of the order and the noise.
    """
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)
    order = [int(chosen) for _ in range(ROUNDS) for chosen in rng.permutation(CONFIGURATIONS)]
    ends = [_train(study, chosen == 0, curve, rng.normal(0.0, noise, EPOCHS)) for chosen in order]
    stopped = [(chosen == 0, end < EPOCHS) for chosen, end in zip(order, ends, strict=True)]
    return Search(
        tuple(was for is_best, was in stopped if is_best),
        tuple(was for is_best, was in stopped if not is_best),
        sum(ends) / (EPOCHS * len(order)),
    )


def _train(study: optuna.Study, is_best: bool, curve: Callable[[int], float], noise: np.ndarray) -> int:
    """Run one trial and return its last epoch."""
    trial = study.ask()
    for epoch in range(1, EPOCHS):
        trial.report(curve(epoch) + AHEAD * is_best + noise[epoch - 1], epoch)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    value = curve(EPOCHS) + AHEAD * is_best + noise[-1]
    trial.report(value, EPOCHS)
    study.tell(trial, value)
    return EPOCHS


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", metavar="N", type=int, default=300)
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"{'curves':<8}{'noise':<7}{'pruner':<25}{'best stopped':>16}{'others':>9}{'epochs':>9}")
    for name, curve in CURVES.items():
        for noise in (0.05, 0.02, 0.01):
            for title, make in PRUNERS.items():
                seeds = (derive_seed(options.seed, "search", n) for n in range(options.searches))
                done = [search(make(), curve, noise, seed) for seed in seeds]
                last = np.mean([one.best[-1] for one in done])
                any_of_it = np.mean([any(one.best) for one in done])
                others = np.mean([one.others for one in done])
                epochs = np.mean([one.epochs for one in done])
                best = f"{100 * last:.1f} ({100 * any_of_it:.1f})"
                print(f"{name:<8}{noise:<7}{title:<25}{best:>16}{100 * others:>9.0f}{100 * epochs:>9.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
