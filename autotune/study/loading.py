"""Load a study file: parse it, run it, and return the study that it declares."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from autotune.errors import StudyFileError, UsageError
from autotune.failures import summary_of
from autotune.study.record import StudySpec

_PARSING = threading.Lock()  # two threads at once may get a SystemError (python/cpython#106905)

_loading: Path | None = None  # the study file that this process is loading now


def load_study_file(path: str | Path) -> StudySpec:
    """Run a study file and return the `study` it declares.

    The folder of the file is put on `sys.path`, as Python does for a script, so that it can import files next to it.

    Raises:
        StudyFileError: If the file is missing, cannot be run, or declares no `study`.
    """
    path = Path(path).resolve()
    tree = check_study_file(path)
    module = ModuleType(f"autotune_study_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look their module up
    sys.path.insert(0, str(path.parent))
    global _loading
    _loading, before = path, _loading
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise StudyFileError(
            f"{path} stopped with {summary_of(error, path)}.",
            "A study file runs from top to bottom without an error.",
            f"Run it alone to see the whole traceback: python {path}",
        ) from error
    finally:
        _loading = before
    # A sampler or pruner that the file defines is pickled for the parent, which cannot import the file.
    cloudpickle.register_pickle_by_value(module)
    return _declared_study(vars(module), path)


def refuse_while_loading() -> None:
    """Refuse to start a run from a study file that is being loaded, because the run would load it again, without end.

    Raises:
        StudyFileError: If a study file is being loaded.
    """
    if _loading is not None:
        raise StudyFileError(
            f"{_loading} starts a run while it is loaded.",
            "Every trial process loads the study file, so the file must only declare `study`.",
            'Put the call below `if __name__ == "__main__":`.',
        )


def check_study_file(path: Path) -> ast.Module:
    """Parse a study file without running it.

    Raises:
        StudyFileError: If it cannot be read or is not Python.
    """
    try:
        with _PARSING:
            return ast.parse(path.read_bytes(), filename=str(path))
    except (OSError, ValueError, RecursionError, MemoryError) as error:  # the parser's own limits, too
        raise StudyFileError(
            f"the study file {path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            "A study file is a Python file that declares `study = StudySpec(...)`.",
            "Check the path; README.md shows a study file of one screen.",
        ) from error
    except SyntaxError as error:
        raise StudyFileError(
            f"{path}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}",
            f"A study file is Python that this interpreter ({'.'.join(map(str, sys.version_info[:2]))}) understands.",
            "Correct that line and run the same command again.",
        ) from error


def imports_keras(tree: ast.Module) -> bool:
    """Guess from its imports whether the trials of a study file need TensorFlow; a wrong guess only costs time."""
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    heavy = ("keras", "tensorflow", "autotune.models", "autotune.spaces")
    return any(name == root or name.startswith(root + ".") for name in names for root in heavy)


def _declared_study(namespace: Mapping[str, Any], path: Path) -> StudySpec:
    spec = namespace.get("study")
    if isinstance(spec, StudySpec):
        return spec
    raise StudyFileError(
        f"{path} declares no study: `study` is {'missing' if spec is None else type(spec).__name__}.",
        "A study file ends with `study = StudySpec(name=..., direction=..., ...)`.",
        "Add that line; README.md shows a study file of one screen.",
    )
