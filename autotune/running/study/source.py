"""The code of a study, in a form that is sent to the processes that run it."""

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
from types import CodeType, ModuleType
from typing import Any

import cloudpickle

from autotune.errors import StudyFileError
from autotune.running.processes import refuse_other_backend, without_backend
from autotune.study import Overrides, StudySpec, check_study_file, imports_keras, load_study_file
from autotune.study_name import check_name


@dataclass(frozen=True)
class StudySource:
    """A study file, or a pickled `StudySpec` from a script or a notebook, with overrides.

    Attributes:
        path: The study file, absolute; None if there is none.
        pickled: The pickled `StudySpec`; None if there is a file.
        pickled_for_trials: The same without the function that makes its dataset.
        needs_keras: Whether its trials seem to need TensorFlow, judged without running the study file.
        overrides: The settings that the command line gives in place of the study's own.
    """

    path: Path | None
    pickled: bytes | None
    pickled_for_trials: bytes | None
    needs_keras: bool
    overrides: Overrides = Overrides()  # noqa: RUF009 -- reason: frozen, and equal to every other Overrides()

    def without_dataset(self) -> StudySource:
        """Return the source without the study's dataset, for trials: they read their rows from disk."""
        return dataclasses.replace(self, pickled=self.pickled_for_trials)

    @property
    def digest(self) -> str:
        """Return a hash of the code: of the study file, without modules that it imports, or of the pickled study."""
        code = self.path.read_bytes() if self.path is not None else self.pickled
        return hashlib.sha256(code or b"").hexdigest()

    @property
    def question(self) -> str:
        """Return the docstring of the study file; empty without a file or a docstring."""
        return (ast.get_docstring(check_study_file(self.path)) or "") if self.path is not None else ""

    def load(self) -> StudySpec:
        """Load the study in this process, and apply the overrides.

        Raises:
            StudyFileError: If the study file cannot be run, or Keras is set to a backend that the study cannot use.
        """
        try:
            spec = load_study_file(self.path) if self.path is not None else pickle.loads(self.pickled or b"")
        except StudyFileError as error:
            raise without_backend(error) from error.__cause__
        refuse_other_backend(spec)
        return self.overrides.apply(spec)


def study_source(study: StudySpec | StudySource | str | Path) -> StudySource:
    """Return the source of a study file's path, or of a study made in Python. Return a source itself unchanged.

    Raises:
        StudyFileError: If the file cannot be read or is not Python, or the study cannot be pickled.
    """
    if isinstance(study, StudySource):
        return study  # pickling it again could give other bytes, as if the study had been edited
    if not isinstance(study, StudySpec):
        path = Path(study).absolute()
        return StudySource(path, None, None, imports_keras(check_study_file(path)))
    try:
        lean = dataclasses.replace(study, dataset="on disk") if callable(study.dataset) else study
        return StudySource(None, cloudpickle.dumps(study), cloudpickle.dumps(lean), study.objective is None)
    except Exception as error:
        raise StudyFileError(
            f"the study {study.name!r} cannot be sent to trial processes: {error}.",
            "Its functions must not use objects such as open files, locks or models from outside.",
            "Create such objects inside build or objective, or write the study to a file and give its path.",
        ) from error


def overridden_source(study: StudySpec | StudySource | str | Path, overrides: Overrides) -> StudySource:
    """Return the source of a study with the values that its user gives in place of its own.

    Raises:
        UsageError: If the name in `overrides` is no name of a study.
        StudyFileError: As for `study_source`.
    """
    if overrides.name is not None:
        check_name(overrides.name)
    return dataclasses.replace(study_source(study), overrides=overrides)


def digest_of_code(source: StudySource, spec: StudySpec) -> str:
    """Return a hash of the code of a plain objective, the same in every process.

    It is that of the study file. Without a file it is that of the objective's own function, without those that it
    calls, because a study is pickled to other bytes in each process.
    """
    if source.path is not None or spec.objective is None:
        return source.digest
    function: Any = spec.objective
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return hashlib.sha256(repr(_facts_of(code) if code else type(function)).encode()).hexdigest()


def _facts_of(code: CodeType) -> list[Any]:
    constants = [_facts_of(one) if isinstance(one, CodeType) else _in_order(one) for one in code.co_consts]
    return [code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants]


def _in_order(constant: Any) -> str:
    return str(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


def objects_of(spec: StudySpec) -> Mapping[str, Any]:
    """Return all functions and classes of the study file: layers, losses and metrics that its models may need.

    This includes those of modules that it imports from its own folder.
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
