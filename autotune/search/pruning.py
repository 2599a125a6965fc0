"""The pruner of studies that name none."""

from __future__ import annotations

import optuna


def patient_median(grace_epochs: int = 3, peers: int = 5) -> optuna.pruners.MedianPruner:
    """Stop a trial whose best epoch so far is worse than the median of its peers at the same epoch.

    Optuna's own defaults stop a network after its first epoch on the word of a single peer.

    Args:
        grace_epochs: No trial is stopped before it has trained so many epochs.
        peers: So many trials must be complete, and must have reported this epoch, before any is stopped.
    """
    return optuna.pruners.MedianPruner(n_startup_trials=peers, n_warmup_steps=grace_epochs, n_min_trials=peers)
