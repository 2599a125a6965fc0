"""What the tests of training share: a configured TensorFlow, a few digits, and a trial that can be watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from autotune.data.rows import Dataset
from autotune.data.sources import load_development
from autotune.data.splits import Fold, Holdout, KFold, Split, split
from autotune.study import StudySpec
from autotune.training.checkpoints.folder import TrialFolder


class Interrupted(BaseException):
    """Stands for whatever ends a process."""


@dataclass
class Watched:
    """An Optuna trial as a trial process sees it through its pipe.

    Like the parent, it takes a report of a known step for what a trial that goes on repeats.

    Attributes:
        reports: What this process reported, by step.
        interrupt_after: The step whose report ends the process; None for none.
        prune_after: The step after which the pruner says so; None for none.
        is_lost: Whether the parent is killed before it has written down what it is told.
    """

    trial: optuna.Trial
    interrupt_after: int | None = None
    prune_after: int | None = None
    is_lost: bool = False
    reports: dict[int, float] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trial, name)

    def report(self, value: float, step: int) -> None:
        assert step not in self.reports, f"step {step} is reported twice"
        self.reports[step] = value
        if not self.is_lost and step not in self.trial.study.trials[self.trial.number].intermediate_values:
            self.trial.report(value, step)
        if step == self.interrupt_after:
            raise Interrupted

    def set_user_attr(self, key: str, value: Any) -> None:
        if not self.is_lost:
            self.trial.set_user_attr(key, value)

    def should_prune(self) -> bool:
        return self.prune_after is not None and self.prune_after in self.reports


@dataclass
class Bench:
    """A study with one trial, which can be trained, interrupted and trained again."""

    folder: TrialFolder
    data: Dataset
    study: optuna.Study = field(default_factory=optuna.create_study)
    last: Watched | None = None
    told: list[str] = field(default_factory=list)

    def folds(self, spec: StudySpec) -> tuple[Fold, ...]:
        return split(spec.folds, self.data, spec.seed)

    def validation(self, spec: StudySpec) -> Dataset:
        return self.data.subset(self.folds(spec)[0].validation)

    def train(
        self,
        spec: StudySpec,
        is_among_best: Callable[[float], bool] = lambda value: True,
        timer: Any = None,
        refit: Any = None,
        **watched: Any,
    ) -> Any:
        """Train the trial in this process, from its checkpoint if it has one; return its score."""
        from autotune.training.trials.trial import train_trial

        if self.last is not None:
            self.study._storage.set_trial_state_values(self.last.trial._trial_id, TrialState.WAITING)
        trial: Any = Watched(self.study.ask(), **watched)
        self.last = trial
        everything = (Fold(np.arange(len(self.data)), np.arange(0)),)
        rows = Split(self.data, everything if refit else self.folds(spec), "split")
        place = ("trial", trial.number)
        return train_trial(
            spec,
            trial,
            rows,
            self.folder,
            self.told.append,
            place=place,
            refit=refit,
            is_among_best=is_among_best,
            timer=timer,
        )

    def checkpoint(self, spec: StudySpec) -> Any:
        from autotune.training.checkpoints.copies import CheckpointCopies
        from autotune.training.trials.fold import trial_identity

        assert self.last is not None
        identity = trial_identity(spec, self.last.trial, ("trial", self.last.trial.number), "split")
        return CheckpointCopies(self.folder, print).load(identity, has_reported=False)

    def model(self) -> Any:
        import keras

        return keras.models.load_model(self.folder.model)


@pytest.fixture(scope="session")
def _one_thread() -> None:
    import tensorflow as tf

    from autotune.training.fitting.device import configure_tensorflow

    try:
        configure_tensorflow(1)
    except RuntimeError:  # another test has used TensorFlow: its threads stay as they are
        tf.config.experimental.enable_op_determinism()


@pytest.fixture(autouse=True)
def _tensorflow_is_configured(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("trains"):
        request.getfixturevalue("_one_thread")


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """Give 200 digits, 8x8x1."""
    return load_development("digits").subset(np.arange(200))


@pytest.fixture
def bench(tmp_path: Path, digits: Dataset) -> Bench:
    return Bench(TrialFolder(tmp_path / "trial"), digits)


@pytest.fixture(scope="session")
def new_bench(tmp_path_factory: pytest.TempPathFactory, digits: Dataset, _one_thread: None) -> Callable[[], Bench]:
    return lambda: Bench(TrialFolder(tmp_path_factory.mktemp("trial")), digits)


@pytest.fixture
def interrupted() -> type[BaseException]:
    return Interrupted


@pytest.fixture(scope="session")
def study_of() -> Callable[..., StudySpec]:
    """Give a maker of studies: a small network on the digits, three epochs, unless told otherwise."""

    def build(trial: optuna.Trial, data: Dataset) -> Any:
        import keras

        rate = trial.suggest_float("rate", 0.01, 0.02)
        model = keras.Sequential(
            [
                keras.Input(data.input_shape),
                keras.layers.Flatten(),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def make(**changes: Any) -> StudySpec:
        given: dict[str, Any] = {
            "name": "digits",
            "direction": "maximize",
            "build": build,
            "dataset": "digits",
            "monitor": "val_accuracy",
            "folds": Holdout(0.2),
            "epochs": 3,
            "seed": 4,
        }
        folds = {"folds": KFold(changes.pop("k"))} if "k" in changes else {}
        return StudySpec(**{**given, **folds, **changes})

    return make
