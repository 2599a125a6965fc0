"""What is searched: the network, rows and space of a study file of this repository, in words that any tuner knows.

The networks are built by the study files themselves, from plain values (peers/training.py). Here are their spaces once
more, as a list: KerasTuner wants to know which hyperparameter depends on which. A test holds that both are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.data.sources import load_development
from autotune.data.splits import Holdout, split

STUDIES = Path(__file__).resolve().parents[2] / "studies"
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Hyperparameter:
    """One dimension of a space.

    Attributes:
        name: Its name.
        distribution: What there is to choose from.
        parent: The categorical hyperparameter that it depends on; None if it is always there.
        parent_values: The values of that one with which it is there.
    """

    name: str
    distribution: BaseDistribution
    parent: str | None = None
    parent_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """What is trained and validated on.

    Attributes:
        x: Images to train on, shape (n, h, w, c), float32.
        y: Their labels, shape (n,) integers, or (n, 10) float32 where the study wants them one-hot.
        validation_x: Images to validate on.
        validation_y: Their labels.
    """

    x: np.ndarray
    y: np.ndarray
    validation_x: np.ndarray
    validation_y: np.ndarray


@dataclass(frozen=True)
class Problem:
    """A study, as far as one has to know it without loading Keras.

    Attributes:
        dataset: The dataset's name.
        study_file: The study file's name.
        epochs: Most epochs of a trial.
        one_hot: Whether labels are given one-hot.
        space: The hyperparameters, each after the one that it depends on.
        thresholds: Validation accuracies to be reached, in [0, 1].
        budget_s: Seconds for each search unless somebody says otherwise.
        holdout: The share of the development rows that is validated on.
        start_epochs: How many epochs it takes as long as to begin a trial: its process, its network, the tracing.
        epochs_per_pass: How often `CurveSampler` has a trial report while it goes once through the rows.
    """

    dataset: str
    study_file: str
    epochs: int
    one_hot: bool
    space: tuple[Hyperparameter, ...]
    thresholds: tuple[float, ...]
    budget_s: float
    holdout: float
    start_epochs: float
    epochs_per_pass: int

    def rows(self, data_dir: Path | None, seed: int) -> Rows:
        """Read the development rows and divide them as a study with that holdout and that seed does.

        Raises:
            DataError: If the data are not there.
        """
        data = load_development(self.dataset, data_dir)
        (fold,) = split(Holdout(self.holdout), data, seed)
        (x, y), (validation_x, validation_y) = data.take(fold.train), data.take(fold.validation)
        if self.one_hot:
            codes = np.eye(data.n_classes or 0, dtype=np.float32)
            y, validation_y = codes[y], codes[validation_y]
        return Rows(x, y, validation_x, validation_y)

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Have Optuna suggest a configuration: the value of each hyperparameter that is there."""
        values: dict[str, Any] = {}
        for one in self.space:
            if one.parent is None or values.get(one.parent) in one.parent_values:
                values[one.name] = _suggest(trial, one)
        return values


def _suggest(trial: optuna.Trial, one: Hyperparameter) -> Any:
    kind = one.distribution
    if isinstance(kind, CategoricalDistribution):
        return trial.suggest_categorical(one.name, kind.choices)
    if isinstance(kind, IntDistribution):
        return trial.suggest_int(one.name, kind.low, kind.high, step=kind.step)
    assert isinstance(kind, FloatDistribution)
    return trial.suggest_float(one.name, kind.low, kind.high, log=kind.log)


def _one_of(name: str, *choices: Any) -> Hyperparameter:
    return Hyperparameter(name, CategoricalDistribution(choices))


def _whole(name: str, low: int, high: int, step: int = 1) -> Hyperparameter:
    return Hyperparameter(name, IntDistribution(low, high, step=step))


def _float(name: str, low: float, high: float) -> Hyperparameter:
    return Hyperparameter(name, FloatDistribution(low, high))


def _log(name: str, low: float, high: float) -> Hyperparameter:
    return Hyperparameter(name, FloatDistribution(low, high, log=True))


def _only(parent: str, values: tuple[str, ...], *those: Hyperparameter) -> tuple[Hyperparameter, ...]:
    return tuple(Hyperparameter(one.name, one.distribution, parent, values) for one in those)


