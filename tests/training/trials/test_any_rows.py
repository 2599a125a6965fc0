"""Networks of several inputs and outputs, on rows of any shape, train as by `fit` and go on to the same numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.data.stored import open_stored, store
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]

N = 60
RNG = np.random.default_rng(0)
IMAGES = RNG.random((N, 6, 6, 1)).astype(np.float32)
NUMBERS = RNG.random((N, 3)).astype(np.float32)
LABELS = np.arange(N) % 3
MASKS = (IMAGES > 0.5).astype(np.float32)
TOKENS = [RNG.integers(1, 20, size=2 + number % 7) for number in range(N)]
WORDS = np.array(["good film", "bad film", "good good", "so bad"] * (N // 4))
WEIGHTS = RNG.random(N).astype(np.float32)


def _two_in_two_out(data: Dataset) -> Any:
    import keras

    layers = keras.layers
    inputs = {name: keras.Input(shape, name=name) for name, shape in data.input_shape.items()}
    features = layers.Dropout(0.2)(layers.Dense(8, activation="relu")(layers.Flatten()(inputs["image"])))
    joined = layers.Concatenate()([features, inputs["numbers"]])
    outputs = {
        "label": layers.Dense(3, activation="softmax", name="label")(joined),
        "sum": layers.Dense(1, name="sum")(joined),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "adam",
        loss={"label": "sparse_categorical_crossentropy", "sum": "mse"},
        loss_weights={"label": 1.0, "sum": 0.5},
        metrics={"label": ["accuracy"]},
    )
    return model


def _list_of_inputs(data: Dataset) -> Any:
    import keras

    inputs = [keras.Input(shape) for shape in data.input_shape]
    parts = [keras.layers.Flatten()(one) for one in inputs]
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Concatenate()(parts)))
    model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return model


def _list_of_outputs(data: Dataset) -> Any:
    import keras

    given = keras.Input(data.input_shape)
    hidden = keras.layers.Dense(8, activation="relu")(given)
    outputs = [keras.layers.Dense(3, activation="softmax", name="kind")(hidden), keras.layers.Dense(1)(hidden)]
    model = keras.Model(given, outputs)
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"], metrics=[["accuracy"], ["mae"]])
    return model


def _masks(data: Dataset) -> Any:
    import keras

    given = keras.Input(data.input_shape)
    found = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(given)
    model = keras.Model(given, found)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def _tokens(data: Dataset) -> Any:
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input(data.input_shape, dtype="int64"), layers.Embedding(20, 4, mask_zero=True)])
    model.add(layers.GRU(4))
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _texts(data: Dataset) -> Any:
    import keras

    layers = keras.layers
    words = layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    words.adapt(data.x["text"])
    inputs = {"text": keras.Input((), dtype="string", name="text"), "numbers": keras.Input((3,), name="numbers")}
    features = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(words(inputs["text"])))
    joined = layers.Concatenate()([features, inputs["numbers"]])
    model = keras.Model(inputs, layers.Dense(4, activation="sigmoid")(joined))
    model.compile("adam", "binary_crossentropy", metrics=["binary_accuracy"])
    return model


def _autoencoder(data: Dataset) -> Any:
    import keras

    class Autoencoder(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool = True) -> Any:
            return keras.ops.mean(keras.ops.square(x - y_pred))

    given = keras.Input(data.input_shape)
    hidden = keras.layers.Dense(4, activation="relu")(keras.layers.Dropout(0.1)(given))
    model = Autoencoder(given, keras.layers.Dense(3)(hidden))
    model.compile("adam")
    return model


def _one_hot(data: Dataset) -> Any:
    import keras

    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Dense(data.target_shape[0], "softmax")])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy", keras.metrics.F1Score(average="macro")])
    return model


def _labels_of_numbers(data: Dataset) -> Any:
    import keras

    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _stateful(data: Dataset) -> Any:
    import keras

    given = keras.Input(batch_shape=(2, *data.input_shape))
    model = keras.Model(given, keras.layers.Dense(3, "softmax")(keras.layers.LSTM(4, stateful=True)(given)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


KINDS: dict[str, tuple[Dataset, Callable[[Dataset], Any]]] = {
    "two inputs, two outputs": (
        Dataset({"image": IMAGES, "numbers": NUMBERS}, {"label": LABELS, "sum": NUMBERS.sum(axis=1)}),
        _two_in_two_out,
    ),
    "weights of each output": (
        Dataset(
            {"image": IMAGES, "numbers": NUMBERS},
            {"label": LABELS, "sum": NUMBERS.sum(axis=1)},
            sample_weight={"label": WEIGHTS, "sum": WEIGHTS[::-1]},
        ),
        _two_in_two_out,
    ),
    "a list and weights": (Dataset([IMAGES, NUMBERS], LABELS, sample_weight=WEIGHTS), _list_of_inputs),
    "a list of outputs": (Dataset(NUMBERS, [LABELS, NUMBERS.sum(axis=1)]), _list_of_outputs),
    "a weight for each of a list": (
        Dataset(NUMBERS, [LABELS, NUMBERS.sum(axis=1)], sample_weight=[WEIGHTS, WEIGHTS[::-1]]),
        _list_of_outputs,
    ),
    "masks": (Dataset(IMAGES, MASKS), _masks),
    "rows of different lengths": (Dataset(TOKENS, LABELS), _tokens),
    "texts and several labels": (
        Dataset({"text": WORDS, "numbers": NUMBERS}, (RNG.random((N, 4)) > 0.5).astype(np.int8)),
        _texts,
    ),
    "no targets": (Dataset(NUMBERS), _autoencoder),
    "one-hot": (Dataset(NUMBERS, np.eye(3, dtype=np.float32)[LABELS]), _one_hot),
}


@pytest.fixture
def bench_of(new_bench: Callable[[], Bench], tmp_path: Path) -> Callable[[str], Bench]:
    def bench(kind: str) -> Bench:
        """Return a bench with the stored rows of a kind, as a trial process opens them."""
        made = new_bench()
        made.data = open_stored(store(KINDS[kind][0], tmp_path))
        return made

    return bench


@pytest.fixture
def spec_of(study_of: StudyOf) -> Callable[[str], StudySpec]:
    def spec(kind: str, **changed: Any) -> StudySpec:
        def build(trial: optuna.Trial, data: Dataset) -> Any:
            return KINDS[kind][1](data)

        def fit(trial: optuna.Trial) -> dict[str, Any]:
            return {"batch_size": 4, "shuffle": changed.pop("shuffle", True)}

        return study_of(build=build, fit=fit, monitor="val_loss", direction="minimize", epoch_policy="last")

    return spec


# Networks that stand there twice, with weights and without, are interrupted with weights.
@pytest.mark.parametrize("kind", sorted({*KINDS} - {"two inputs, two outputs", "a list of outputs"}))
def test_a_network_is_checked_trained_and_measured_and_an_interruption_changes_nothing(
    kind: str,
    bench_of: Callable[[str], Bench],
    spec_of: Callable[[str], StudySpec],
    interrupted: type[BaseException],
    tmp_path: Path,
) -> None:
    from autotune.training.inspection import load_trained, measure
    from autotune.training.trials.rehearsal import rehearse

    whole, torn = bench_of(kind), bench_of(kind)
    spec = dataclasses.replace(spec_of(kind), keep_models=1)
    trial: Any = optuna.trial.FixedTrial({})
    objects = {} if kind != "no targets" else {"Autoencoder": type(KINDS[kind][1](whole.data))}
    rehearse(spec, trial, whole.data, tmp_path, objects)
    score = whole.train(spec)
    assert score.folds[0].history["loss"][-1] != score.folds[0].history["loss"][0]
    trained = load_trained(whole.folder.kept_model, objects, lambda: KINDS[kind][1](whole.data))
    np.testing.assert_allclose(measure(trained, whole.validation(spec), "loss").value, score.value, rtol=1e-4)
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=1)
    assert torn.train(spec).folds[0].history == score.folds[0].history


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_fit(
    kind: str, bench_of: Callable[[str], Bench], spec_of: Callable[[str], StudySpec]
) -> None:
    """The groups of batches, the padding, the structure: none of them changes what Keras computes from the arrays."""
    import keras

    from autotune.seeds import derive_seed

    bench, spec = bench_of(kind), spec_of(kind, shuffle=False)
    score = bench.train(spec)
    (fold,) = bench.folds(spec)
    keras.utils.clear_session()
    keras.utils.set_random_seed(derive_seed(spec.seed, "trial", 0, "fold", 0, "build"))
    train, held = bench.data.subset(fold.train), bench.data.subset(fold.validation)
    model = KINDS[kind][1](train)
    rows = [tuple(map(_plain, part.arrays_at(np.arange(len(part))).packed())) for part in (train, held)]
    x, y, weight = keras.utils.unpack_x_y_sample_weight(rows[0])
    found = model.fit(
        *(x, y), sample_weight=weight, validation_data=rows[1], epochs=spec.epochs, batch_size=4, shuffle=False
    ).history
    for name, values in score.folds[0].history.items():
        tolerance = 1e-3 if kind == "rows of different lengths" else 1e-5  # there Keras pads all rows to one length
        np.testing.assert_allclose(found[name], values, rtol=tolerance)


def _plain(nest: Any) -> Any:
    import keras

    def array(leaf: Any) -> Any:
        found = np.asarray(leaf)
        return keras.ops.convert_to_tensor(found, dtype="string") if found.dtype.kind == "U" else found

    return (
        {key: array(leaf) for key, leaf in nest.items()}
        if isinstance(nest, dict)
        else (tuple(map(array, nest)) if isinstance(nest, tuple) else array(nest))
    )


class _Counted:
    """A source of rows that notes which are read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 400

    def __getitem__(self, index: int) -> tuple[Any, int]:
        self.read.append(index)
        return NUMBERS[index % N], index % 3


