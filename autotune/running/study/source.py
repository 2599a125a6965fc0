"""How a study's code reaches the processes that run it."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from autotune.errors import StudyFileError
from autotune.running.processes import refuse_other_backend, without_backend
from autotune.study import Overrides, StudySpec, check_study_file, imports_keras, load_study_file


@dataclass(frozen=True)
class StudySource:
    """A study file to be run, or a `StudySpec` made in a script or a notebook, with what overrides it.

    Attributes:
        path: The study file, absolute; None if there is none.
        pickled: The pickled `StudySpec`; None if there is a file.
        pickled_for_trials: The same without the function that makes its dataset.
        needs_keras: Whether its trials will need TensorFlow, as far as one can tell without running it.
        overrides: What the command line says in place of the study.
    """

    path: Path | None
    pickled: bytes | None
    pickled_for_trials: bytes | None
    needs_keras: bool
    overrides: Overrides = Overrides()  # noqa: RUF009 -- reason: frozen, and equal to every other Overrides()

    def without_dataset(self) -> StudySource:
        """Return what a trial needs: its data are on disk, and need not travel with a study made in Python."""
        return dataclasses.replace(self, pickled=self.pickled_for_trials)

    @property
    def digest(self) -> str:
        """Return a hash of the code, as far as it stands in one place."""
        code = self.path.read_bytes() if self.path is not None else self.pickled
        return hashlib.sha256(code or b"").hexdigest()

    @property
    def question(self) -> str:
        """Return what the study asks: the docstring of its file; empty without a file or a docstring."""
        return (ast.get_docstring(check_study_file(self.path)) or "") if self.path is not None else ""

    def load(self) -> StudySpec:
        """Make the study anew in this process, as overridden.

        Raises:
            StudyFileError: If the study file cannot be run, or not with the backend that Keras is to use.
        """
        try:
            spec = load_study_file(self.path) if self.path is not None else pickle.loads(self.pickled or b"")
        except StudyFileError as error:
            raise without_backend(error) from error.__cause__
        refuse_other_backend(spec)
        return self.overrides.apply(spec)


def study_source(study: StudySpec | StudySource | str | Path) -> StudySource:
    """Return the source of a study file's path, or of a study made in Python; a source itself comes back unchanged.

    Raises:
        StudyFileError: If the file cannot be read or is not Python, or the study cannot be pickled.
    """
    if isinstance(study, StudySource):
        return study  # pickled elsewhere: pickling it again may give other bytes, as if it had been edited
    if not isinstance(study, StudySpec):
        path = Path(study).absolute()
        return StudySource(path, None, None, imports_keras(check_study_file(path)))
    try:
        lean = dataclasses.replace(study, dataset="on disk") if callable(study.dataset) else study
        return StudySource(None, cloudpickle.dumps(study), cloudpickle.dumps(lean), study.objective is None)
    except Exception as error:
        raise StudyFileError(
            f"the study {study.name!r} cannot be sent to trial processes: {error}.",
            "Its functions must not hold on to things like open files, locks or models.",
            "Create such things inside build or objective, or put the study in a file and give its path.",
        ) from error


def objects_of(spec: StudySpec) -> Mapping[str, Any]:
    """Return what the study file defines: layers, losses and metrics that its models may need.

    Those of modules that it imports from its neighbours are among them.
    """
    build: Any = spec.build
    while isinstance(build, functools.partial):
        build = build.func
    build = inspect.unwrap(getattr(build, "__func__", build))
    names = getattr(build, "__globals__", {})
    modules = [vars(one) for one in names.values() if isinstance(one, ModuleType) and _is_neighbour(one)]
    return {name: value for known in (*modules, names) for name, value in known.items() if callable(value)}


def _is_neighbour(module: ModuleType) -> bool:
    if module.__name__.split(".")[0] in sys.stdlib_module_names:
        return False
    return {"site-packages", "dist-packages"}.isdisjoint(Path(getattr(module, "__file__", None) or "").parts)
