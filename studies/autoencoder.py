"""How well can eight numbers hold an 8x8 digit, and which autoencoder finds them?

The rows have no targets: the model's own `compute_loss` compares what comes out with what went in.
Scientific: layers, units, activation, noise (added to what goes in while training, as in a denoising autoencoder).
Nuisance: learning_rate, batch_size.  Fixed: a code of eight numbers, Adam, mean squared error, 30 epochs, a fifth held
out.
"""

import keras
import optuna

from autotune import Dataset, Holdout, StudySpec
from autotune.data import load_development

CODE = 8


def development() -> Dataset:
    return Dataset(load_development("digits").x.reshape(-1, 64), name="digits without labels")


@keras.saving.register_keras_serializable("autoencoder")
class Autoencoder(keras.Model):
    def __init__(self, layers: int, units: int, activation: str, noise: float) -> None:
        super().__init__()
        self.given = {"layers": layers, "units": units, "activation": activation, "noise": noise}
        hidden = [[keras.layers.Dense(units, activation=activation) for _ in range(layers)] for _ in range(2)]
        noisy = keras.layers.GaussianNoise(noise)
        self.encoder = keras.Sequential([noisy, *hidden[0], keras.layers.Dense(CODE)])
        self.decoder = keras.Sequential([*hidden[1], keras.layers.Dense(64, activation="sigmoid")])

    def call(self, x, training=None):
        return self.decoder(self.encoder(x, training=training), training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(x - y_pred))

    def get_config(self) -> dict:
        return self.given


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    model = Autoencoder(
        layers=trial.suggest_int("layers", 1, 2),
        units=trial.suggest_int("units", 32, 256, log=True),
        activation=trial.suggest_categorical("activation", ["relu", "tanh", "gelu"]),
        noise=trial.suggest_float("noise", 0.0, 0.3),
    )
    model.compile(keras.optimizers.Adam(trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)))
    return model


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": trial.suggest_categorical("batch_size", [16, 32, 64])}


study = StudySpec(
    name="autoencoder",
    dataset=development,
    folds=Holdout(0.2),
    build=build,
    fit=fit,
    monitor="val_loss",
    direction="minimize",
    epochs=30,
    n_trials=20,
    seed=0,
)