def test_rows_that_are_read_each_time_are_read_to_train_and_not_all_at_once(
    new_bench: Callable[[], Bench], study_of: StudyOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autotune.training.outputs import comparing
    from autotune.training.trials.rehearsal import rehearse

    source, bench = _Counted(), new_bench()
    bench.data = Dataset(source, cache=False, n_classes=3, stratify=np.arange(400) % 3).with_digest("1")
    spec = study_of(build=lambda trial, data: _labels_of_numbers(data), monitor="val_accuracy", epochs=2, keep_models=1)
    source.read.clear()
    train = bench.data.subset(bench.folds(spec)[0].train)
    rehearse(spec, optuna.trial.FixedTrial({}), train, tmp_path, {})
    assert len(source.read) < 40
    monkeypatch.setattr(comparing, "_MOST_BYTES", 10 * bench.data.row_bytes)
    source.read.clear()
    bench.train(spec)
    assert (bench.folder.shown / "confusion.json").exists()
    # The best epoch is measured once more, on 80 rows; the pictures take a few.
    assert len(source.read) <= 2 * 400 + 80 + 100, len(source.read)


def test_the_first_checks_copy_no_targets_of_all_rows(
    bench_of: Callable[[str], Bench],
    spec_of: Callable[[str], StudySpec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from autotune.training.trials.rehearsal import rehearse

    monkeypatch.setattr(Dataset, "y", property(lambda data: pytest.fail("they may be masks of many GB")))
    for kind in ("masks", "two inputs, two outputs"):
        rows = bench_of(kind).data.subset(np.arange(N // 2))
        rehearse(spec_of(kind), optuna.trial.FixedTrial({}), rows, tmp_path, {})


def test_a_network_for_batches_of_one_size_is_validated_and_measured_in_these(
    new_bench: Callable[[], Bench], study_of: StudyOf, tmp_path: Path
) -> None:
    from autotune.training.inspection import measure

    bench = new_bench()
    bench.data = open_stored(store(Dataset(NUMBERS[..., None], LABELS), tmp_path))
    spec = study_of(
        build=lambda trial, data: _stateful(data),
        fit=lambda trial: {"batch_size": 2},
        monitor="val_accuracy",
        keep_models=1,
    )
    score = bench.train(spec)
    assert 0 <= score.value <= 1
    assert 0 <= measure(bench.model(), bench.validation(spec), "accuracy").value <= 1
