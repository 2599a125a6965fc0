"""Named datasets as arrays, where they come from, and who trains on which rows."""

from autotune.data.dataset import Dataset
from autotune.data.finite import refuse_no_numbers
from autotune.data.folds import Fold, Folds, GroupKFold, Holdout, KFold, Split, split, split_digest, with_k
from autotune.data.fractions import train_on_part
from autotune.data.leaks import find_leaks, known_leaks
from autotune.data.sources import (
    DatasetStatus,
    available,
    axes_of,
    class_names_of,
    has_test_rows,
    load_development,
    load_test,
)
from autotune.data.store import check_stored, open_stored, store
from autotune.data.stored_folds import load_folds, store_folds

__all__ = [
    "Dataset",
    "DatasetStatus",
    "Fold",
    "Folds",
    "GroupKFold",
    "Holdout",
    "KFold",
    "Split",
    "available",
    "axes_of",
    "check_stored",
    "class_names_of",
    "find_leaks",
    "has_test_rows",
    "known_leaks",
    "load_development",
    "load_folds",
    "load_test",
    "open_stored",
    "refuse_no_numbers",
    "split",
    "split_digest",
    "store",
    "store_folds",
    "train_on_part",
    "with_k",
]
