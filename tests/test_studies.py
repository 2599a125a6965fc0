"""The study files that come with the project: what they declare builds, on rows of the form of their datasets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial

from autotune import Dataset, load_study_file

STUDIES = Path(__file__).parent.parent / "studies"
WORDS = np.array(["a gem .", "simplistic , silly and tedious .", "well told"])
ROWS = {
    "digits": np.zeros((20, 8, 8, 1), dtype=np.float32),
    "mnist": np.zeros((20, 28, 28, 1), dtype=np.float32),
    "spoken-digits": np.zeros((20, 99, 40, 1), dtype=np.float32),
    "sentence-polarity": WORDS[np.arange(20) % 3],
}
FILES = sorted(path.name for path in STUDIES.glob("*.py"))


@pytest.fixture(autouse=True)
def _imports_stay_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(STUDIES)):
            del sys.modules[name]


def _data(name: object) -> Dataset:
    x = ROWS[str(name)]
    n_classes = 2 if name == "sentence-polarity" else 10
    return Dataset(x, np.arange(len(x)) % n_classes, name=str(name), n_classes=n_classes)


@pytest.mark.parametrize("file", FILES)
def test_every_corner_of_the_space_builds_and_fits_the_targets(file: str) -> None:
    spec = load_study_file(STUDIES / file)
    assert spec.build is not None
    data = _data(spec.dataset)
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    y = np.eye(data.n_classes or 0)[data.y] if spec.one_hot else data.y
    for number in range(3):
        trial = study.ask()
        model = spec.build(trial, data)
        model.run_eagerly = number > 0  # a graph takes a second to make: one for each file
        arguments = spec.fit(trial) if spec.fit else {}
        assert model.output_shape == (None, data.n_classes)
        x = keras.ops.convert_to_tensor(data.x, dtype="string") if data.x.dtype.kind == "U" else data.x
        scores = model.evaluate(x, y, verbose=0, return_dict=True)
        assert str(spec.monitor).removeprefix("val_") in scores
        assert isinstance(arguments.get("batch_size"), int)
    keras.utils.clear_session()


@pytest.mark.parametrize("file", FILES)
def test_a_baseline_is_all_that_its_study_asks_for(file: str) -> None:
    spec = load_study_file(STUDIES / file)
    if spec.baseline is None:
        pytest.skip("it declares none")
    trial = FixedTrial(dict(spec.baseline))
    assert spec.build is not None
    spec.build(trial, _data(spec.dataset))
    if spec.fit:
        spec.fit(trial)
    assert trial.params == spec.baseline
