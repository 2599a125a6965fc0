"""Which generative adversarial network draws 8x8 digits whose moments are nearest to those of real ones?

The model has a training step of its own, with an optimizer for each of its two networks; the rows have no targets.
`frechet` is Fréchet's distance of two normal distributions with the means and covariances of the pixels, of drawn and
of held-out digits. It says nothing of moments above the second.
Scientific: units, noise_size.  Nuisance: the two learning rates, batch_size.
Fixed: dense layers, Adam with beta_1 = 0.5, 60 epochs, a third held out.
"""

import keras
import numpy as np
import optuna
import tensorflow as tf

from autotune import Dataset, Holdout, StudySpec
from autotune.data import load_development


def development() -> Dataset:
    return Dataset(load_development("digits").x.reshape(-1, 64), name="digits without labels")


def network(n_inputs: int, units: int, last: keras.layers.Layer) -> keras.Sequential:
    hidden = [keras.layers.Dense(units, activation="leaky_relu") for _ in range(2)]
    return keras.Sequential([keras.Input((n_inputs,)), *hidden, last])


@keras.saving.register_keras_serializable("gan")
class Gan(keras.Model):
    def __init__(self, units: int, noise_size: int, drawing_rate: float) -> None:
        super().__init__()
        self.given = {"units": units, "noise_size": noise_size, "drawing_rate": drawing_rate}
        self.drawing = network(noise_size, units, keras.layers.Dense(64, activation="sigmoid"))
        self.judging = network(64, units, keras.layers.Dense(1))
        self.drawing_optimizer = keras.optimizers.Adam(drawing_rate, beta_1=0.5)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, images):
        return self.judging(images)

    def losses_of(self, batch):
        images, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        drawn = self.drawing(keras.random.normal((tf.shape(images)[0], self.given["noise_size"]), seed=self.seeds))
        of_real, of_drawn = self.judging(images), self.judging(drawn)
        softplus = keras.ops.softplus
        return {
            "judging": keras.ops.mean(softplus(-of_real)) + keras.ops.mean(softplus(of_drawn)),
            "drawing": keras.ops.mean(softplus(-of_drawn)),
        }

    def train_step(self, batch):
        with tf.GradientTape(persistent=True) as tape:
            losses = self.losses_of(batch)
        for part, optimizer in (("judging", self.optimizer), ("drawing", self.drawing_optimizer)):
            weights = getattr(self, part).trainable_variables
            optimizer.apply(tape.gradient(losses[part], weights), weights)
        return losses

    def test_step(self, batch):
        return self.losses_of(batch)

    def get_config(self) -> dict:
        return self.given


def build(trial: optuna.Trial, data: Dataset) -> keras.Model:
    model = Gan(
        units=trial.suggest_int("units", 32, 256, log=True),
        noise_size=trial.suggest_int("noise_size", 4, 64, log=True),
        drawing_rate=trial.suggest_float("drawing_rate", 1e-4, 3e-3, log=True),
    )
    judging_rate = trial.suggest_float("judging_rate", 1e-4, 3e-3, log=True)
    model.compile(keras.optimizers.Adam(judging_rate, beta_1=0.5))
    return model


def fit(trial: optuna.Trial) -> dict:
    return {"batch_size": trial.suggest_categorical("batch_size", [32, 64])}


def score(model: keras.Model, rows: Dataset) -> dict:
    noise = np.random.default_rng(0).standard_normal((2000, model.given["noise_size"])).astype("float32")
    drawn = model.drawing.predict(noise, verbose=0)
    (mean, covariance), (other_mean, other) = ((x.mean(axis=0), np.cov(x.T)) for x in (drawn, rows.x))
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariance @ other).real, 0.0))
    return {"frechet": ((mean - other_mean) ** 2).sum() + np.trace(covariance + other) - 2 * roots.sum()}


study = StudySpec(
    name="gan",
    dataset=development,
    folds=Holdout(1 / 3),
    build=build,
    fit=fit,
    score=score,
    monitor="frechet",
    direction="minimize",
    epochs=60,
    n_trials=20,
    seed=0,
)
