"""A network that could not be kept while it trains, or not be loaded again, is refused before anything is trained."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.errors import TrainingError
from autotune.running.study.source import objects_of
from autotune.study import StudySpec
from autotune.training.fitting.batches import Batches
from autotune.training.state.unkept import marks_of, unkept_parts
from autotune.training.trials.own_steps import check_steps
from autotune.training.trials.rehearsal import rehearse

pytestmark = pytest.mark.trains
layers = keras.layers
Refused = Callable[..., str]


class Plain(layers.Layer):  # type: ignore[misc]  # reason: Keras ships no types
    """Cannot be made of its config: that has no `factor`."""

    def __init__(self, factor: Any) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor(x)


class Forgetful(layers.Layer):  # type: ignore[misc]  # reason: Keras ships no types
    """Is made of its config without a word, but as another one."""

    def __init__(self, factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())


class Whole(Forgetful):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


class Calling(Whole):
    """Calls a function."""

    def call(self, x: Any) -> Any:
        return self.factor(x)


class Dreaming(Whole):
    """Predicts something else every time."""

    def call(self, x: Any) -> Any:
        return x + keras.random.normal(keras.ops.shape(x))


class Counting(Whole):
    """Counts with a number of Python's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        return x


class CountingLikeAMetric(Whole):
    """Counts in an attribute that a class of Keras has, too: `keras.metrics.Mean.count`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.count = 0

    def call(self, x: Any) -> Any:
        self.count += 1
        return x


class Lazy(Whole):
    """Finds out about its rows when it first sees them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.width = 0

    def call(self, x: Any) -> Any:
        self.width = int(x.shape[-1])
        return x


class Table(Whole):
    def __init__(self, **options: Any) -> None:
        import tensorflow as tf

        super().__init__(**options)
        self.parts = {"table": tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)}


class Unordered(Whole):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.optimizers = {keras.optimizers.SGD()}


def twice(x: Any) -> Any:
    return 2 * x


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def network(*between: Any, loss: Any = own_loss) -> Any:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), *between, layers.Dense(10)])
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@pytest.fixture
def refused(study_of: Callable[..., StudySpec], digits: Dataset, tmp_path: Path) -> Refused:
    """Give a function that says why a study is refused, or what it is told; an empty text for nothing."""

    def why(build: Callable[[], Any], **changes: Any) -> str:
        spec = study_of(build=lambda trial, data: build(), **changes)
        try:
            return rehearse(spec, optuna.trial.FixedTrial({}), digits, tmp_path, objects_of(spec))
        except TrainingError as error:
            return str(error)
        finally:
            assert not list(tmp_path.iterdir())

    return why


@pytest.mark.parametrize(
    "build",
    [
        lambda: network(Whole(3.0)),
        lambda: network(layers.Lambda(twice)),
        lambda: network(Dreaming()),
        lambda: network(Lazy()),
        lambda: network(loss="this is no loss"),  # that is left to trials
        lambda: network(keras.layers.Dense("many")),
    ],
    ids=["get_config", "Lambda of a function", "random", "lazy", "broken loss", "broken layer"],
)
def test_what_can_be_kept_and_loaded_is_not_refused(build: Callable[[], Any], refused: Refused) -> None:
    assert refused(build) == ""


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda: network(Plain(twice)),
            ["by passing non-serializable argument values", "see the layer 'plain' (Plain)"],
        ),
        (lambda: network(Forgetful(3.0)), ["predicts something else", "see the layer 'forgetful' (Forgetful)"]),
        (lambda: network(layers.Lambda(lambda x: 2 * x)), ["see the layer 'lambda' (Lambda)"]),
        (lambda: network(loss=lambda y, p: own_loss(y, p)), ["cannot be saved and loaded"]),
        (lambda: network(keras.Sequential([Plain(twice)])), ["see the layer 'plain' (Plain)"]),
    ],
    ids=["no get_config", "forgotten argument", "lambda layer", "lambda loss", "nested"],
)
def test_a_network_that_cannot_be_loaded_again_is_refused(
    build: Callable[[], Any], words: list[str], refused: Refused
) -> None:
    said = refused(build, keep_models=0)  # it is loaded when the study is finalized
    assert all(word in said for word in [*words, "get_config", "register_keras_serializable"]), said


