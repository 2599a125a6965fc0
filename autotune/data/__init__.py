"""Datasets and folds: named datasets, checks of rows, splits, and their storage on disk.

Rows are stored once, and every trial maps them into memory. A split depends on the seed alone. Test rows come from
`load_test` only, and only `autotune.results.final` calls it.

arrays        Checks of the arrays that a user gives as inputs, targets or groups of rows
dataset       The `Dataset`: inputs, targets and groups as arrays, and subsets that share these arrays
finite        A check for NaN and infinity in a dataset, before any network trains on it
official      Archives of datasets: found in the data folder or Keras's cache, or downloaded from their official address
images        Image datasets: scikit-learn's digits, and MNIST and Fashion-MNIST from a file or Keras's loader
speech        Spoken digits: the free spoken digit dataset as log-mel spectrograms
text          Sentences from movie reviews, positive or negative (Pang and Lee, 2005)
sources       The named datasets, and how to load each of them
folds         Splits into training and validation rows: one holdout, k folds, or k folds that keep groups together
fractions     Folds that train on a fraction of their rows: nested fractions, with the classes in proportion
leaks         Leaks: validation rows that repeat or overlap training rows, so that a model may have memorised them
store         Datasets stored on disk, which trial processes map into memory instead of each holding a copy
stored_folds  Folds stored on disk, for trial processes to read
"""

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
