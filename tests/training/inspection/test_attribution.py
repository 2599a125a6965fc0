"""Integrated gradients: where the answer is known, and the axiom of completeness where it is not."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from autotune.errors import UsageError
from autotune.training.inspection.attribution import Attribution, integrated_gradients

WORDS = ["good", "bad", "film", "plot", "long"]
SENTENCES = np.array(["good film", "bad plot, long film", "a good plot", "bad", "long long long bad film", "good"])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(0)


def _linear(n: int = 5, classes: int = 3) -> keras.Model:
    return keras.Sequential([keras.Input((n,)), keras.layers.Dense(classes)])


def _of_text(*layers: keras.layers.Layer, length: int | None = 6, **embedding: Any) -> keras.Model:
    vectorization = keras.layers.TextVectorization(output_sequence_length=length, vocabulary=WORDS)
    text = keras.Input((), dtype="string")
    features = keras.layers.Embedding(vectorization.vocabulary_size(), 4, **embedding)(vectorization(text))
    for layer in layers:
        features = layer(features)
    return keras.Model(text, features)


def _expect_complete(found: Attribution, tolerance: float = 0.01) -> None:
    sums = found.values.reshape(len(found.values), -1).sum(axis=1)
    assert found.gap == pytest.approx(sums - (found.end - found.start), abs=1e-12)
    assert (np.abs(found.gap) <= tolerance * np.abs(found.end - found.start) + 1e-3).all()


def test_of_a_linear_model_they_are_weight_times_distance() -> None:
    model, rows = _linear(), np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    baseline, targets = np.linspace(-1, 1, 5, dtype=np.float32), [0, 1, 2, 0]
    found = integrated_gradients(model, rows, targets, baseline, steps=8)
    kernel = model.get_weights()[0]
    assert found.values == pytest.approx((rows - baseline) * kernel[:, targets].T, rel=1e-5, abs=1e-7)
    assert found.gap == pytest.approx(0, abs=1e-6)
    assert found.end == pytest.approx(np.asarray(model(rows))[np.arange(4), targets], abs=1e-6)
    assert found.words == ()


@pytest.mark.parametrize("mask_zero", [False, True])
def test_of_a_linear_model_of_mean_vectors_each_word_has_weight_times_vector(mask_zero: bool) -> None:
    model = _of_text(keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2), mask_zero=mask_zero)
    vectors, kernel, _ = model.get_weights()
    found = integrated_gradients(model, SENTENCES[:2], [1, 0], steps=8)
    assert found.words == (("good", "film", "", "", "", ""), ("bad", "plot", "long", "film", "", ""))
    for row, (words, target) in enumerate(zip(found.words, (1, 0), strict=True)):
        tokens = [WORDS.index(word) + 2 if word else 0 for word in words]
        n = sum(map(bool, tokens)) if mask_zero else len(tokens)
        expected = (vectors[tokens] - vectors[0]) @ kernel[:, target] / n
        assert found.values[row] == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert (found.values[0, 2:] == 0).all()  # padding, exactly


def _trained(
    model: keras.Model, rows: npt.NDArray[Any], labels: npt.NDArray[Any], loss: Any, epochs: int
) -> keras.Model:
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss)
    model.fit(keras.ops.convert_to_tensor(rows), labels, epochs=epochs, verbose=0)
    return model


@pytest.mark.trains
def test_what_a_trained_network_sees_in_images_adds_up_to_its_output() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((300, 8, 8, 1)).astype(np.float32)
    labels = (images[:, :4].mean(axis=(1, 2, 3)) > images[:, 4:].mean(axis=(1, 2, 3))).astype(int)
    layers = keras.layers
    head = [layers.Flatten(), layers.Dropout(0.5), layers.Dense(16, activation="relu"), layers.Dense(2, "softmax")]
    model = keras.Sequential(
        [
            *[keras.Input((8, 8, 1)), layers.Rescaling(2.0, -1.0), layers.RandomTranslation(0.1, 0.1)],
            *[layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(), layers.Activation("relu")],
            *[layers.MaxPooling2D(), *head],
        ]
    )
    _trained(model, images, labels, "sparse_categorical_crossentropy", epochs=12)
    found = integrated_gradients(model, images[:6], labels[:6], steps=256)
    assert found.values.shape == (6, 8, 8, 1)
    assert np.abs(found.end - found.start).max() > 0.2
    _expect_complete(found)
    for row, label in enumerate(labels[:6]):  # the half that decides
        upper, lower = found.values[row, :4].sum(), found.values[row, 4:].sum()
        assert upper > lower if label else lower > upper


@pytest.mark.trains
@pytest.mark.parametrize("length", [6, None])
def test_what_a_trained_network_sees_in_text_adds_up_to_its_output(length: int | None) -> None:
    layers = keras.layers
    model = _of_text(
        layers.SpatialDropout1D(0.1),
        layers.Conv1D(8, 2, padding="same", activation="relu"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(1, activation="sigmoid"),
        length=length,
    )
    labels = np.array(["good" in sentence for sentence in SENTENCES]).astype(int)
    _trained(model, SENTENCES, labels, "binary_crossentropy", epochs=60)
    found = integrated_gradients(model, SENTENCES, labels)
    assert np.abs(found.end - found.start).max() > 0.2
    _expect_complete(found)
    assert all(
        (values[[word == "" for word in words]] == 0).all()
        for values, words in zip(found.values, found.words, strict=True)
    )
    assert found.words[0][int(np.argmax(found.values[0]))] == "good"
    against = integrated_gradients(model, SENTENCES, 1 - labels)
    assert against.values == pytest.approx(-found.values, abs=0.01)
    assert against.end == pytest.approx(1 - found.end, abs=1e-6)


def test_tokens_are_words_too_and_positions_are_not_moved() -> None:
    class Placed(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = keras.layers.Embedding(9, 4), keras.layers.Embedding(5, 4)

        def call(self, tokens: Any) -> Any:
            return self.words(tokens) + self.places(keras.ops.arange(5))

    tokens = keras.Input((5,), dtype="int32")
    features = keras.layers.Flatten()(Placed()(tokens))
    model = keras.Model(tokens, keras.layers.Dense(3, activation="softmax")(features))
    found = integrated_gradients(model, np.array([[0, 3, 8, 1, 0], [2, 2, 0, 0, 0]]), [2, 1])
    assert found.words == (("", "3", "8", "1", ""), ("2", "2", "", "", ""))
    assert (found.values[0, [0, 4]] == 0).all()
    assert (found.values[0, 1:4] != 0).all()
    _expect_complete(found)


def test_the_model_is_left_as_it_was() -> None:
    model = _of_text(keras.layers.GlobalMaxPooling1D(), keras.layers.Dense(2))
    text = keras.ops.convert_to_tensor(SENTENCES, dtype="string")
    before = np.asarray(model(text))
    integrated_gradients(model, SENTENCES[:2], [0, 1])
    assert np.asarray(model(text)).tolist() == before.tolist()
    assert not any("call" in vars(layer) for layer in model.layers)


def test_a_model_that_rounds_its_input_is_refused_in_plain_words() -> None:
    image = keras.Input((4,), dtype="uint8")
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Rescaling(1 / 255)(image)))
    with pytest.raises(UsageError, match=r"(?s)cut off.*Embedding"):
        integrated_gradients(model, np.zeros((2, 4), np.uint8), [0, 1])


def test_words_without_vectors_are_refused_in_plain_words() -> None:
    text = keras.Input((), dtype="string")
    bag = keras.layers.TextVectorization(output_mode="multi_hot", vocabulary=WORDS)(text)
    model = keras.Model(text, keras.layers.Dense(2)(bag))
    with pytest.raises(UsageError, match="no Embedding layer"):
        integrated_gradients(model, SENTENCES, [0] * len(SENTENCES))


def test_several_outputs_are_refused_in_plain_words() -> None:
    row = keras.Input((4,))
    model = keras.Model(row, [keras.layers.Dense(2)(row), keras.layers.Dense(2)(row)])
    with pytest.raises(UsageError, match="several outputs"):
        integrated_gradients(model, np.zeros((1, 4), np.float32), [0])
