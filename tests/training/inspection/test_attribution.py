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
    sums = found.inputs[0].values.reshape(len(found.inputs[0].values), -1).sum(axis=1)
    assert found.gap == pytest.approx(sums - (found.end - found.start), abs=1e-12)
    assert (np.abs(found.gap) <= tolerance * np.abs(found.end - found.start) + 1e-3).all()


def test_of_a_linear_model_they_are_weight_times_distance() -> None:
    model, rows = _linear(), np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    baseline, targets = np.linspace(-1, 1, 5, dtype=np.float32), [0, 1, 2, 0]
    found = integrated_gradients(model, rows, targets, baseline, steps=8)
    kernel = model.get_weights()[0]
    assert found.inputs[0].values == pytest.approx((rows - baseline) * kernel[:, targets].T, rel=1e-5, abs=1e-7)
    assert found.gap == pytest.approx(0, abs=1e-6)
    assert found.end == pytest.approx(np.asarray(model(rows))[np.arange(4), targets], abs=1e-6)
    assert found.inputs[0].words == ()


@pytest.mark.parametrize("mask_zero", [False, True])
def test_of_a_linear_model_of_mean_vectors_each_word_has_weight_times_vector(mask_zero: bool) -> None:
    model = _of_text(keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2), mask_zero=mask_zero)
    vectors, kernel, _ = model.get_weights()
    found = integrated_gradients(model, SENTENCES[:2], [1, 0], steps=8)
    assert found.inputs[0].words == (("good", "film", "", "", "", ""), ("bad", "plot", "long", "film", "", ""))
    for row, (words, target) in enumerate(zip(found.inputs[0].words, (1, 0), strict=True)):
        tokens = [WORDS.index(word) + 2 if word else 0 for word in words]
        n = sum(map(bool, tokens)) if mask_zero else len(tokens)
        expected = (vectors[tokens] - vectors[0]) @ kernel[:, target] / n
        assert found.inputs[0].values[row] == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert (found.inputs[0].values[0, 2:] == 0).all()  # padding, exactly


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
    assert found.inputs[0].values.shape == (6, 8, 8, 1)
    assert np.abs(found.end - found.start).max() > 0.2
    _expect_complete(found)
    for row, label in enumerate(labels[:6]):  # the half that decides
        upper, lower = found.inputs[0].values[row, :4].sum(), found.inputs[0].values[row, 4:].sum()
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
        for values, words in zip(found.inputs[0].values, found.inputs[0].words, strict=True)
    )
    assert found.inputs[0].words[0][int(np.argmax(found.inputs[0].values[0]))] == "good"
    against = integrated_gradients(model, SENTENCES, 1 - labels)
    assert against.inputs[0].values == pytest.approx(-found.inputs[0].values, abs=0.01)
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
    assert found.inputs[0].words == (("", "3", "8", "1", ""), ("2", "2", "", "", ""))
    assert (found.inputs[0].values[0, [0, 4]] == 0).all()
    assert (found.inputs[0].values[0, 1:4] != 0).all()
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
    model = keras.Model(image, keras.layers.Dense(2)(image))
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


def _expect_sums(found: Attribution) -> None:
    sums = sum(one.values.reshape(len(one.values), -1).sum(axis=1) for one in found.inputs if one.values is not None)
    assert sums == pytest.approx(found.end - found.start, abs=2e-3)


def test_of_several_inputs_each_has_its_own_attributions() -> None:
    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((2, 2), name="a")}
    joined = keras.layers.Concatenate()([inputs["b"], keras.layers.Flatten()(inputs["a"])])
    model = keras.Model(inputs, keras.layers.Dense(2)(joined))
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=(4, *shape)).astype(np.float32) for name, shape in (("b", (3,)), ("a", (2, 2)))}
    found = integrated_gradients(model, rows, [0, 1, 1, 0])
    kernel = model.get_weights()[0][:, [0, 1, 1, 0]].T
    a, b = found.inputs
    assert a.values == pytest.approx(rows["a"] * kernel[:, 3:].reshape(4, 2, 2), abs=1e-5)
    assert b.values == pytest.approx(rows["b"] * kernel[:, :3], abs=1e-5)
    _expect_sums(found)
    as_list = keras.Model([inputs["b"], inputs["a"]], model.output)
    again = integrated_gradients(as_list, [rows["b"], rows["a"]], [0, 1, 1, 0])
    assert again.inputs[0].values == pytest.approx(b.values)


