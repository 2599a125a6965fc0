"""Tune Keras networks with Optuna so that the result can be trusted and nothing is ever lost.

`autotune.models` holds builders for study files; it loads Keras. The names below are loaded when they are first used,
so that `import autotune` takes no time and loads nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from autotune.distribution import VERSION

if TYPE_CHECKING:
    from autotune.data.rows import Dataset
    from autotune.data.sources import audio_in, images_in, windows
    from autotune.data.splits import Given, GroupKFold, Holdout, KFold, Latest
    from autotune.errors import AutotuneError, StudyFailedError, UsageError
    from autotune.results.data_efficiency import learning_curve
    from autotune.results.final import finalize
    from autotune.running.engine import check, run
    from autotune.running.trial import keep, kept
    from autotune.running.trial.keep_epochs import KeepEpochs
    from autotune.search.curves import CurvePruner, CurveSampler
    from autotune.search.pruners import NoiseAwarePruner
    from autotune.stopping_rule import stop_when_flat
    from autotune.study import StudySpec, load_study_file

__version__ = VERSION

__all__ = [
    "AutotuneError",
    "CurvePruner",
    "CurveSampler",
    "Dataset",
    "Given",
    "GroupKFold",
    "Holdout",
    "KFold",
    "KeepEpochs",
    "Latest",
    "NoiseAwarePruner",
    "StudyFailedError",
    "StudySpec",
    "UsageError",
    "audio_in",
    "check",
    "finalize",
    "images_in",
    "keep",
    "kept",
    "learning_curve",
    "load_study_file",
    "run",
    "stop_when_flat",
    "windows",
]

_HOMES = {
    "AutotuneError": "autotune.errors",
    "CurvePruner": "autotune.search.curves",
    "CurveSampler": "autotune.search.curves",
    "Dataset": "autotune.data.rows",
    "Given": "autotune.data.splits",
    "GroupKFold": "autotune.data.splits",
    "Holdout": "autotune.data.splits",
    "KFold": "autotune.data.splits",
    "KeepEpochs": "autotune.running.trial.keep_epochs",
    "Latest": "autotune.data.splits",
    "NoiseAwarePruner": "autotune.search.pruners",
    "StudyFailedError": "autotune.errors",
    "StudySpec": "autotune.study",
    "UsageError": "autotune.errors",
    "audio_in": "autotune.data.sources",
    "check": "autotune.running.engine",
    "finalize": "autotune.results.final",
    "images_in": "autotune.data.sources",
    "keep": "autotune.running.trial",
    "kept": "autotune.running.trial",
    "learning_curve": "autotune.results.data_efficiency",
    "load_study_file": "autotune.study",
    "run": "autotune.running.engine",
    "stop_when_flat": "autotune.stopping_rule",
    "windows": "autotune.data.sources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'autotune' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
