"""What `KeepEpochs` does in one `fit` after another: with a trial process's trial, and with a trial of Optuna's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import optuna
import pytest
import tensorflow as tf

import autotune
from autotune.errors import KeepingError, TrainingError

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Interrupted(BaseException):
    """Stands for whatever ends a process."""


class Watch:
    """Notes what happens, and interrupts an epoch. It is no callback itself: its notes would be kept."""

    def __init__(self, interrupt_in: int | None = None) -> None:
        self.interrupt_in = interrupt_in
        self.seen: list[Any] = []

    def epoch(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(epoch + 1)

    def batch(self, batch: int, logs: Any = None) -> None:
        if self.seen[-1] == self.interrupt_in and batch == 1:
            raise Interrupted

    def end(self, logs: Any = None) -> None:
        self.seen.append("end")

    def callback(self) -> keras.callbacks.Callback:
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=self.epoch, on_train_batch_begin=self.batch, on_train_end=self.end
        )


def noisy(x: Any) -> Any:
    return x + keras.random.normal(keras.ops.shape(x), stddev=0.1)  # from Keras's own generator


def network(width: int = 4) -> keras.Model:
    keras.utils.clear_session()  # as in a new process, Keras has no generator yet
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(width, activation="relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    layers.insert(0, keras.layers.Lambda(noisy))
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def fit(trial: Any, model: keras.Model, *others: Any, name: str = "", epochs: int = 4, data: Any = None) -> Any:
    """Train a model, and return its history; `KeepEpochs` is not the last callback of the list."""
    callbacks = [one.callback() if isinstance(one, Watch) else one for one in others]
    rows = {"x": X, "y": Y, "batch_size": 8} if data is None else {"x": data}
    keep = autotune.KeepEpochs(trial, monitor="loss", name=name)
    shuffle = not isinstance(data, tf.data.Dataset)  # which has its own order
    return model.fit(**rows, epochs=epochs, verbose=0, callbacks=[keep, *callbacks], shuffle=shuffle).history


class Rows(keras.utils.PyDataset):  # type: ignore[misc]  # reason: Keras ships no types
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return X[index::3], Y[index::3]


DATA: dict[str, Callable[[], Any]] = {
    "arrays": lambda: None,
    "shuffled batches of a PyDataset": Rows,
    "a tf.data.Dataset in one order": lambda: (
        tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(24, seed=1, reshuffle_each_iteration=False).batch(8)
    ),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_an_interrupted_fit_ends_as_if_it_had_not_been(
    bench: Bench, data: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory, new_bench: Callable[..., Bench]
) -> None:
    from autotune.training.checkpoints.folder import TrialFolder

    whole, undisturbed = network(), new_bench(TrialFolder(tmp_path_factory.mktemp("whole")))
    expected = fit(undisturbed.process(), whole, Watch(), data=data())
    for epoch in (1, 3, 4):
        with pytest.raises(Interrupted):
            fit(bench.process(), network(), Watch(interrupt_in=epoch), data=data())
    model, watch = network(), Watch()
    assert fit(bench.process(), model, watch, data=data()) == expected
    assert watch.seen == [4, "end"]
    for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert bench.parent.reports == undisturbed.parent.reports == dict(enumerate(expected["loss"], start=1))


def test_a_fit_that_had_ended_trains_nothing_and_has_its_weights_and_history(bench: Bench) -> None:
    whole = network()
    expected = fit(bench.process(), whole, Watch())
    model, watch = network(), Watch()
    assert fit(bench.process(), model, watch) == expected
    assert watch.seen == ["end"]
    for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(model.fit(X, Y, epochs=2, verbose=0).history["loss"]) == 2  # another `fit` begins where it should


def test_a_second_fit_has_its_own_epochs_and_its_steps_follow(bench: Bench) -> None:
    trial, model = bench.process(), network()
    first, second = fit(trial, model, epochs=2), fit(trial, model, name="second", epochs=3)
    assert bench.parent.reports == dict(enumerate(first["loss"] + second["loss"], start=1))
    again, model = bench.process(), network()
    assert fit(again, model, epochs=2) == first
    assert fit(again, model, name="second", epochs=3) == second
    assert bench.parent.reports == dict(enumerate(first["loss"] + second["loss"], start=1))


def test_a_loop_by_hand_goes_on_counting_behind_a_fit(bench: Bench) -> None:
    def objective(trial: Any) -> None:
        model = network()
        fit(trial, model, epochs=2)
        found = autotune.kept(trial)
        for epoch in range(found.epoch + 1 if found else 3, 5):
            autotune.keep(trial, epoch, float(epoch), state={"epoch": epoch})

    trial = bench.process(gone_before=4)
    with pytest.raises(ConnectionError):
        objective(trial)
    objective(bench.process())
    assert list(bench.parent.reports) == [1, 2, 3, 4]
    trial = bench.process()
    fit(trial, network(), epochs=2)
    autotune.kept(trial)
    with pytest.raises(KeepingError, match="epoch 4 was reported before"):
        autotune.keep(trial, 1, 0.5)


def test_it_is_pruned_when_every_callback_has_ended(bench: Bench) -> None:
    watch = Watch()
    with pytest.raises(optuna.TrialPruned, match="step 2"):
        fit(bench.process(prune_after=2), network(), watch)
    assert watch.seen == [1, 2, "end"]


def test_a_trial_that_was_to_be_pruned_when_it_was_killed_is_pruned(bench: Bench) -> None:
    with pytest.raises(ConnectionError):
        fit(bench.process(gone_before=2), network(), Watch())
    watch = Watch()
    with pytest.raises(optuna.TrialPruned):
        fit(bench.process(prune_after=2), network(), watch)
    assert watch.seen == ["end"]


def test_a_script_with_optuna_alone_reports_and_prunes() -> None:
    seen = []

    def objective(trial: optuna.Trial) -> float:
        watch = Watch()
        seen.append(watch.seen)
        model = network()
        fit(trial, model, watch, epochs=2)
        return float(fit(trial, model, watch, name="second", epochs=2)["loss"][-1])

    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    study.optimize(objective, n_trials=1)
    study.pruner = optuna.pruners.ThresholdPruner(lower=1e9, n_warmup_steps=3)
    study.optimize(objective, n_trials=1)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert list(study.trials[0].intermediate_values) == [1, 2, 3, 4]
    assert seen == [[1, 2, "end", 1, 2, "end"], [1, 2, "end", 1, "end"]]


@pytest.mark.parametrize("new", [lambda bench: bench.process(), lambda bench: optuna.create_study().ask()])
def test_a_name_is_used_once(bench: Bench, new: Callable[[Bench], Any]) -> None:
    trial, model = new(bench), network()
    fit(trial, model, name="a", epochs=1)
    with pytest.raises(KeepingError, match=r"two KeepEpochs of trial \d have the name 'a'"):
        fit(trial, model, name="a", epochs=1)
    with pytest.raises(KeepingError, match="two KeepEpochs"):
        fit(trial, model, autotune.KeepEpochs(trial, "loss", name="c"), name="b", epochs=1)


def test_a_metric_that_keras_does_not_report_is_named_with_those_it_does() -> None:
    with pytest.raises(TrainingError, match="'val_loss' was not reported after epoch 1") as error:
        network().fit(X, Y, verbose=0, callbacks=[autotune.KeepEpochs(optuna.create_study().ask(), "val_loss")])
    assert error.value.expected == "Keras reported: loss, mae."


def test_it_belongs_to_the_callbacks_of_fit() -> None:
    with pytest.raises(KeepingError, match=r"outside of the callbacks of fit"):
        autotune.KeepEpochs(optuna.create_study().ask(), "loss").set_model(network())


def test_another_model_is_told(bench: Bench) -> None:
    with pytest.raises(Interrupted):
        fit(bench.process(), network(), Watch(interrupt_in=2))
    with pytest.raises(KeepingError, match="is of a model with other variables"):
        fit(bench.process(), network(width=5), Watch())


def test_other_callbacks_are_told(bench: Bench) -> None:
    with pytest.raises(Interrupted):
        fit(bench.process(), network(), Watch(interrupt_in=2))
    with pytest.raises(KeepingError, match="is of other callbacks"):
        fit(bench.process(), network())


def test_state_that_cannot_be_kept_is_named_before_the_first_epoch_is_over(bench: Bench) -> None:
    class Counter(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def __init__(self) -> None:
            super().__init__()
            self.handles = object()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.handles = object()

    with pytest.raises(TrainingError, match=r"Counter\.handles"):
        fit(bench.process(), network(), Counter())


class TwoOptimizers(keras.Model):  # type: ignore[misc]  # reason: Keras ships no types
    """A model whose second optimizer makes its variables in the first step, as those of many GANs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = keras.layers.Dense(1)
        self.second = keras.optimizers.Adam()

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = keras.ops.mean((self(x) - y) ** 2)
        self.second.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return {"loss": loss}


