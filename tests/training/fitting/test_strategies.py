"""A model that was built under a strategy of TensorFlow's trains Keras's own way, or says why it cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]

# Two devices are made before anything else of TensorFlow is: in a process of its own.
TWO_DEVICES = """
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)

import keras
from autotune.data import load_development
from autotune.errors import TrainingError
from autotune.training.fitting.device import configure_tensorflow
from autotune.training.checkpoints.folder import TrialFolder
from conftest import Bench, Interrupted
from autotune.study import StudySpec

configure_tensorflow(1)
data = load_development("digits").subset(np.arange(205))  # 41 rows to validate on

def study(batch_size=32, synchronized=True, inside=True):
    def build(trial, data):
        layers = [keras.Input(data.input_shape), keras.layers.Flatten(), keras.layers.Dropout(0.2)]
        strategy = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])
        outside = keras.optimizers.Adam()
        with strategy.scope():
            layers += [keras.layers.BatchNormalization(synchronized=synchronized)]
            model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
            optimizer = keras.optimizers.Adam() if inside else outside
            model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return StudySpec(name="two", direction="minimize", build=build, dataset="digits", monitor="val_loss", epochs=2,
        fit=lambda trial: {"batch_size": batch_size})

here = Path(sys.argv[1])
whole, torn, wrong = (Bench(TrialFolder(here / name), data) for name in ("whole", "torn", "wrong"))
score = whole.train(study())
with pytest.raises(Interrupted):
    torn.train(study(), interrupt_after=1)
assert torn.train(study()).folds[0].history == score.folds[0].history
for mistake, words in (({"batch_size": 33}, "shared by 2 devices"), ({"synchronized": False}, "each device"),
        ({"inside": False}, "not made under the strategy")):
    with pytest.raises(TrainingError, match=words):
        wrong.train(study(**mistake))
"""


def test_a_model_of_a_strategy_trains_with_the_numbers_of_one_without(
    new_bench: Callable[[], Bench], study_of: StudyOf
) -> None:
    import keras
    import tensorflow as tf

    def build(strategy: Any) -> Callable[[optuna.Trial, Dataset], Any]:
        def building(trial: optuna.Trial, data: Dataset) -> Any:
            with strategy.scope():
                layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
                model = keras.Sequential([keras.Input(data.input_shape), *layers])
                model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model

        return building

    one, plain = new_bench(), new_bench()
    mirrored = one.train(study_of(build=build(tf.distribute.MirroredStrategy(["cpu:0"])), epochs=2))
    expected = plain.train(study_of(build=build(tf.distribute.get_strategy()), epochs=2))
    for name, values in expected.folds[0].history.items():
        assert mirrored.folds[0].history[name] == pytest.approx(values, rel=1e-5)
    assert one.model().count_params() == 650


def test_devices_share_batches_and_what_cannot_be_kept_of_them_is_refused(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n{TWO_DEVICES}"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_devices_hold_apart_is_refused_by_its_name() -> None:
    from types import SimpleNamespace

    import numpy as np

    from autotune.training.fitting.epoch_keeper import value_of

    values = [SimpleNamespace(numpy=lambda value=value: np.array(value)) for value in (1.0, 2.0)]
    variable = SimpleNamespace(path="norm/mean", numpy=values[0].numpy, value=SimpleNamespace(values=values))
    with pytest.raises(TrainingError, match="norm/mean has another value on each device"):
        value_of(variable)
    values[1] = values[0]
    assert value_of(variable) == 1.0