def test_rows_without_targets_are_refused_for_a_network_with_a_loss_of_keras(
    study_of: Callable[..., StudySpec], digits: Dataset, tmp_path: Path
) -> None:
    def build(trial: optuna.Trial, data: Dataset) -> Any:
        return network(loss="mse")

    with pytest.raises(TrainingError, match=r"no targets(?s:.*)the loss 'mse'(?s:.*)Dataset\(x, x\)"):
        rehearse(study_of(build=build), optuna.trial.FixedTrial({}), Dataset(digits.x), tmp_path, {})


def test_a_network_of_texts_and_numbers_that_predicts_something_else_when_it_is_loaded_is_refused(
    study_of: Callable[..., StudySpec], tmp_path: Path
) -> None:
    def build(trial: optuna.Trial, data: Dataset) -> Any:
        text, table = keras.Input((), dtype="string", name="text"), keras.Input((3,), name="table")
        words = layers.StringLookup(vocabulary=["good", "bad"], output_mode="one_hot")(text)
        joined = layers.Concatenate()([words, Forgetful(3.0)(table)])
        model = keras.Model({"text": text, "table": table}, layers.Dense(2)(joined))
        model.compile("adam", own_loss)
        return model

    x = {"text": np.array(["good", "bad"] * 10), "table": np.ones((20, 3), np.float32)}
    spec = study_of(build=build)
    with pytest.raises(TrainingError, match="predicts something else"):
        rehearse(spec, optuna.trial.FixedTrial({}), Dataset(x, np.arange(20) % 2), tmp_path, objects_of(spec))


def test_missing_words_that_a_vocabulary_takes_for_words_are_named(
    study_of: Callable[..., StudySpec], tmp_path: Path
) -> None:
    def build(trial: optuna.Trial, data: Dataset) -> Any:
        job = keras.Input((1,), dtype="string", name="job")
        mask = trial.suggest_categorical("mask", [None, ""])
        lookup = layers.StringLookup(output_mode="one_hot", name="jobs", mask_token=mask)
        lookup.adapt(data.x["job"])
        model = keras.Model({"job": job}, layers.Dense(2)(lookup(job)))
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    rows = Dataset({"job": np.array(["nurse", "nurse", "clerk", "clerk", ""] * 4)}, np.arange(20) % 2)
    spec = study_of(build=build)
    with pytest.raises(
        TrainingError, match=r"the layer 'jobs' has the empty word.*\n.*\n.*StringLookup\(..., mask_token"
    ):
        rehearse(spec, optuna.trial.FixedTrial({"mask": None}), rows, tmp_path, {})
    assert rehearse(spec, optuna.trial.FixedTrial({"mask": ""}), rows, tmp_path, {}) == ""


def test_what_is_defined_in_build_is_refused(refused: Refused) -> None:
    def build() -> Any:
        def inner_loss(y_true: Any, y_pred: Any) -> Any:
            return own_loss(y_true, y_pred)

        return network(loss=inner_loss)

    assert "inner_loss" in refused(build)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: network(Counting()), "Counting 'counting'.calls"),
        (lambda: network(CountingLikeAMetric()), "CountingLikeAMetric 'counting_like_a_metric'.count"),
        (lambda: network(Table()), "Table 'table'.parts['table']"),
        (lambda: network(Unordered()), "Unordered 'unordered'.optimizers"),
    ],
)
def test_what_a_network_would_lose_with_a_process_is_refused_by_name(
    build: Callable[[], Any], name: str, refused: Refused
) -> None:
    said = refused(build)
    assert name in said
    assert "no checkpoint can hold it" in said
    assert "keras.Variable" in said


class Borrowing(keras.Model):
    """Trains with an optimizer that is not its own."""

    lent: Any = None  # an optimizer
    scale: Any = None  # a variable that is only read

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(10, activation="softmax")

    def call(self, x: Any) -> Any:
        return self.dense(keras.ops.reshape(x, (-1, 64)) * type(self).scale)

    def train_step(self, data: Any) -> Any:
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        weights = self.trainable_variables
        optimizer = type(self).lent or self.optimizer
        optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


