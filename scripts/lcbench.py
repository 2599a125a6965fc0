"""LCBench's learning curves, from YAHPO Gym's surrogate: small networks on 34 OpenML tasks, 7 hyperparameters.

The surrogate is a network itself (ONNX), trained on what real trainings measured; it answers for any configuration
and epoch. Its epoch 1 is untrained and its epoch 52 odd: epochs 1 to 50 here are its 2 to 51.

References: Zimmer, Lindauer, Hutter, "Auto-PyTorch Tabular" (2021), for LCBench; Pfisterer et al., "YAHPO Gym" (2022),
for the surrogate, from github.com/slds-lmu/yahpo_data (Apache-2.0).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autotune.errors import DataError, UsageError
from autotune.seeds import derive_seed
from autotune.study import EpochPolicy

EPOCHS = 50
N_REFERENCE = 10_000
Space = Mapping[str, FloatDistribution | IntDistribution | CategoricalDistribution]
Config = Mapping[str, Any]
_HYPERPARAMETERS = (
    *("batch_size", "learning_rate", "momentum", "weight_decay"),
    *("num_layers", "max_units", "max_dropout"),
)  # in the order that the surrogate takes them in, after the epoch
_TIME, _VAL_ACCURACY = 0, 1  # columns of its answer


@dataclass(frozen=True)
class Curves:
    """What trainings of n configurations on one task measure.

    Attributes:
        accuracy: Validation accuracy in percent, (n, epochs).
        time_s: Seconds from the start of the training to the end of the epoch, (n, epochs), as roughly as predicted.
    """

    accuracy: np.ndarray
    time_s: np.ndarray


class Surrogate(Protocol):
    """What answers for trainings.

    Attributes:
        space: The search space, the same for all tasks.
        tasks: The names of the tasks.
        epoch_policy: Which epoch is the value of a training.
    """

    space: Space
    tasks: Sequence[str]
    epoch_policy: EpochPolicy

    def curves(self, task: str, configs: Sequence[Config], epochs: Sequence[int]) -> Curves:
        """Answer for each configuration and epoch (1 to 50); NaN from where a training diverges."""

    def draw(self, n: int, chance: np.random.Generator) -> list[Config]:
        """Draw n configurations uniformly; where the space is logarithmic, uniformly in the logarithm."""


class LCBench:
    """YAHPO Gym's surrogate of LCBench.

    Args:
        data_dir: The folder that has `lcbench/` with model.onnx, encoding.json and config_space.json.

    Raises:
        DataError: If the files are not there.
        UsageError: If onnxruntime is not installed.
    """

    epoch_policy: EpochPolicy = "last"

    def __init__(self, data_dir: Path) -> None:
        folder = data_dir / "lcbench"
        try:
            declared = json.loads((folder / "config_space.json").read_text("utf-8"))["hyperparameters"]
            self._task_codes = json.loads((folder / "encoding.json").read_text("utf-8"))["OpenML_task_id"]
        except FileNotFoundError as error:
            raise DataError(
                f"LCBench's surrogate is not in {folder}: {error.filename} is missing.",
                "There should be model.onnx, encoding.json and config_space.json.",
                "Take `lcbench` from github.com/slds-lmu/yahpo_data, and name the folder that has it with --data-dir.",
            ) from error
        ranges = {one["name"]: one for one in declared}
        self.tasks: Sequence[str] = tuple(ranges["OpenML_task_id"]["choices"])
        self.space: Space = {name: _distribution(ranges[name]) for name in _HYPERPARAMETERS}
        self._model = _session(folder / "model.onnx")

    def curves(self, task: str, configs: Sequence[Config], epochs: Sequence[int]) -> Curves:
        values = np.array([[config[name] for name in _HYPERPARAMETERS] for config in configs], np.float32)
        at = np.tile(np.asarray(epochs, np.float32) + 1, len(configs))
        inputs = np.column_stack([at, values.repeat(len(epochs), axis=0)])
        codes = np.full((len(inputs), 1), self._task_codes[task], np.int32)
        (answers,) = self._model.run(None, {"x_cat": codes, "x_cont": inputs})
        shape = (len(configs), len(epochs))
        return Curves(
            answers[:, _VAL_ACCURACY].astype(float).reshape(shape), answers[:, _TIME].astype(float).reshape(shape)
        )

    def draw(self, n: int, chance: np.random.Generator) -> list[Config]:
        return draw(self.space, n, chance)


@dataclass(frozen=True)
class Training:
    """The training of one configuration.

    Attributes:
        accuracy: Validation accuracy in percent after epochs 1 to 50, (50,).
        epoch_s: Seconds that an epoch takes.
    """

    accuracy: np.ndarray
    epoch_s: float


class Task:
    """One task of a surrogate: each configuration's training, and how good an accuracy is among those of others.

    Args:
        surrogate: What answers for trainings.
        name: One of its tasks.
    """

    def __init__(self, surrogate: Surrogate, name: str) -> None:
        self.name = name
        self.space = surrogate.space
        self.epoch_policy = surrogate.epoch_policy
        self._surrogate = surrogate
        self._trainings: dict[tuple[float | str, ...], Training] = {}

    def training(self, config: Config) -> Training:
        """Return the training of a configuration, as it is without noise.

        The surrogate predicts the time so far for each epoch by itself, so that it may even fall. An epoch is said to
        take the median, over the epochs, of the time so far divided by their number.
        """
        key = self._key(config)
        if key not in self._trainings:
            epochs = range(1, EPOCHS + 1)
            curves = self._surrogate.curves(self.name, [config], epochs)
            epoch_s = max(float(np.median(curves.time_s[0] / np.array(epochs))), 1e-3)
            self._trainings[key] = Training(curves.accuracy[0], epoch_s)
        return self._trainings[key]

    def noise(self, config: Config, points: float, seed: int) -> np.ndarray:
        """Return what chance adds to the curve, (50,), in points: the same for each (task, configuration, seed)."""
        chance = derive_seed(seed, "noise", self.name, repr(self._key(config)))
        return np.random.default_rng(chance).normal(0.0, points, EPOCHS)

    def draw(self, n: int, chance: np.random.Generator) -> list[Config]:
        """Draw n configurations at random."""
        return self._surrogate.draw(n, chance)

    def final(self, config: Config) -> float:
        """Return the accuracy that a whole training of a configuration is worth, without noise; NaN if it diverges."""
        return float(self._worth(self.training(config).accuracy[None])[0])

    def finals(self, configs: Sequence[Config]) -> np.ndarray:
        """Return the accuracies that whole trainings of n configurations are worth, without noise, (n,)."""
        epochs = [EPOCHS] if self.epoch_policy == "last" else range(1, EPOCHS + 1)
        return self._worth(self._surrogate.curves(self.name, configs, epochs).accuracy)

    def regret(self, accuracy: float) -> float:
        """Return 0 for the best final accuracy of 10,000 random configurations, and 1 for their median.

        A training that diverges counts as the worst of those that do not.
        """
        best, median, worst = self._reference
        return (best - (worst if math.isnan(accuracy) else accuracy)) / (best - median)

    def _worth(self, accuracy: np.ndarray) -> np.ndarray:
        return np.asarray(accuracy[:, -1] if self.epoch_policy == "last" else accuracy.max(axis=1))

    @cached_property
    def _reference(self) -> tuple[float, float, float]:
        chance = np.random.default_rng(derive_seed("reference", self.name))
        finals = self.finals(self.draw(N_REFERENCE, chance))
        return float(np.nanmax(finals)), float(np.nanmedian(finals)), float(np.nanmin(finals))

    def _key(self, config: Config) -> tuple[float | str, ...]:
        values = (config[name] for name in self.space)
        return tuple(one if isinstance(one, str) else float(one) for one in values)


def draw(space: Space, n: int, chance: np.random.Generator) -> list[Config]:
    """Draw n configurations of numbers uniformly; where the space is logarithmic, uniformly in the logarithm."""
    columns = {}
    for name, one in space.items():
        assert isinstance(one, FloatDistribution | IntDistribution)
        is_whole = isinstance(one, IntDistribution)
        low, high = (one.low - 0.5, one.high + 0.5) if is_whole else (one.low, one.high)
        values = np.exp(chance.uniform(np.log(low), np.log(high), n)) if one.log else chance.uniform(low, high, n)
        columns[name] = (values.round() if is_whole else values).clip(one.low, one.high)
    return [dict(zip(columns, row, strict=True)) for row in np.column_stack([*columns.values()]).tolist()]


def _distribution(declared: Mapping[str, Any]) -> FloatDistribution | IntDistribution:
    kind = {"uniform_float": FloatDistribution, "uniform_int": IntDistribution}[declared["type"]]
    return kind(declared["lower"], declared["upper"], log=declared["log"])


def _session(file: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            "The package onnxruntime is not installed.",
            "LCBench's surrogate is an ONNX model.",
            "Install the extra: pip install '.[benchmarks]'.",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a query is small; benchmarks run beside each other
    return onnxruntime.InferenceSession(str(file), options)
