"""An exported model needs Keras alone, and its card says what it is and how it was made."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autotune
from autotune.cli import main
from autotune.data.sources import load_test
from autotune.errors import ExportError, UsageError
from autotune.results.export.exporting import export
from autotune.results.final.record import FinalResult

pytestmark = pytest.mark.usefixtures("no_places_from_outside")
StudyFile = Callable[..., Path]

DIGITS = """
import keras
from autotune import Holdout, StudySpec

{layer}
def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        {name}(trial.suggest_int("units", 8, 32), activation="relu"),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model

study = StudySpec(name="toy", dataset="digits", folds=Holdout(0.2), build=build, monitor="val_accuracy",
    direction="maximize", epochs=2, n_trials=2, seed=0, one_hot=True)
"""
LAYER = """
class Own(keras.layers.Dense):
    pass
"""
# In an environment of its own, where this package is not installed; the other packages are found, not copied.
SCORE = """
import importlib.util
import sys
sys.path.append(sys.argv[3])
assert importlib.util.find_spec("autotune") is None, "this package is here"
import keras
import numpy as np
rows = np.load(sys.argv[2])
print(keras.models.load_model(sys.argv[1]).evaluate(rows["x"], rows["y"], verbose=0, return_dict=True)["accuracy"])
"""


def _run(
    tmp_path: Path, run_dir: Path, layer: str = "", name: str = "keras.layers.Dense", n_trials: int | None = None
) -> None:
    (tmp_path / "study.py").write_text(DIGITS.format(layer=layer, name=name))
    autotune.run(tmp_path / "study.py", run_dir=run_dir, workers=2, n_trials=n_trials)


def _elsewhere(tmp_path: Path, *arguments: object) -> float:
    venv.create(tmp_path / "venv", with_pip=False)
    packages = tmp_path / "packages"  # all that is installed, but for this package
    packages.mkdir()
    for entry in Path(np.__file__).parent.parent.iterdir():
        if "autotune" not in entry.name and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-I", "-c", SCORE, *map(str, arguments), str(packages)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


@pytest.mark.trains
def test_the_winners_model_scores_the_same_without_this_package(
    finalized: tuple[Path, FinalResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir, result = finalized
    assert result.test is not None
    assert main(["export", "toy", "--run-dir", str(run_dir), "-o", str(tmp_path / "out")]) == 0
    assert str(tmp_path / "out" / "model.keras") in capsys.readouterr().out
    model = tmp_path / "out" / "model.keras"
    test = load_test("digits")
    np.savez(tmp_path / "test.npz", x=test.x, y=np.eye(10)[test.y])
    assert _elsewhere(tmp_path, model, tmp_path / "test.npz") == pytest.approx(result.test.values[0])

    card: dict[str, Any] = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["hyperparameters"] == result.confirmation.candidate(result.confirmation.winner).params
    assert card["metrics"]["test"]["of_this_model"] == result.test.values[0]
    estimate = card["metrics"]["test"]["estimate"]
    assert (estimate["low"], estimate["high"]) == (result.test.estimate.low, result.test.estimate.high)
    assert card["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    made = card["made_with"]
    assert made["seed"] == 0
    assert made["data"]["name"] == "digits"
    assert made["versions"]["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert {"split", "commit", "device", "time", "study_digest", "threads"} <= made.keys()


@pytest.mark.trains
def test_a_model_that_needs_the_study_file_is_refused_and_nothing_is_written(tmp_path: Path, run_dir: Path) -> None:
    _run(tmp_path, run_dir, LAYER, "Own", n_trials=1)
    with pytest.raises(ExportError, match=r"(?s)cannot be loaded by Keras alone.*register_keras_serializable") as no:
        export("toy", tmp_path / "out", run_dir=run_dir)
    assert "config" not in str(no.value)  # Keras adds the whole one
    assert list((tmp_path / "out").iterdir()) == []


OWN_LOSS = """
def own_loss(true, predicted):
    return keras.losses.categorical_crossentropy(true, predicted)
"""


@pytest.mark.trains
def test_a_model_whose_loss_alone_is_the_study_files_is_exported_for_predictions_and_called_what_it_is(
    tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = DIGITS.format(layer=OWN_LOSS, name="keras.layers.Dense").replace("loss=loss", "loss=own_loss")
    (tmp_path / "study.py").write_text(code)
    autotune.run(tmp_path / "study.py", run_dir=run_dir, workers=1, n_trials=1)
    assert main(["export", "toy", "--run-dir", str(run_dir), "-o", str(tmp_path / "out")]) == 0
    assert "neither confirmed nor tested" in capsys.readouterr().out
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["metrics"]["test"] is None
    assert card["metrics"]["search_showed"] > 0.1
    assert card["load_with"] == {"compile": False}
    assert card["outputs"]["shape"] == [None, 10]


def test_a_study_without_models_has_nothing_to_export(study_file: StudyFile, tmp_path: Path, run_dir: Path) -> None:
    text = """
        def objective(trial):
            return trial.suggest_float("x", 0, 1)
    """
    autotune.run(study_file(text, "'n_trials': 2"), run_dir=run_dir, workers=2)
    with pytest.raises(UsageError, match=r"(?s)no model of 'toy': a plain objective.*in the objective"):
        export("toy", tmp_path / "out", run_dir=run_dir)
    assert not (tmp_path / "out").exists()
