"""Rows and folds stored on disk, once for all trials, which map them into memory.

Whoever opens them checks their sizes; each run checks all bytes once, and writes again what has changed.

array_files  Arrays in .npy files, with the size and the checksum that they were written with
rows         Datasets stored on disk, which trial processes map into memory instead of each holding a copy
folds        Folds stored on disk, for trial processes to read
"""

from autotune.data.stored.folds import load_folds, store_folds
from autotune.data.stored.rows import as_stored, check_stored, facts_of_stored, open_stored, store

__all__ = [
    "as_stored",
    "check_stored",
    "facts_of_stored",
    "load_folds",
    "open_stored",
    "store",
    "store_folds",
]
