"""The rows that trials train on, from the study file or from disk."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotune.data.rows import Dataset
from autotune.data.sources import load_development
from autotune.data.splits import Design, Split
from autotune.data.stored import load_folds, open_stored
from autotune.errors import AutotuneError, StudyFileError
from autotune.failures import summary_of
from autotune.running.trial.answering import Replay
from autotune.running.trial.piped_trial import PipedTrial
from autotune.study import StudySpec


@dataclass(frozen=True)
class Rows:
    """The paths of the stored development rows and of their folds.

    Attributes:
        dataset: The folder of the stored dataset, memory-mapped by trial processes.
        folds: An `.npz` file with the positions of each fold.
        digest: A hash of data and folds.
        design: How the trainings of one configuration on these folds depend on each other.
        data_dir: The data folder, for a source that is read each time.
    """

    dataset: Path
    folds: Path
    digest: str
    design: Design = Design()  # noqa: RUF009 -- reason: frozen, and equal to every other Design()
    data_dir: Path | None = None


def open_rows(rows: Rows, spec: StudySpec) -> Split:
    """Open stored rows without reading them into memory.

    Args:
        rows: Their paths.
        spec: The study, whose own source rows may come from.

    Raises:
        DamagedStoreError: If they are missing, or their size or type has changed since they were stored.
    """
    return Split(open_development(rows.dataset, spec, rows.data_dir), load_folds(rows.folds), rows.digest)


def open_development(path: Path, spec: StudySpec, data_dir: Path | None) -> Dataset:
    """Open the stored development rows, or the study's own source of them."""
    return open_stored(path, lambda: load_data(spec, data_dir))


def rebuilding(spec: StudySpec, params: Mapping[str, Any], rows: Dataset) -> Callable[[], Any]:
    """Return a function that builds the network of a trial anew, untrained.

    Args:
        spec: The study.
        params: The trial's hyperparameters, as they are stored.
        rows: The rows that the trial was trained on.
    """

    def build() -> Any:
        from autotune.training.fitting import built_model

        trial: Any = PipedTrial(Replay(dict(params), 0))
        return built_model(spec, trial, rows)

    return build


def load_data(spec: StudySpec, data_dir: Path | None) -> Dataset:
    """Return the development rows of a Keras study."""
    if isinstance(spec.dataset, str):
        return load_development(spec.dataset, data_dir)
    function: Callable[..., Dataset] | None = spec.dataset
    assert function is not None
    return rows_of("dataset", lambda: function(*folder_for(function, data_dir)))


def folder_for(function: Callable[..., object], data_dir: Path | None) -> tuple[Path | None, ...]:
    """Return the arguments of a study's own `dataset` or `test_dataset`: the data folder, if it takes an argument."""
    parameters = inspect.signature(function).parameters.values()
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return (data_dir,) if any(one.default is one.empty for one in positional) else ()


def rows_of(name: str, function: Callable[[], object]) -> Dataset:
    """Call a study's own `dataset` or `test_dataset`.

    Raises:
        StudyFileError: If it raises an error, or does not return a `Dataset`.
    """
    try:
        data = function()
    except AutotuneError:
        raise
    except Exception as error:
        raise StudyFileError(
            f"the study's {name} function stopped with {summary_of(error)}.",
            "It must return a Dataset.",
            "Call it yourself to see the whole traceback, and correct it.",
        ) from error
    if not isinstance(data, Dataset):
        raise StudyFileError(
            f"the study's {name} function returned {type(data).__name__}.",
            "It must return a Dataset.",
            "Return autotune.Dataset(x, y).",
        )
    return data