def _optimizer(name: str, *those: Hyperparameter) -> tuple[Hyperparameter, ...]:
    """Give an optimizer's own hyperparameters its name."""
    return _only("optimizer", (name,), *(Hyperparameter(f"{name}_{one.name}", one.distribution) for one in those))


_RATE = _log("learning_rate", 1e-4, 1e-2)
_BETAS = (_log("one_minus_beta_1", 0.02, 0.5), _log("one_minus_beta_2", 1e-4, 0.1))
_EPSILON = _log("epsilon", 1e-8, 1e-2)

_DIGITS_SPACE = (
    _whole("blocks", 1, 3),
    _one_of("filters", 16, 32, 48),
    _one_of("kernel_size", 3, 5),
    _whole("dense_units", 32, 128, step=32),
    _float("dropout", 0.0, 0.5),
    _log("l2", 1e-6, 1e-2),
    _one_of("optimizer", "adam", "sgd"),
    *_optimizer("adam", _log("learning_rate", 3e-4, 1e-2)),
    *_optimizer("sgd", _log("learning_rate", 1e-2, 3e-1), _float("momentum", 0.0, 0.95)),
    _one_of("batch_size", 32, 64, 128),
)
_MNIST_SPACE = (
    _whole("blocks", 1, 4),
    _one_of("filters", 16, 24, 32),
    _one_of("pooling", "max", "average"),
    _one_of("dense_units", 32, 64, 128, 256),
    _one_of("activation", "relu", "elu", "gelu"),
    _one_of("batch_normalization", False, True),
    _float("dropout", 0.0, 0.6),
    _one_of("penalty", "none", "l1", "l2", "l1_l2"),
    *_only("penalty", ("l1", "l1_l2"), _log("l1", 1e-6, 1e-2)),
    *_only("penalty", ("l2", "l1_l2"), _log("l2", 1e-6, 1e-2)),
    _float("translation", 0.0, 0.12),
    _float("rotation", 0.0, 0.05),
    _float("zoom", 0.0, 0.12),
    _one_of("optimizer", "sgd", "adam", "adamw", "rmsprop", "nadam", "lion"),
    *_optimizer("sgd", _log("learning_rate", 1e-3, 0.5), _log("one_minus_momentum", 0.01, 1.0)),
    *_optimizer("sgd", _one_of("nesterov", False, True)),
    *_optimizer("adam", _RATE, *_BETAS, _EPSILON, _one_of("amsgrad", False, True)),
    *_optimizer("adamw", _RATE, _log("weight_decay", 1e-5, 1e-1), *_BETAS),
    *_optimizer("rmsprop", _RATE, _log("one_minus_rho", 1e-3, 0.5), _float("momentum", 0.0, 0.95)),
    *_optimizer("nadam", _RATE, *_BETAS, _EPSILON),
    *_optimizer("lion", _log("learning_rate", 1e-5, 1e-3), _log("weight_decay", 1e-4, 1.0)),
    *_optimizer("lion", _BETAS[0], _log("one_minus_beta_2", 1e-3, 0.1)),
    _one_of("loss", "cross_entropy", "smoothed_cross_entropy", "mean_squared_error", "focal"),
    *_only("loss", ("smoothed_cross_entropy",), _log("label_smoothing", 0.01, 0.2)),
    *_only("loss", ("focal",), _float("focal_gamma", 0.5, 5.0)),
    _one_of("schedule", "constant", "cosine", "exponential", "on_plateau"),
    *_only("schedule", ("cosine",), _float("cosine_warmup", 0.0, 0.3)),
    *_only("schedule", ("exponential",), _log("exponential_floor", 1e-3, 0.3)),
    *_only("schedule", ("on_plateau",), _float("plateau_factor", 0.1, 0.7), _whole("plateau_patience", 1, 5)),
    _one_of("batch_size", 32, 64, 128, 256),
)
PROBLEMS = {
    "digits": Problem("digits", "digits_cnn.py", 20, False, _DIGITS_SPACE, (0.97, 0.98, 0.99), 120.0, 0.3, 15.0, 1),
    "mnist": Problem("mnist", "mnist_cnn.py", 10, True, _MNIST_SPACE, (0.988, 0.99, 0.992), 3600.0, 0.1, 0.1, 4),
}
