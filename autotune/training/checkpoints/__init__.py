"""Checkpoints of a trial: written while it trains, copied for other machines, and read when it is resumed.

Nothing here needs Keras. Every checkpoint is checked when it is read: a torn, old or foreign file is never used.

artifacts   Artifact stores, opened by URL: folders and buckets that several machines share
folder      The folder of a trial, and the paths of its files
values      Conversion of Python values to JSON and arrays for a checkpoint, and back without loss of value or type
checkpoint  The whole state of a trial after an epoch, written to one file and read from it
kept_file   The file with what a plain objective keeps of a trial: state and files, under a name for each of its loops
claimed     Paths that one trial process at a time may write, on one machine
copies      The two copies of a trial's checkpoint: in the trial's folder and, for other machines, in an artifact store
saving      A thread that writes checkpoints, by way of `copies`, while training goes on
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
from autotune.training.checkpoints.claimed import ClaimedPaths
from autotune.training.checkpoints.copies import CheckpointCopies
from autotune.training.checkpoints.folder import WEIGHTS, TrialFolder, trial_folder
from autotune.training.checkpoints.kept_file import KeptHead, KeptState, read_head, read_kept, save_kept, unpack_files
from autotune.training.checkpoints.saving import CheckpointWriter
from autotune.training.checkpoints.values import Attributes, UnkeptError, fingerprint, is_plain

__all__ = [
    "NOWHERE",
    "WEIGHTS",
    "ArtifactStore",
    "Attributes",
    "Checkpoint",
    "CheckpointCopies",
    "CheckpointWriter",
    "ClaimedPaths",
    "FoldHistory",
    "FoldScore",
    "FolderBelow",
    "KeptHead",
    "KeptState",
    "StoresInTurn",
    "TrialFolder",
    "UnkeptError",
    "UnusableCheckpointError",
    "check_store",
    "client_modules",
    "fingerprint",
    "is_plain",
    "open_store",
    "read_head",
    "read_kept",
    "reason",
    "save_kept",
    "store_url",
    "stored_histories",
    "trial_folder",
    "unpack_files",
]
