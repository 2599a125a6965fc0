"""Named datasets as arrays, where they come from, and who trains on which rows.

Rows are stored once and mapped by every trial. A split depends on the seed alone, and test rows have one door:
`load_test`, which only `autotune.results.final` opens.

arrays        Arrays as people give them, and which of them cannot be the inputs, targets or groups of rows
dataset       Labelled rows as arrays, and parts of them without a copy
finite        Values that no network can use, counted before anything is trained on them: NaN and infinity
official      Data from their official place: Keras's cache, and downloads when the network allows
images        Images: scikit-learn's digits, and MNIST and Fashion-MNIST from a file or Keras's own loader
speech        Spoken digits: the free spoken digit dataset as log-mel spectrograms
text          Sentences from movie reviews, positive or negative (Pang and Lee, 2005)
sources       Named datasets, and where each comes from
folds         Who trains on which rows: one holdout, k folds, or k folds that keep groups together
fractions     Folds that train on a part of their rows
leaks         Rows to validate on that are among the training rows
store         Datasets on disk, where trial processes map them instead of each holding a copy
stored_folds  Folds on disk, where trial processes read who trains on which rows
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
