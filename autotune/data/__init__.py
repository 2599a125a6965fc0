"""Datasets and folds: named datasets, checks of rows, splits, and their storage on disk.

Rows are stored once, and every trial maps them into memory. A split depends on the seed alone. Test rows come from
`load_test` only, and only `autotune.results.final` calls it.

ragged        Rows of different lengths in one array
windows       Windows of a series in one array, cut when they are read
nests         Nests of arrays: an array, or a dict, list or tuple of nests
frames        Data frames of pandas and polars as dicts of columns
arrays        Read and check what a user gives as inputs, targets, weights, groups or strata of rows
row_source    Rows that are read one by one
dataset       The `Dataset`: inputs, targets, weights and groups as arrays, and subsets that share these arrays
making        Datasets that are made from something else than arrays of rows: windows of a series
files         Images and recordings in folders, one folder for each class
finite        A check for NaN and infinity in a dataset, before any network trains on it
official      Archives of datasets: found in the data folder or Keras's cache, or downloaded from their official address
images        Image datasets: scikit-learn's digits, and MNIST and Fashion-MNIST from a file or Keras's loader
speech        Spoken digits: the free spoken digit dataset as log-mel spectrograms
text          Sentences from movie reviews, positive or negative (Pang and Lee, 2005)
sources       The named datasets, and how to load each of them
folds         Splits into training and validation rows: holdouts, k folds, splits in time, rows of one's own
fractions     Folds that train on a fraction of their rows: nested fractions, with the classes in proportion
leaks         Leaks: validation rows that repeat or overlap training rows, so that a model may have memorised them
store         Datasets stored on disk, which trial processes map into memory instead of each holding a copy
stored_folds  Folds stored on disk, for trial processes to read
"""

from autotune.data.dataset import Dataset
from autotune.data.files import audio_in, images_in
from autotune.data.finite import refuse_no_numbers
from autotune.data.folds import (
    Design,
    Fold,
    Folds,
    Given,
    GroupKFold,
    Holdout,
    KFold,
    Latest,
    Split,
    Splitter,
    design_of,
    is_in_time,
    redrawn,
    split,
    split_digest,
    with_given_rows,
    with_k,
)
from autotune.data.fractions import train_on_part
from autotune.data.leaks import find_leaks, known_leaks
from autotune.data.making import windows
from autotune.data.nests import Arrays, Leaf, leaves, padded, shape_of
from autotune.data.ragged import RaggedArray
from autotune.data.sources import (
    DatasetStatus,
    available,
    axes_of,
    class_names_of,
    has_test_rows,
    load_development,
    load_test,
)
from autotune.data.store import as_stored, check_stored, facts_of_stored, open_stored, store
from autotune.data.stored_folds import load_folds, store_folds

__all__ = [
    "Arrays",
    "Dataset",
    "DatasetStatus",
    "Design",
    "Fold",
    "Folds",
    "Given",
    "GroupKFold",
    "Holdout",
    "KFold",
    "Latest",
    "Leaf",
    "RaggedArray",
    "Split",
    "Splitter",
    "as_stored",
    "audio_in",
    "available",
    "axes_of",
    "check_stored",
    "class_names_of",
    "design_of",
    "facts_of_stored",
    "find_leaks",
    "has_test_rows",
    "images_in",
    "is_in_time",
    "known_leaks",
    "leaves",
    "load_development",
    "load_folds",
    "load_test",
    "open_stored",
    "padded",
    "redrawn",
    "refuse_no_numbers",
    "shape_of",
    "split",
    "split_digest",
    "store",
    "store_folds",
    "train_on_part",
    "windows",
    "with_given_rows",
    "with_k",
]
