"""The study files that come with the project: what they declare builds and trains, on few rows."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FixedTrial, FrozenTrial

from autotune import Dataset, StudySpec, load_study_file
from autotune.training.fitting import Batches

STUDIES = Path(__file__).parent.parent / "studies"
WORDS = np.array(["a gem .", "simplistic , silly and tedious .", "well told"])
ROWS = {
    "digits": np.zeros((10, 8, 8, 1), dtype=np.float32),
    "mnist": np.zeros((10, 28, 28, 1), dtype=np.float32),
    "spoken-digits": np.zeros((10, 99, 40, 1), dtype=np.float32),
    "sentence-polarity": WORDS[np.arange(10) % 3],
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


def _data(spec: StudySpec, request: pytest.FixtureRequest) -> Dataset:
    """Return a few rows: those of a study's own function, or zeros in the form of a named dataset."""
    if isinstance(spec.dataset, str):
        x = ROWS[spec.dataset]
        n_classes = 2 if spec.dataset == "sentence-polarity" else 10
        return Dataset(x, np.arange(len(x)) % n_classes, name=spec.dataset, n_classes=n_classes)
    function: Any = spec.dataset
    needs_files = "data_dir" in inspect.signature(function).parameters
    data = function(request.getfixturevalue("data_dir")) if needs_files else function()
    assert isinstance(data, Dataset)
    spread = np.linspace(0, len(data) - 1, 10).astype(int)
    # A recurrent network takes one step after another: of rows of different lengths the shortest.
    return data.subset(np.argsort(data.row_lengths["x"])[:10] if "x" in data.row_lengths else spread)


class _Corners(BaseSampler):
    """Goes to the corners of a space: each choice in turn, and of numbers the lowest and the highest."""

    def infer_relative_search_space(self, *_: object) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, *_: object) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, space: Any) -> Any:
        if isinstance(space, CategoricalDistribution):
            return space.choices[trial.number % len(space.choices)]
        return (space.low, space.high)[trial.number % 2]


def _stages(spec: StudySpec, trial: Any) -> list[Any]:
    found: Any = spec.fit(trial) if spec.fit else {}
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("file", FILES)
def test_every_corner_of_the_space_builds_and_trains(file: str, request: pytest.FixtureRequest) -> None:
    spec = load_study_file(STUDIES / file)
    assert spec.build is not None
    data = _data(spec, request)
    batch = Batches(data, len(data), one_hot=spec.one_hot)[0]
    study = optuna.create_study(sampler=_Corners())
    number, n_corners = 0, 2
    while number < n_corners:
        trial = study.ask()
        model = spec.build(trial, data)
        model.run_eagerly = number > 0  # a graph takes a second to make: one for each file
        if data.n_classes is not None:
            assert model.output_shape == (None, data.n_classes)
        for stage in _stages(spec, trial):
            assert isinstance(stage["batch_size"], int)
            stage.get("before", lambda model: None)(model)
            assert np.isfinite(keras.tree.flatten(model.train_on_batch(*batch))).all()
        scores = {f"val_{name}": value for name, value in model.evaluate(*batch, verbose=0, return_dict=True).items()}
        if spec.score:
            scores |= spec.score(model, data)
        assert np.isfinite(scores[str(spec.monitor)])
        spaces = trial.distributions.values()
        n_corners = max([n_corners, *(len(one.choices) for one in spaces if isinstance(one, CategoricalDistribution))])
        number += 1
    keras.utils.clear_session()


@pytest.mark.parametrize("file", FILES)
def test_a_baseline_is_all_that_its_study_asks_for(file: str, request: pytest.FixtureRequest) -> None:
    spec = load_study_file(STUDIES / file)
    if spec.baseline is None:
        pytest.skip("it declares none")
    trial = FixedTrial(dict(spec.baseline))
    assert spec.build is not None
    spec.build(trial, _data(spec, request))
    _stages(spec, trial)
    assert trial.params == spec.baseline
