"""The parents that run a study now, as far as one can see: for display, never for a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.running.claims.leases import SignOfLife, is_recent, read_signs
from autotune.running.claims.ownership import has_died_here, is_foreign, lock_is_held, mark_of


def parents_at_work(study: optuna.Study, trials: Sequence[FrozenTrial], folder: Path | None) -> set[str]:
    """Return the parents of running trials that are alive: by their locks if these are readable, else by their leases.

    Args:
        study: The study.
        trials: Its trials.
        folder: Its folder, `RUN_DIR/NAME`; None if it is unknown.
    """
    lives = _lives_of_running(study, trials, folder, read_signs(study))
    return {parent for parent, is_alive in lives.items() if is_alive}


def slots_at_work(study: optuna.Study, trials: Sequence[FrozenTrial], folder: Path | None) -> int:
    """Return the number of slots that work on a study now; 0 if no parent runs it.

    The slots of parents between two trials count, too. A parent that was killed on another machine counts for twice its
    lease. A RUNNING trial of another program counts as one slot.

    Args:
        study: The study.
        trials: Its trials.
        folder: Its folder, `RUN_DIR/NAME`; None if it is unknown.
    """
    signs = read_signs(study)
    lives = {parent: is_recent(sign) and not has_died_here(parent) for parent, sign in signs.items()}
    lives |= _lives_of_running(study, trials, folder, signs)
    slots = sum(signs[parent].slots if parent in signs else 1 for parent, is_alive in lives.items() if is_alive)
    return slots + sum(is_foreign(trial) for trial in trials)


def _lives_of_running(
    study: optuna.Study, trials: Sequence[FrozenTrial], folder: Path | None, signs: Mapping[str, SignOfLife]
) -> dict[str, bool]:
    marks = {mark for trial in trials if trial.state == TrialState.RUNNING and (mark := mark_of(trial))}
    lives = {}
    for mark in marks:
        is_held = lock_is_held(mark, folder / "workers") if folder is not None else None
        lives[mark.parent] = is_recent(signs.get(mark.parent)) if is_held is None else is_held
    return lives
