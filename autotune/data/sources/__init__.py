"""Sources of rows: named datasets, folders of images or recordings, and series.

The test rows of a named dataset come from `load_test` only, and only `autotune.results.final` calls it.

series    Datasets of windows of a series
files     Images and recordings in folders, one folder for each class
official  Archives of datasets: found in the data folder or Keras's cache, or downloaded from their official address
images    Image datasets: scikit-learn's digits, and MNIST and Fashion-MNIST from a file or Keras's loader
speech    Spoken digits: the free spoken digit dataset as log-mel spectrograms
text      Sentences from movie reviews, positive or negative (Pang and Lee, 2005)
named     The named datasets, and how to load each of them
"""

from autotune.data.sources.files import audio_in, images_in
from autotune.data.sources.named import (
    DatasetStatus,
    available,
    axes_of,
    class_names_of,
    has_test_rows,
    load_development,
    load_test,
)
from autotune.data.sources.series import windows

__all__ = [
    "DatasetStatus",
    "audio_in",
    "available",
    "axes_of",
    "class_names_of",
    "has_test_rows",
    "images_in",
    "load_development",
    "load_test",
    "windows",
]
