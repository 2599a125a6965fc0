"""The models of the best trials; those of other trials are removed."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.search.history import FinishedTrials, best_complete, best_first, direction_sign, first_value
from autotune.training.checkpoints import trial_folder


class KeptModels:
    """The models in the folders of a study's trials; thread-safe.

    Args:
        study: The study.
        folder: Its folder, `RUN_DIR/NAME`.
        keep: How many models of the best trials are kept. With several objectives the Pareto front comes first.
        known_trials: Returns the study's trials; those that other parents have just finished may be missing.
    """

    def __init__(
        self, study: optuna.Study, folder: Path, keep: int, known_trials: Callable[[], Sequence[FrozenTrial]]
    ) -> None:
        self._study = study
        self._folder = folder
        self._keep = keep
        self._known_trials = known_trials
        self._finished = FinishedTrials(partial(_Best, direction_sign(study), keep))

    def would_keep(self, value: float) -> bool:
        """Tell whether a trial with this first value would be among the best."""
        with self._finished.look(self._known_trials()) as (best, _):
            return best.n_better(value) < self._keep

    def tidy(self) -> None:
        """Remove the models of trials that are not among the best any more since the last call."""
        with self._finished.look(self._known_trials()) as (best, _):
            fallen, best.fallen = best.fallen, []
        several = len(self._study.directions) > 1
        self._remove([trial.number for trial in self._not_best()] if several else fallen)

    def _not_best(self) -> list[FrozenTrial]:
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        front = {trial.number for trial in best_complete(self._study)}
        ranked = sorted(best_first(self._study, complete), key=lambda trial: trial.number not in front)
        return ranked[self._keep :]

    def _remove(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            with contextlib.suppress(OSError):  # it was removed, or is on another machine: the search goes on
                trial_folder(self._folder, number).remove_model()


class _Best:
    """The best complete trials so far, and the numbers of those that no longer are among them."""

    def __init__(self, sign: int, keep: int) -> None:
        self._sign = sign
        self._keep = keep
        self._best: list[tuple[float, int]] = []
        self.fallen: list[int] = []

    def n_better(self, value: float) -> int:
        """Return how many of the best are better than a value."""
        return sum(key < -self._sign * value for key, _ in self._best)

    def learn(self, trial: FrozenTrial) -> None:
        if trial.state != TrialState.COMPLETE:
            return
        bisect.insort(self._best, (-self._sign * (first_value(trial) or 0.0), trial.number))
        self.fallen += [number for _, number in self._best[self._keep :]]
        del self._best[self._keep :]