@pytest.mark.parametrize("is_lent", [True, False])
def test_variables_that_a_step_changes_and_the_model_does_not_hold_are_refused_by_name(
    is_lent: bool, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Borrowing, "lent", keras.optimizers.Adam(0.01) if is_lent else None)
    monkeypatch.setattr(Borrowing, "scale", keras.Variable(2.0))
    model = Borrowing()
    model.compile("sgd", "sparse_categorical_crossentropy")
    batches = Batches(digits.subset(np.arange(8)), 8)
    if not is_lent:
        check_steps(model, batches)
        return
    with pytest.raises(TrainingError, match=r"nowhere in the model: .*adam") as caught:
        check_steps(model, batches)
    assert "attribute of the model" in caught.value.fix


class Late(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
    """A model whose last layer is built only in a call with numbers, and not when Keras loads it."""

    def __init__(self, n_first: int) -> None:
        super().__init__()
        self.first, self.last, self.n_first = [layers.Dense(10) for _ in range(n_first)], layers.Dense(10), n_first

    def call(self, x: Any) -> Any:
        x = layers.Flatten()(x)
        for layer in self.first:
            x = layer(x)
        return self.last(x) * float(keras.ops.max(x))

    def get_config(self) -> dict[str, Any]:
        return {"n_first": self.n_first}


@pytest.mark.parametrize("n_first", [0, 1])
def test_weights_that_a_loaded_model_does_not_have_are_named(n_first: int, refused: Refused) -> None:
    def late() -> Any:
        model = Late(n_first)
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    assert "weights when it is saved and loaded again" in refused(late)


@pytest.mark.parametrize(("name", "is_refused"), [("kind", False), ("sort", True)])
def test_targets_that_no_output_is_called_like_are_refused(
    name: str, is_refused: bool, study_of: Callable[..., StudySpec], digits: Dataset, tmp_path: Path
) -> None:
    def build(trial: Any, data: Dataset) -> Any:
        given = keras.Input(data.input_shape)
        model = keras.Model(given, layers.Dense(10, name=name)(layers.Flatten()(given)))
        model.compile("adam", "mse")
        return model

    rows = Dataset(digits.x[:20], {"kind": digits.y[:20]})
    happened = "the targets are called kind, and the outputs of the network sort"
    with pytest.raises(TrainingError, match=happened) if is_refused else contextlib.nullcontext():
        rehearse(study_of(build=build), optuna.trial.FixedTrial({}), rows, tmp_path, {})


def few_outputs(loss: Any) -> Any:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(7)])
    model.compile("adam", loss)
    return model


def test_labels_without_an_output_are_refused(refused: Refused) -> None:
    for loss in ("sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy(from_logits=True)):
        assert "labels run up to 9, and the network has 7 outputs" in refused(lambda loss=loss: few_outputs(loss))
    assert refused(lambda: few_outputs(keras.losses.SparseCategoricalCrossentropy(ignore_class=9))) == ""
    assert refused(lambda: few_outputs("mse")) == ""


def add_a_layer(model: Any) -> None:
    model.add(layers.Dense(10))
    model.compile("adam", "mse")


def unfreeze_only(model: Any) -> None:
    model.layers[-1].trainable = False


def load_what_is_saved_in_training(model: Any) -> None:
    model.load_weights("best.weights.h5")


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (add_a_layer, "changed the number or the shapes of the weights"),
        (unfreeze_only, "has not compiled the model again"),
        (load_what_is_saved_in_training, ""),
    ],
)
def test_stages_are_prepared_before_the_first_trial(before: Any, words: str, refused: Refused) -> None:
    stages = [{"epochs": 1}, {"epochs": 1, "before": before}]
    said = refused(lambda: network(loss="sparse_categorical_crossentropy"), fit=lambda trial: stages)
    assert words in said if words else not said


@pytest.mark.parametrize("fit", [{"batchsize": 8}, [{"epochs": 1, "batch_size": 8}, {"epochs": 1, "batchsize": 8}]])
def test_an_argument_that_fit_does_not_have_is_refused(fit: Any, refused: Refused) -> None:
    said = refused(lambda: network(loss="sparse_categorical_crossentropy"), fit=lambda trial: fit)
    assert "'batchsize', which is no argument" in said
    assert "'batch_size'?" in said


def test_a_latency_that_cannot_be_measured_is_told_before_anything_is_trained(refused: Refused) -> None:
    """It is that of a model that Keras loads by itself, without the study file."""
    assert "the latency cannot be measured" in refused(lambda: network(Whole(3.0)), minimize=["latency"])


