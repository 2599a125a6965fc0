"""What the tests of exported and replayed networks share: a finalized study, which they only read."""

from __future__ import annotations

from pathlib import Path

import pytest

import autotune
from autotune.results.final.record import FinalResult

DIGITS = """
import keras
from autotune import KFold, StudySpec

def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        keras.layers.Dense(trial.suggest_int("units", 8, 32), activation="relu"), keras.layers.Dropout(0.2),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model

study = StudySpec(name="toy", dataset="digits", folds=KFold(2), build=build, monitor="val_accuracy",
    direction="maximize", epochs=2, n_trials=1, seed=0, one_hot=True)
"""


@pytest.fixture(scope="session")
def finalized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FinalResult]:
    """Give the run dir and the result of a study of one trial with two folds, finalized with two seeds."""
    folder = tmp_path_factory.mktemp("finalized")
    (folder / "study.py").write_text(DIGITS)
    run_dir = folder / "runs"
    storage = f"sqlite:///{run_dir / 'autotune.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)  # as tests/conftest.py does for all but the whole session
        autotune.run(folder / "study.py", storage=storage, run_dir=run_dir, workers=2)
        result = autotune.finalize("toy", top=1, repeats=2, storage=storage, run_dir=run_dir, workers=2)
    assert isinstance(result, FinalResult)
    return run_dir, result
