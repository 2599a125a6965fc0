"""Does a network tell positive from negative sentences better if it sees a table too, and predicts a number as well?

Two inputs: the words of a review, and a table with its length and punctuation. Two outputs: whether it is positive, and
the mean length of its words in letters, which the words tell but the table does not.
Scientific: sees_table, number_weight (the weight of the second output's loss; 0 leaves it out).
Nuisance: learning_rate, dropout, dimensions, batch_size.
Fixed: the mean of word vectors, the 10,000 commonest words, 40 words, Adam, 6 epochs, a fifth held out.
"""

from pathlib import Path

import keras
import numpy as np
import optuna

from autotune import Dataset, Holdout, StudySpec
from autotune.data import load_development

MARKS = (" ", ",", ".", "?", "!", "-", "'")


def development(data_dir: Path | None) -> Dataset:
    reviews = load_development("sentence-polarity", data_dir)
    table = np.stack([np.char.count(reviews.x, mark) for mark in MARKS], axis=1).astype("float32")
    letters = [np.mean([len(word) for word in text.split()]) for text in reviews.x]
    y = {"polarity": reviews.y, "letters": np.array(letters, "float32")}
    return Dataset({"text": reviews.x, "table": table}, y, stratify=reviews.y, name="reviews with a table")


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    words = keras.layers.TextVectorization(max_tokens=10_000, output_sequence_length=40)
    words.adapt(data.x["text"])  # the training rows of this fold, and no others
    scale = keras.layers.Normalization()
    scale.adapt(data.x["table"])
    text = keras.Input((), dtype="string", name="text")
    table = keras.Input(data.input_shape["table"], name="table")
    dimensions = trial.suggest_categorical("dimensions", [16, 32, 64])
    vectors = keras.layers.Embedding(words.vocabulary_size(), dimensions, mask_zero=True)(words(text))
    features = keras.layers.GlobalAveragePooling1D()(vectors)
    if trial.suggest_categorical("sees_table", [True, False]):
        features = keras.layers.Concatenate()([features, scale(table)])
    features = keras.layers.Dropout(trial.suggest_float("dropout", 0.0, 0.7))(features)
    mean = keras.layers.Rescaling(1.0, offset=float(data.y["letters"].mean()), name="letters")
    outputs = {
        "polarity": keras.layers.Dense(1, activation="sigmoid", name="polarity")(features),
        "letters": mean(keras.layers.Dense(1)(features)),
    }
    model = keras.Model({"text": text, "table": table}, outputs)
    model.compile(
        keras.optimizers.Adam(trial.suggest_float("learning_rate", 5e-4, 2e-2, log=True)),
        loss={"polarity": "binary_crossentropy", "letters": "mse"},
        loss_weights={"polarity": 1.0, "letters": trial.suggest_categorical("number_weight", [0.0, 0.1, 1.0])},
        metrics={"polarity": ["accuracy"], "letters": ["mae"]},
    )
    return model


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": trial.suggest_categorical("batch_size", [32, 64, 128])}


study = StudySpec(
    name="reviews-two-outputs",
    dataset=development,
    folds=Holdout(0.2),
    build=build,
    fit=fit,
    monitor="val_polarity_accuracy",
    direction="maximize",
    epochs=6,
    n_trials=20,
    seed=0,
)
