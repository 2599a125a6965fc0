"""Keras is trained with TensorFlow: who asks for another backend is told, before anything is trained."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from autotune.errors import StudyFileError
from autotune.running.processes.backend import refuse_other_backend, without_backend
from autotune.study import StudySpec

ROOT = Path(__file__).parents[3]
NETWORK = StudySpec(
    name="network", direction="maximize", build=lambda trial, data: None, dataset="digits", monitor="val_accuracy"
)
PLAIN = StudySpec(name="plain", direction="minimize", objective=lambda trial: 0.0)


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def keras_with(backend: str) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(backend=lambda: backend))


def test_a_network_is_trained_with_tensorflow_or_not_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "keras", keras_with("tensorflow"))
    refuse_other_backend(NETWORK)
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    with pytest.raises(StudyFileError, match=rf"the backend 'torch' \({tmp_path}/keras\.json\)") as caught:
        refuse_other_backend(NETWORK)
    assert "KERAS_BACKEND=tensorflow" in caught.value.fix
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    refuse_other_backend(NETWORK)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(StudyFileError, match=r"the backend 'jax' \(KERAS_BACKEND"):
        refuse_other_backend(NETWORK)


@pytest.mark.parametrize("content", ["{", "[]", '{"backend": null}'])
def test_a_file_of_settings_that_says_nothing_chooses_tensorflow(content: str, tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text(content)
    refuse_other_backend(NETWORK)


def test_a_plain_objective_uses_what_it_asks_for_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setitem(sys.modules, "keras", keras_with("jax"))
    refuse_other_backend(PLAIN)
    monkeypatch.delitem(sys.modules, "keras")
    refuse_other_backend(PLAIN)
    monkeypatch.setitem(sys.modules, "keras", keras_with("tensorflow"))
    with pytest.raises(StudyFileError, match="sets KERAS_BACKEND to 'jax', but Keras has been imported with") as caught:
        refuse_other_backend(PLAIN)
    assert "KERAS_BACKEND=jax autotune run" in caught.value.fix


def test_a_backend_that_is_not_installed_is_named_beside_what_it_caused(monkeypatch: pytest.MonkeyPatch) -> None:
    error = StudyFileError("study.py stopped with ModuleNotFoundError: No module named 'jax'.", "a", "b")
    error.__cause__ = ModuleNotFoundError("No module named 'jax'")
    assert without_backend(error) is error
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "the backend 'jax'" in without_backend(error).happened
    assert "No module named 'jax'" in without_backend(error).happened
    error.__cause__ = ValueError()
    assert without_backend(error) is error


def test_a_study_file_that_asks_for_another_backend_is_refused_before_anything_is_trained(
    study_file: Callable[..., Path], run_dir: Path
) -> None:
    code = """
        os.environ["KERAS_BACKEND"] = "jax"

        def objective(trial):
            return 0.0

        def build(trial, data):
            raise AssertionError("it was not to be called")
    """
    file = study_file(code, "'objective': None, 'build': build, 'dataset': 'digits', 'monitor': 'val_loss'")
    command = [sys.executable, "-m", "autotune", "run", str(file), "--run-dir", str(run_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("StudyFileError: Keras is set to the backend 'jax' (KERAS_BACKEND")
    assert not list(run_dir.glob("toy"))
