"""Rows of a learning problem: the `Dataset`, and how it reads and checks what a user gives.

Rows are arrays, or dicts, lists and tuples of arrays, or they are read one by one from a source. A check here raises a
`DataError` before any network trains.

ragged      Rows of different lengths in one array
windows     Windows of a series in one array, cut when they are read
nests       Nests of arrays: an array, or a dict, list or tuple of nests
frames      Data frames of pandas and polars as dicts of columns
leaf        One array as a user gives it: numbers, strings, or rows of different lengths
checks      Checks of arrays: their numbers of rows, and the kinds of their values
arrays      Read what a user gives as inputs, targets and weights
labels      Labels, groups and strata of rows, and names of columns
row_source  Rows that are read one by one
dataset     The `Dataset`: inputs, targets, weights and groups as arrays, and subsets that share these arrays
joining     Two datasets as one: the rows of the first, then those of the second
finite      A check for NaN and infinity in a dataset, before any network trains on it
"""

from autotune.data.rows.dataset import Dataset
from autotune.data.rows.finite import refuse_no_numbers
from autotune.data.rows.joining import join
from autotune.data.rows.nests import Arrays, Leaf, leaves, padded, shape_of
from autotune.data.rows.ragged import RaggedArray
from autotune.data.rows.windows import WindowArray

__all__ = [
    "Arrays",
    "Dataset",
    "Leaf",
    "RaggedArray",
    "WindowArray",
    "join",
    "leaves",
    "padded",
    "refuse_no_numbers",
    "shape_of",
]
