"""Measure models on the test rows, in a separate process: the only code that reads test rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data.rows import Dataset, refuse_no_numbers, shape_of
from autotune.data.sources import load_test
from autotune.errors import AutotuneError, DataError, UsageError
from autotune.failures import summary_of
from autotune.running.processes import Slot
from autotune.running.study import StudySource, objects_of
from autotune.running.trial import folder_for, load_in_slot, open_development, rebuilding, rows_of, send_result
from autotune.study import StudySpec

_FEW = 8


@dataclass(frozen=True, eq=False)
class TestScores:
    """The scores of several models on the same test rows.

    Attributes:
        n_rows: Number of rows.
        values: The score of each model.
        rows: The score of each model on each row, shape (models, n_rows); None if the metric is not a mean over rows.
        metric: The measured metric; the loss if a callback computes the requested metric.
        others: The other compiled metrics, by name: the score of each model.
    """

    n_rows: int
    values: tuple[float, ...]
    rows: npt.NDArray[np.float64] | None
    metric: str
    others: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class OpenTestRows:
    """Task: measure models on the test rows of a study and send the `TestScores`.

    Attributes:
        source: The study.
        data_dir: The folder in which named datasets are looked for first.
        development: The folder of the stored development rows, for their number of classes.
        models: The models' files.
        metric: The metric, without "val_".
        slot: What the process may use of the machine.
        params: The hyperparameters of each model, to build it anew.
    """

    source: StudySource
    data_dir: Path | None
    development: Path
    models: tuple[Path, ...]
    metric: str
    slot: Slot
    params: tuple[Mapping[str, Any], ...] = ()

    def __call__(self, connection: Connection) -> None:
        os.environ.update(self.slot.environment)
        send_result(connection, self._measure)

    def _measure(self) -> TestScores:
        spec = load_in_slot(self.source, replace(self.slot, devices=1))
        development = open_development(self.development, spec, self.data_dir)
        data = _test_rows(spec, self.data_dir, development)
        return _measured(spec, data, development, self)


@dataclass(frozen=True)
class TryModels:
    """Task: check on a few development rows that models can be loaded and measured, and send None.

    Attributes:
        source: The study.
        development: The folder of the stored development rows.
        models: The models' files.
        metric: The metric, without "val_".
        slot: What the process may use of the machine.
        params: The hyperparameters of each model, to build it anew.
        data_dir: The folder in which named datasets are looked for first.
    """

    source: StudySource
    development: Path
    models: tuple[Path, ...]
    metric: str
    slot: Slot
    params: tuple[Mapping[str, Any], ...] = ()
    data_dir: Path | None = None

    def __call__(self, connection: Connection) -> None:
        os.environ.update(self.slot.environment)
        send_result(connection, self._try)

    def _try(self) -> None:
        spec = load_in_slot(self.source, replace(self.slot, devices=1))
        development = open_development(self.development, spec, self.data_dir)
        few = development.subset(np.arange(min(_FEW, len(development))))
        try:
            _measured(spec, few, development, self)
        except AutotuneError:
            raise
        except Exception as error:
            raise UsageError(
                f"the models that were trained again cannot be measured: {summary_of(error)}",
                f"Keras must be able to load {self.models[0]} and the other refits, with the study file's definitions.",
                "The test rows have not been read. Correct the study file, delete the study of the refits, and "
                "finalize again.",
            ) from error


def _measured(spec: StudySpec, data: Dataset, development: Dataset, task: OpenTestRows | TryModels) -> TestScores:
    from autotune.training.inspection import load_trained, measure

    found = []
    for path, params in zip(task.models, task.params, strict=True):
        model = load_trained(path, objects_of(spec), rebuilding(spec, params, development))
        found.append(measure(model, data, task.metric, spec.one_hot, spec.score))
    by_row = [one.rows for one in found if one.rows is not None]
    rows = np.stack(by_row) if len(by_row) == len(found) else None
    others = {name: tuple(one.others[name] for one in found) for name in found[0].others}
    return TestScores(len(data), tuple(one.value for one in found), rows, found[0].metric, others)


def _test_rows(spec: StudySpec, data_dir: Path | None, development: Dataset) -> Dataset:
    if isinstance(spec.dataset, str):
        return load_test(spec.dataset, data_dir)
    arguments = folder_for(spec.test_dataset, data_dir)  # type: ignore[arg-type]  # reason: there are test rows
    data = rows_of("test_dataset", lambda: spec.test_dataset(*arguments))  # type: ignore[misc]  # reason: as above
    refuse_no_numbers(data, "the test rows' ")
    _check_form(data, development)
    return data.with_n_classes(development.n_classes)  # the test rows may lack a class


def _check_form(data: Dataset, development: Dataset) -> None:
    """Refuse test rows of another structure or shape than the development rows."""
    shapes, expected = (
        {name: shape_of(leaf) for name, leaf in one.arrays_at([]).leaves() if name != "sample_weight"}
        for one in (data, development)
    )
    fits = shapes.keys() == expected.keys() and all(
        len(shapes[name]) == len(shape) and all(b in (a, None) for a, b in zip(shapes[name], shape, strict=True))
        for name, shape in expected.items()
    )
    if not fits:
        raise DataError(
            f"a test row has the arrays {shapes}, and a development row {expected}.",
            "Test rows have the structure and the shapes of the development rows.",
            "Correct test_dataset, and finalize again. The test rows count as opened for the same models only.",
        )
