"""Splits of the rows: which rows each training has, to train on and to validate on.

A split depends on the declared folds, the rows and the seed alone.

folds      Declared folds: a holdout, k folds, folds in order of time, rows of one's own, a splitter of scikit-learn
positions  Positions of rows: the `Fold` of one training, the `Split` of a study, and their checks
design     The design of a study's repeats: how trainings of one configuration depend on each other
given      Rows of one's own choice to validate on: positions, masks, functions, or another dataset
drawn      Holdouts and k folds whose rows are drawn by chance: whole groups, strata in proportion, or any rows
splitting  Split rows into training and validation rows
fractions  Folds that train on a fraction of their rows: nested fractions, with the classes in proportion
leaks      Leaks: validation rows that repeat or overlap training rows, so that a model may have memorised them
"""

from autotune.data.splits.design import Design, design_of
from autotune.data.splits.folds import (
    Folds,
    Given,
    GroupKFold,
    Holdout,
    KFold,
    Latest,
    Splitter,
    is_in_time,
    redrawn,
    with_k,
)
from autotune.data.splits.fractions import train_on_part
from autotune.data.splits.given import with_given_rows
from autotune.data.splits.leaks import find_leaks, known_leaks
from autotune.data.splits.positions import Fold, Split, split_digest
from autotune.data.splits.splitting import split

__all__ = [
    "Design",
    "Fold",
    "Folds",
    "Given",
    "GroupKFold",
    "Holdout",
    "KFold",
    "Latest",
    "Split",
    "Splitter",
    "design_of",
    "find_leaks",
    "is_in_time",
    "known_leaks",
    "redrawn",
    "split",
    "split_digest",
    "train_on_part",
    "with_given_rows",
    "with_k",
]