def test_two_texts_have_the_words_of_their_own_vectorization() -> None:
    texts = [keras.Input((), dtype="string", name=name) for name in ("first", "second")]
    vectorizations = [
        keras.layers.TextVectorization(vocabulary=WORDS, output_sequence_length=4, split=split)
        for split in ("whitespace", "character")
    ]
    vectors = keras.layers.Embedding(9, 3)  # both are read by the same layer
    means = [
        keras.layers.GlobalAveragePooling1D()(vectors(words(text)))
        for words, text in zip(vectorizations, texts, strict=True)
    ]
    model = keras.Model(texts, keras.layers.Dense(2)(keras.layers.Concatenate()(means)))
    found = integrated_gradients(model, [SENTENCES[:2], np.array(["ab", "abc"])], [0, 1])
    assert found.inputs[0].words == (("good", "film", "", ""), ("bad", "plot", "long", "film"))
    assert found.inputs[1].words == (("a", "b", "", ""), ("a", "b", "c", ""))
    _expect_sums(found)


def test_a_category_moves_from_the_mean_of_all_vectors() -> None:
    city, number = keras.Input((), dtype="string", name="city"), keras.Input((1,), name="number")
    tokens = keras.layers.StringLookup(vocabulary=["Rome", "Oslo"])(city)
    vectors = keras.layers.Embedding(3, 2)
    model = keras.Model([city, number], keras.layers.Dense(2)(keras.layers.Concatenate()([vectors(tokens), number])))
    table, kernel, _ = model.get_weights()
    found = integrated_gradients(model, [np.array(["Rome", "Oslo"]), np.ones((2, 1), np.float32)], [0, 1])
    expected = [(table[token] - table.mean(axis=0)) @ kernel[:2, token - 1] for token in (1, 2)]
    assert found.inputs[0].values == pytest.approx(expected, abs=1e-6)
    assert found.inputs[0].words == ()
    _expect_sums(found)


def test_a_category_that_is_one_hot_moves_from_none() -> None:
    city = keras.Input((1,), dtype="string")
    one_hot = keras.layers.StringLookup(vocabulary=["Rome", "Oslo"], output_mode="one_hot")(city)
    model = keras.Model(city, keras.layers.Dense(2)(one_hot))
    found = integrated_gradients(model, np.array([["Rome"], ["Oslo"]]), [0, 1])
    kernel = model.get_weights()[0]
    assert found.inputs[0].values == pytest.approx(np.array([[kernel[1, 0]], [kernel[2, 1]]]))


def test_bytes_move_behind_the_layer_that_scales_them() -> None:
    image = keras.Input((2, 2), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(scaled)))
    rows = np.array([[[255, 0], [51, 10]]], np.uint8)
    found = integrated_gradients(model, rows, [1], baseline=10.0)
    expected = (rows[0] / 255 - 10 / 255) * model.get_weights()[0][:, 1].reshape(2, 2)
    assert found.inputs[0].values[0] == pytest.approx(expected, abs=1e-6)


def test_an_input_that_nothing_makes_floats_of_is_held_as_it_is() -> None:
    text, number = keras.Input((), dtype="string", name="text"), keras.Input((1,), name="number")
    bag = keras.layers.TextVectorization(output_mode="multi_hot", vocabulary=WORDS)(text)
    model = keras.Model([text, number], keras.layers.Dense(2)(keras.layers.Concatenate()([bag, number])))
    found = integrated_gradients(model, [SENTENCES, np.ones((6, 1), np.float32)], [0] * 6)
    assert found.inputs[0].values is None
    assert "no Embedding layer" in found.inputs[0].why_none
    assert found.inputs[1].values == pytest.approx(np.full((6, 1), model.get_weights()[0][-1, 0]))
    _expect_sums(found)


def test_one_of_several_outputs_and_a_column_of_numbers() -> None:
    row = keras.Input((2,))
    outputs = {"a": keras.layers.Dense(2, name="a")(row), "b": keras.layers.Dense(1, name="b")(row)}
    rows = np.ones((1, 2), np.float32)
    for model in (keras.Model(row, outputs), keras.Model(row, list(outputs.values()))):
        found = integrated_gradients(model, rows, [0], output="b", of="numbers")
        kernel = model.get_weights()[2]
        assert found.inputs[0].values[0] == pytest.approx(kernel[:, 0])
        assert found.end == pytest.approx(kernel.sum())


def test_several_categories_in_one_row_of_zeros_and_ones_are_held_as_they_are() -> None:
    tags, number = keras.Input((3,), dtype="int32", name="tags"), keras.Input((1,), name="number")
    some_hot = keras.layers.CategoryEncoding(5, output_mode="multi_hot")(tags)
    model = keras.Model([tags, number], keras.layers.Dense(2)(keras.layers.Concatenate()([some_hot, number])))
    found = integrated_gradients(model, [np.array([[1, 2, 3], [4, 2, 1]]), np.ones((2, 1), np.float32)], [0, 1])
    assert found.inputs[0].values is None
    assert "whole-number type" in found.inputs[0].why_none
    _expect_sums(found)
