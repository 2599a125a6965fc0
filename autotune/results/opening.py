"""The one door to the test rows: models are measured on them in a process of its own, once a study is over."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.data import Dataset, load_test
from autotune.errors import StudyFileError
from autotune.running.preparing import send_result
from autotune.running.slots import Slot
from autotune.running.source import StudySource
from autotune.study import StudySpec


@dataclass(frozen=True, eq=False)
class TestScores:
    """What several models score on the same test rows.

    Attributes:
        n_rows: How many rows there are.
        values: The score of each model.
        rows: The score of each model on each row, shape (models, n_rows); None if the metric is no mean over rows.
    """

    n_rows: int
    values: tuple[float, ...]
    rows: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class OpenTestRows:
    """Task: measure models on the test rows of a study and send the `TestScores`.

    Attributes:
        source: The study.
        data_dir: Where named datasets are looked for first.
        models: The models' files.
        metric: The metric, without "val_".
        slot: What the process may use of the machine.
    """

    source: StudySource
    data_dir: Path | None
    models: tuple[Path, ...]
    metric: str
    slot: Slot

    def __call__(self, connection: Connection) -> None:
        os.environ.update(self.slot.environment)
        send_result(connection, self._measure)

    def _measure(self) -> TestScores:
        from autotune.training.device import configure_tensorflow
        from autotune.training.evaluating import measure

        spec = self.source.load()
        configure_tensorflow(self.slot.threads, self.slot.memory_limit_mib)
        data = _test_rows(spec, self.data_dir)
        found = [measure(path, data, self.metric, _objects_of(spec), spec.one_hot) for path in self.models]
        by_row = [one.rows for one in found if one.rows is not None]
        rows = np.stack(by_row) if len(by_row) == len(found) else None
        return TestScores(len(data), tuple(one.value for one in found), rows)


def _test_rows(spec: StudySpec, data_dir: Path | None) -> Dataset:
    if isinstance(spec.dataset, str):
        return load_test(spec.dataset, data_dir)
    assert spec.test_dataset is not None
    data = spec.test_dataset()
    if not isinstance(data, Dataset):
        raise StudyFileError(
            f"the study's test_dataset returned {type(data).__name__}.",
            "It returns a Dataset of test rows.",
            "Return autotune.Dataset(x, y).",
        )
    return data


def _objects_of(spec: StudySpec) -> Mapping[str, Any]:
    """Return what the study file defines: layers, losses and metrics that its models may need."""
    module = sys.modules.get(getattr(spec.build, "__module__", ""))
    return {name: value for name, value in vars(module).items() if callable(value)} if module else {}