class Largest(keras.metrics.Metric):  # type: ignore[misc]  # reason: Keras ships no types
    """A metric of the study file's own."""

    def __init__(self) -> None:
        super().__init__(name="largest")
        self.value = self.add_weight(name="value", initializer="zeros")

    def update_state(self, y: Any, predicted: Any, sample_weight: Any = None) -> None:
        self.value.assign(keras.ops.maximum(self.value, keras.ops.max(predicted)))

    def result(self) -> Any:
        return keras.ops.convert_to_tensor(self.value)


def unbuilt() -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae", Largest(), keras.metrics.RootMeanSquaredError()])
    return model


def two_optimizers() -> keras.Model:
    keras.utils.set_random_seed(3)
    model = TwoOptimizers()
    model.compile("sgd")
    return model


@pytest.mark.parametrize("build", [unbuilt, two_optimizers])
def test_a_model_that_makes_its_variables_in_the_first_batch_goes_on(bench: Bench, build: Callable[[], Any]) -> None:
    with pytest.raises(Interrupted):
        fit(bench.process(), build(), Watch(interrupt_in=3))
    model, watch = build(), Watch()
    found = fit(bench.process(), model, watch)
    assert watch.seen == [3, 4, "end"]
    bench.folder.remove_checkpoint()
    whole = build()
    assert found == fit(bench.process(), whole, Watch())
    for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_counter_that_a_callback_makes_in_the_model_is_refused(bench: Bench) -> None:
    class Counting(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.seen = getattr(self.model, "seen", 0) + 1

    with pytest.raises(TrainingError, match=r"Sequential\.seen changed in epoch 2 of trial"):
        fit(bench.process(), network(), Counting())


def test_a_change_that_no_checkpoint_holds_is_told_and_trained_again(bench: Bench) -> None:
    class Freeze(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                self.model.layers[0].trainable = False

    with pytest.raises(Interrupted):
        fit(bench.process(), network(), Freeze(), Watch(interrupt_in=4))
    (note,) = bench.parent.notes
    assert "by epoch 3 the optimizer, the training function or the frozen layers changed" in note
    watch = Watch()
    fit(bench.process(), network(), Freeze(), watch)
    assert watch.seen == [3, 4, "end"]
