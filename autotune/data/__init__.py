"""Datasets, splits, and their storage on disk.

Study files may import from here what the rooms below offer them; the package itself imports from the rooms.
"""

from autotune.data.rows import Dataset
from autotune.data.sources import audio_in, images_in, load_development, load_test, windows
from autotune.data.splits import Given, GroupKFold, Holdout, KFold, Latest

__all__ = [
    "Dataset",
    "Given",
    "GroupKFold",
    "Holdout",
    "KFold",
    "Latest",
    "audio_in",
    "images_in",
    "load_development",
    "load_test",
    "windows",
]
