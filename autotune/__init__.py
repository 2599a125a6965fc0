"""Tune Keras networks with Optuna so that the result can be trusted and nothing is ever lost.

`autotune.models` holds builders for study files; it is imported on its own, since it loads Keras.
"""

from autotune.data import Dataset, Holdout, KFold
from autotune.errors import AutotuneError, StudyFailedError, UsageError
from autotune.running.run import run
from autotune.study import StudySpec, load_study_file

__all__ = [
    "AutotuneError",
    "Dataset",
    "Holdout",
    "KFold",
    "StudyFailedError",
    "StudySpec",
    "UsageError",
    "load_study_file",
    "run",
]