class Subclass(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
    pass


def test_what_keras_changes_in_a_model_of_the_study_file_is_no_loss(digits: Dataset) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64,))
    model = Subclass(inputs, layers.Dense(10)(inputs))
    model.compile("adam", own_loss)
    before = marks_of(model, [])
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=99)
    model.fit(digits.x.reshape(-1, 64), digits.y, epochs=3, verbose=0, callbacks=[stopping])
    assert model.stop_training
    assert marks_of(model, []).changed_since(before) == []


class Remembering(layers.Layer):  # type: ignore[misc]  # reason: Keras ships no types
    """Keeps what it computed last, as layers of attention do, to be looked at after a prediction."""

    def call(self, x: Any) -> Any:
        self.last, self.scores = x + 1, {"all": [x * 2]}
        return self.last


def by_tensorflow(x: Any) -> Any:
    import tensorflow as tf

    return x + tf.random.normal(tf.shape(x))


def in_a_loop(x: Any) -> Any:
    import tensorflow as tf

    return tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y + tf.random.uniform(tf.shape(y))), [0, x])[1]


def dropped(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.dropout(x, 0.5)


def by_numpy(x: Any) -> Any:
    return x * np.random.normal()


def by_keras(x: Any) -> Any:
    return x + keras.random.normal(keras.ops.shape(x))


def noisy_loss(y_true: Any, y_pred: Any) -> Any:
    return own_loss(y_true, by_tensorflow(y_pred))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: network(layers.Lambda(by_tensorflow)), r"hidden generator: RandomStandardNormal \(test_rehearsal.py:"),
        (lambda: network(Calling(by_tensorflow)), "RandomStandardNormal"),
        (lambda: network(loss=noisy_loss), "RandomStandardNormal"),
        (lambda: network(layers.Lambda(in_a_loop)), "hidden generator: RandomUniform"),
        (lambda: network(layers.Lambda(dropped)), "hidden generator: RandomUniform"),
        (lambda: network(layers.Lambda(by_numpy)), "draws random numbers from Python or NumPy"),
        (lambda: network(layers.Lambda(by_keras)), "^$"),
    ],
)
def test_random_numbers_that_no_checkpoint_can_hold_are_refused(
    build: Callable[[], Any], said: str, refused: Refused
) -> None:
    assert re.search(said, refused(build))


class Unpacking(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
    """Takes the rows of `fit(x)` as Keras gives them for an array."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def train_step(self, rows: Any) -> Any:
        return {"loss": keras.ops.mean(self.dense(keras.ops.reshape(rows, (rows.shape[0], -1))))}


def test_a_step_that_takes_rows_without_targets_for_a_tensor_is_told_what_it_gets(
    digits: Dataset, study_of: Callable[..., StudySpec], tmp_path: Path
) -> None:
    def build(trial: Any, data: Dataset) -> Any:
        model = Unpacking()
        model.compile()
        return model

    rows = Dataset(digits.x, name="digits without labels")
    with pytest.raises(TrainingError, match=r"train_step of Unpacking stopped with .*; with x in place of \(x,\) it"):
        rehearse(study_of(build=build, monitor="loss"), optuna.trial.FixedTrial({}), rows, tmp_path, {})


def test_tensors_that_a_layer_remembers_are_no_loss(refused: Refused) -> None:
    assert not refused(lambda: network(Remembering()))


def test_the_vocabulary_of_a_text_layer_is_no_loss() -> None:
    words = keras.Sequential([keras.Input((), dtype="string"), layers.StringLookup(vocabulary=["a", "b"])])
    words.compile("adam", "mse")
    assert unkept_parts(words, []) == []


class Iterating(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    def __init__(self) -> None:
        super().__init__()
        self.rates = [iter([0.1, 0.2])]


class Marking(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    def __init__(self) -> None:
        super().__init__()
        self.values = np.ma.masked_array([1, 2], mask=[0, 1])
        self.constant = np.ma.masked_array([1, 2], mask=[0, 1])

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.values = self.values + 1


@pytest.mark.parametrize(("callback", "name"), [(Iterating, "Iterating.rates[0]"), (Marking, "Marking.values")])
def test_what_a_callback_would_lose_is_refused_by_name(callback: Any, name: str, refused: Refused) -> None:
    said = refused(network, fit=lambda trial: {"callbacks": callback()})
    assert said.startswith(f"TrainingError: {name} would change")
