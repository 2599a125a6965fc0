"""The design of a study's repeats: how trainings of one configuration depend on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from autotune.data.splits.folds import Folds, GroupKFold, Holdout, KFold, draws, is_in_time
from autotune.data.splits.positions import Fold


@dataclass(frozen=True)
class Design:
    """How the trainings of one configuration depend on each other.

    Attributes:
        n_folds: Number of trainings of one trial.
        overlap: n_validation / n_training of each training; 0 if values are independent.
        groups: Number of independent parts of the rows, if all repeats have the same parts (`GroupKFold`); else None.
        repeats: What a repeat changes: "drawn" (other rows are drawn to validate on), "moved" (the split is moved in
            time), or "same" (rows stay, and only the seeds of the training change).
    """

    n_folds: int = 1
    overlap: float = 0.0
    groups: int | None = None
    repeats: Literal["drawn", "moved", "same"] = "drawn"

    @property
    def meaning(self) -> str:
        """Say in a sentence what repeats with these folds tell; "" if they are drawn anew."""
        return {
            "drawn": "",
            "moved": "Each repeat moves the split back in time: intervals cover other periods and other seeds.",
            "same": "All repeats have the same rows, as these were given: intervals cover the seeds of training, and "
            "not the choice of rows.",
        }[self.repeats]


def design_of(folds: Folds, parts: Sequence[Fold]) -> Design:
    """Return the design of a study's repeats.

    Args:
        folds: The declared folds.
        parts: What `split` returned for them.
    """
    n = len(parts)
    if isinstance(folds, Holdout):
        return Design(1, folds.fraction / (1 - folds.fraction))
    if isinstance(folds, KFold):
        return Design(n, 1 / (folds.k - 1))
    if isinstance(folds, GroupKFold):
        return Design(n, 1 / (folds.k - 1), folds.k)  # repeats have the same groups: they tell nothing about others
    overlap = fmean(len(fold.validation) / len(fold.train) for fold in parts)
    if is_in_time(folds):
        return Design(n, overlap, repeats="moved")
    if draws(folds):
        return Design(n, overlap)
    return Design(n, repeats="same") if n == 1 else Design(n, overlap, n, "same")
