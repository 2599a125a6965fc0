"""Which convolutional network tells positive from negative sentences of movie reviews, and how is it trained?

The network is Kim's ("Convolutional Neural Networks for Sentence Classification", 2014) with word vectors of its own
(CNN-rand): windows of several widths over the words, the largest response of each filter, dropout, softmax.
Scientific: dimensions, filters, widths.
Nuisance: learning_rate and its warm-up, batch_size, dropout, word_dropout, l2.
Fixed: Adam, a cosine over 4 epochs, relu, the 10,000 commonest words, sentences cut after 40 words, 10 stratified folds
as in the literature. The last epoch counts: the best one of each fold would be chosen on the very rows that measure it.
"""

import keras
import optuna

from autotune import Dataset, KFold, StudySpec, spaces

EPOCHS = 4
WIDTHS = {"3": (3,), "1-2": (1, 2), "2-3": (2, 3), "1-2-3": (1, 2, 3), "3-4-5": (3, 4, 5)}


def adam(trial: optuna.Trial) -> keras.optimizers.Optimizer:
    return spaces.adam(
        trial, learning_rate=(3e-4, 5e-3), one_minus_beta_1=0.1, one_minus_beta_2=0.001, epsilon=1e-7, amsgrad=False
    )


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    words = keras.layers.TextVectorization(max_tokens=10_000, output_sequence_length=40)
    words.adapt(data.x)  # the training rows of this fold, and no others
    text = keras.Input((), dtype="string")
    vectors = keras.layers.Embedding(words.vocabulary_size(), trial.suggest_categorical("dimensions", [50, 75, 100]))(
        words(text)
    )
    vectors = keras.layers.SpatialDropout1D(trial.suggest_float("word_dropout", 0.0, 0.5))(vectors)
    filters = trial.suggest_categorical("filters", [50, 75, 100])
    responses = [
        keras.layers.GlobalMaxPooling1D()(
            keras.layers.Conv1D(filters, width, padding="same", activation="relu")(vectors)
        )
        for width in WIDTHS[trial.suggest_categorical("widths", list(WIDTHS))]
    ]
    features = keras.layers.Concatenate()(responses) if len(responses) > 1 else responses[0]
    features = keras.layers.Dropout(spaces.dropout(trial, (0.2, 0.8)))(features)
    chances = keras.layers.Dense(data.n_classes, activation="softmax", kernel_regularizer=spaces.l2(trial))(features)
    model = keras.Model(text, chances)
    model.compile(optimizer=adam(trial), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": spaces.batch_size(trial, (50, 100)), "callbacks": spaces.cosine(trial, EPOCHS)}


study = StudySpec(
    name="sentence-polarity-cnn",
    dataset="sentence-polarity",
    folds=KFold(10),
    build=build,
    fit=fit,
    monitor="val_accuracy",
    direction="maximize",
    epochs=EPOCHS,
    epoch_policy="last",
    n_trials=20,
    seed=0,
    guess=None,  # as its result was measured, before the usual values of `spaces` were a guess
)
