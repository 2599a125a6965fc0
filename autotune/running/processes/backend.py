"""The check that Keras uses the TensorFlow backend."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from autotune.errors import StudyFileError
from autotune.study import StudySpec

_OURS = "tensorflow"
_VARIABLE = "KERAS_BACKEND"
_EXPECTED = f"Keras studies need {_OURS}; a plain objective may use any installed backend."


def refuse_other_backend(spec: StudySpec) -> None:
    """Check the backend in a process that has loaded a study.

    Raises:
        StudyFileError: If a Keras study chooses another backend than TensorFlow, or if the study file chooses one after
            Keras was imported with another.
    """
    chosen, where = _chosen()
    if spec.objective is None and chosen != _OURS:
        raise StudyFileError(f"Keras is set to the backend {chosen!r} ({where}).", _EXPECTED, _fix(where))
    keras = sys.modules.get("keras")
    used = keras.config.backend() if keras is not None and hasattr(keras, "config") else chosen
    if used != chosen:
        raise StudyFileError(
            f"the study file sets {_VARIABLE} to {chosen!r}, but Keras has been imported with {used!r}.",
            "Keras is imported once for all trials, before the study file runs.",
            f"Set it in the command: {_VARIABLE}={chosen} autotune run STUDY_FILE",
        )


def without_backend(error: StudyFileError) -> StudyFileError:
    """Return the error of a study that could not be loaded, with a note on the backend if that is the likely reason."""
    chosen, where = _chosen()
    if chosen == _OURS or not isinstance(error.__cause__, (ImportError, AttributeError)):
        return error
    return StudyFileError(
        f"Keras is set to the backend {chosen!r} ({where}), and {error.happened}", _EXPECTED, _fix(where)
    )


def _chosen() -> tuple[str, str]:
    """Return the backend, and where it is chosen: the environment comes before the file `keras.json`, as in Keras."""
    if named := os.environ.get(_VARIABLE):
        return named, f"{_VARIABLE} in the environment or the study file"
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        stored = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        stored = None
    return str((stored if isinstance(stored, dict) else {}).get("backend") or _OURS), str(file)


def _fix(where: str) -> str:
    return f"Set {_VARIABLE}={_OURS}, or change {where}."
