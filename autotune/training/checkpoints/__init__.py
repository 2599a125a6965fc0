"""Checkpoints of a trial: written while it trains, copied to other machines, read again.

Nothing here needs Keras. What is read is checked: a torn, old or strange file is never used.

artifacts   Artifact stores by their URL: Optuna's own, for what one machine leaves to another
folder      Where a trial keeps its files
values      Values as a checkpoint holds them: JSON beside arrays, from which each comes back as it was, with its type
checkpoint  Everything a trial needs to go on after an epoch as if nothing had happened, in one file
copies      A trial's checkpoint in the trial's folder and, for other machines, in an artifact store
saving      Checkpoints that are written while training goes on
"""

from autotune.training.checkpoints.artifacts import (
    NOWHERE,
    ArtifactStore,
    FolderBelow,
    StoresInTurn,
    check_store,
    client_modules,
    open_store,
    reason,
    store_url,
)
from autotune.training.checkpoints.checkpoint import (
    Checkpoint,
    FoldHistory,
    FoldScore,
    UnusableCheckpointError,
    stored_histories,
)
from autotune.training.checkpoints.copies import CheckpointCopies
from autotune.training.checkpoints.folder import TrialFolder, trial_folder
from autotune.training.checkpoints.saving import CheckpointWriter
from autotune.training.checkpoints.values import Attributes, fingerprint, is_plain

__all__ = [
    "NOWHERE",
    "ArtifactStore",
    "Attributes",
    "Checkpoint",
    "CheckpointCopies",
    "CheckpointWriter",
    "FoldHistory",
    "FoldScore",
    "FolderBelow",
    "StoresInTurn",
    "TrialFolder",
    "UnusableCheckpointError",
    "check_store",
    "client_modules",
    "fingerprint",
    "is_plain",
    "open_store",
    "reason",
    "store_url",
    "stored_histories",
    "trial_folder",
]
