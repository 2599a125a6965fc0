"""Which network tells best what a sentence spoke of, when the words that say so are taken out?

A row is a sentence of a movie review without the words of six families; its six labels say which families it had.
Scientific: reader (mean of word vectors, or the largest responses of a convolution).
Nuisance: dimensions, learning_rate, dropout, batch_size.
Fixed: the 8,000 commonest words, 40 words, Adam, binary cross-entropy, 6 epochs, a fifth held out. The mean over labels
of the area under the ROC curve counts: most labels are rare, and 0.5 is chance for each.
"""

import re
from pathlib import Path

import keras
import numpy as np
import optuna

from autotune import Dataset, Holdout, StudySpec
from autotune.data import load_development

FAMILIES = {
    "negation": "not|no|never|nothing|none|nor|n't",
    "contrast": "but|though|although|yet|despite|while|however",
    "film": "films?|movies?|picture|cinema",
    "story": "plot|story|stories|script|screenplay|tale",
    "people": "director|actors?|actress|cast|performances?|characters?",
    "humor": "comedy|comedies|comic|funny|laughs?|humor|jokes?",
}
PATTERNS = [re.compile(rf"\b(?:{words})\b") for words in FAMILIES.values()]


def development(data_dir: Path | None) -> Dataset:
    texts = load_development("sentence-polarity", data_dir).x
    labels = np.array([[bool(pattern.search(text)) for pattern in PATTERNS] for text in texts], "int64")
    for pattern in PATTERNS:
        texts = [pattern.sub("", text) for text in texts]
    return Dataset(np.array(texts), labels, name="families of words")


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    layers = keras.layers
    words = layers.TextVectorization(max_tokens=8_000, output_sequence_length=40)
    words.adapt(data.x)  # the training rows of this fold, and no others
    text = keras.Input((), dtype="string")
    dimensions = trial.suggest_categorical("dimensions", [16, 32, 64])
    if trial.suggest_categorical("reader", ["mean", "convolution"]) == "mean":
        vectors = layers.Embedding(words.vocabulary_size(), dimensions, mask_zero=True)(words(text))
        features = layers.GlobalAveragePooling1D()(vectors)
    else:
        vectors = layers.Embedding(words.vocabulary_size(), dimensions)(words(text))
        features = layers.GlobalMaxPooling1D()(layers.Conv1D(64, 3, padding="same", activation="relu")(vectors))
    features = layers.Dropout(trial.suggest_float("dropout", 0.0, 0.7))(features)
    (n_labels,) = data.target_shape
    model = keras.Model(text, layers.Dense(n_labels, activation="sigmoid")(features))
    model.compile(
        keras.optimizers.Adam(trial.suggest_float("learning_rate", 5e-4, 2e-2, log=True)),
        loss="binary_crossentropy",
        metrics=[keras.metrics.AUC(multi_label=True, num_labels=n_labels, name="auc")],
    )
    return model


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": trial.suggest_categorical("batch_size", [32, 64, 128])}


study = StudySpec(
    name="many-labels",
    dataset=development,
    folds=Holdout(0.2),
    build=build,
    fit=fit,
    monitor="val_auc",
    direction="maximize",
    epochs=6,
    n_trials=20,
    seed=0,
)
