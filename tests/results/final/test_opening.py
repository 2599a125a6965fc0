"""The door to the test rows: it opens for models that are there and can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.errors import DataError, StudyFailedError, UsageError
from autotune.results.final import finalizing
from autotune.results.final.opening import TryModels
from autotune.results.final.record import FinalResult

pytestmark = pytest.mark.usefixtures("no_places_from_outside")

ONE_HOT = """
import os
from pathlib import Path
import keras
import numpy as np
from autotune import Dataset, Holdout, StudySpec

def rows(classes):
    y = np.arange(90) % classes
    return Dataset(np.eye(3, dtype="float32")[y], y)

def build(trial, data):
    if trial.user_attrs.get("refit") and not (Path(__file__).parent / "mended").exists():
        raise ValueError("a package is missing")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model

study = StudySpec(name="toy", dataset=lambda: rows(3), test_dataset=lambda: rows(2), folds=Holdout(0.2), build=build,
    monitor="val_accuracy", direction="maximize", one_hot=True, epochs=1, n_trials=1, seed=0)
"""


def _finalized(run_dir: Path) -> FinalResult:
    result = autotune.finalize("toy", run_dir=run_dir, workers=2, top=1, repeats=2)
    assert isinstance(result, FinalResult)
    return result


@pytest.mark.trains
def test_refits_that_failed_or_were_damaged_are_mended_and_test_rows_need_not_have_every_class(
    tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.py").write_text(ONE_HOT)
    autotune.run(tmp_path / "study.py", run_dir=run_dir, workers=2)
    with pytest.raises(StudyFailedError, match="a refit on all development rows has failed"):
        _finalized(run_dir)
    (tmp_path / "mended").touch()
    kept: dict[Path, bytes] = {}

    def torn(source: Any, development: Path, models: tuple[Path, ...], *others: Any) -> TryModels:
        kept[models[1]] = models[1].read_bytes()
        models[1].write_bytes(b"torn")
        return TryModels(source, development, models, *others)

    with monkeypatch.context() as broken:
        broken.setattr(finalizing, "TryModels", torn)
        with pytest.raises(UsageError, match=r"cannot be measured(?s:.*)The test rows have not been read"):
            _finalized(run_dir)
    search = optuna.load_study(study_name="toy", storage=f"sqlite:///{run_dir}/autotune.db")
    assert not [name for name, value in search.user_attrs.items() if "opened" in str(value)]
    for path, content in kept.items():
        path.write_bytes(content)
    result = _finalized(run_dir)
    assert result.test is not None
    assert len(result.test.values) == 2


@pytest.mark.trains
def test_test_rows_of_another_shape_are_refused(tmp_path: Path, run_dir: Path) -> None:
    other = "lambda: Dataset(np.zeros((9, 4), 'float32'), np.arange(9) % 3)"
    code = ONE_HOT.replace("test_dataset=lambda: rows(2)", f"test_dataset={other}")
    (tmp_path / "study.py").write_text(code)
    (tmp_path / "mended").touch()
    autotune.run(tmp_path / "study.py", run_dir=run_dir, workers=2)
    with pytest.raises(DataError, match=r"a test row has the arrays \{'x': \(4,\)") as caught:
        _finalized(run_dir)
    assert "'x': (3,)" in caught.value.happened
