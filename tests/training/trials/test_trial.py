"""A trial is trained as its study says, and ends with a score or with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from autotune.data.rows import Dataset
from autotune.data.splits import Holdout
from autotune.errors import DivergedError, TrainingError
from autotune.study import StudySpec

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]
Fit = Callable[[optuna.Trial], Any]


class Events:
    """What callbacks saw, in words."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.steps: list[int] = []

    def callback(self) -> Any:
        import keras

        record = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: self.seen.append("begin"),
            on_epoch_end=lambda epoch, logs: self.seen.append(f"epoch {epoch + 1}"),
            on_train_end=lambda logs: self.seen.append("end"),
            on_epoch_begin=lambda epoch, logs: self.steps.append(record.params["steps"]),
        )
        return record

    def fit(self, **arguments: Any) -> Fit:
        return lambda trial: {"callbacks": [self.callback()], **arguments}


def climbing_after(epoch: int) -> Fit:
    """Return a `fit` that learns for some epochs and then unlearns: the last epoch is not the best."""
    import keras

    def rate(index: int) -> float:
        return 0.01 if index < epoch else -0.1

    return lambda trial: {"callbacks": [keras.callbacks.LearningRateScheduler(rate)]}


def dense(data: Dataset, loss: Any = "sparse_categorical_crossentropy", **compiled: Any) -> Any:
    import keras

    layers = [keras.Input(data.input_shape), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile(loss=loss, metrics=["accuracy"], **compiled)
    return model


@pytest.mark.parametrize(("monitor", "direction"), [("val_accuracy", "maximize"), ("val_loss", "minimize")])
def test_of_equally_good_epochs_the_first_counts(monitor: str, direction: str, bench: Bench, study_of: StudyOf) -> None:
    def build(trial: optuna.Trial, data: Dataset) -> Any:
        import keras

        return dense(data, optimizer=keras.optimizers.SGD(0.0))  # learns nothing

    (fold,) = bench.train(study_of(build=build, monitor=monitor, direction=direction, epochs=3)).folds
    assert len(set(fold.history[monitor])) == 1
    assert fold.best_epoch == 1


@pytest.mark.parametrize(
    ("monitor", "direction", "policy", "best_epoch"),
    [
        ("val_accuracy", "maximize", "best", 3),
        ("val_accuracy", "maximize", "last", 4),
        ("val_loss", "minimize", "best", 3),
        ("val_loss", "maximize", "best", 4),
    ],
)
def test_value_and_saved_model_are_those_of_the_epoch_that_counts(
    monitor: str, direction: str, policy: str, best_epoch: int, bench: Bench, study_of: StudyOf
) -> None:
    spec = study_of(monitor=monitor, direction=direction, epoch_policy=policy, fit=climbing_after(3), epochs=4)
    score = bench.train(spec)
    (fold,) = score.folds
    assert fold.best_epoch == best_epoch
    assert score.value == fold.value == fold.history[monitor][best_epoch - 1]
    assert bench.last.reports == dict(enumerate(fold.history[monitor], start=1))
    validation = bench.validation(spec)
    measured = bench.model().evaluate(validation.x, validation.y, batch_size=512, verbose=0, return_dict=True)
    assert measured[monitor.removeprefix("val_")] == pytest.approx(score.value, rel=1e-6)


def test_no_model_is_saved_where_none_is_kept(bench: Bench, study_of: StudyOf) -> None:
    bench.train(study_of(keep_models=0, epochs=1))
    assert not bench.folder.model.exists()
    bench.train(study_of(epochs=1), is_among_best=lambda value: False)
    assert not bench.folder.model.exists()


def test_pruning_ends_training_in_order(bench: Bench, study_of: StudyOf) -> None:
    events = Events()
    with pytest.raises(optuna.TrialPruned):
        bench.train(study_of(fit=events.fit()), prune_after=2)
    assert events.seen == ["begin", "epoch 1", "epoch 2", "end"]
    assert list(bench.last.reports) == [1, 2]
    assert not bench.folder.model.exists()


def test_a_trial_killed_before_it_was_pruned_is_pruned_when_it_goes_on(
    bench: Bench, study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    events = Events()
    spec = study_of(fit=events.fit())
    with pytest.raises(interrupted):
        bench.train(spec, interrupt_after=2, prune_after=2)
    events.seen.clear()
    with pytest.raises(optuna.TrialPruned):
        bench.train(spec, prune_after=2)
    assert events.seen == []


def test_an_unknown_monitor_is_answered_with_the_metrics_there_are(bench: Bench, study_of: StudyOf) -> None:
    spec = study_of(monitor="val_acc")
    for _ in range(2):  # the second time from the checkpoint
        with pytest.raises(TrainingError) as caught:
            bench.train(spec)
        assert caught.value.happened == "the metric 'val_acc' was not reported after epoch 1 of trial 0."
        assert caught.value.expected == "Keras reported: accuracy, loss, val_accuracy, val_loss."
        assert "`monitor`" in caught.value.fix
    assert bench.last.reports == {}


def test_a_network_that_diverges_says_so_again_when_it_goes_on(bench: Bench, study_of: StudyOf) -> None:
    import keras

    def build(trial: optuna.Trial, data: Dataset) -> Any:
        return dense(data, loss=lambda y, p: keras.ops.sum(p) * float("nan"))

    events = Events()
    spec = study_of(build=build, fit=events.fit())
    for seen in (["begin", "epoch 1", "end"], []):
        events.seen.clear()
        with pytest.raises(DivergedError, match=r"loss was nan after epoch 1\."):
            bench.train(spec)
        assert events.seen == seen
    assert bench.last.reports == {}  # Optuna's pruners never see a NaN


def test_a_loss_that_is_a_function_can_be_saved(bench: Bench, study_of: StudyOf) -> None:
    import keras

    def loss(y: Any, p: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(y, p)

    def build(trial: optuna.Trial, data: Dataset) -> Any:
        return dense(data, loss=loss)

    score = bench.train(study_of(build=build, epochs=1))
    assert 0 < score.value < 1
    assert bench.folder.model.exists()


def test_what_fit_returns_is_passed_to_keras(bench: Bench, study_of: StudyOf) -> None:
    events = Events()
    only_threes = {label: float(label == 3) for label in range(10)}
    score = bench.train(study_of(fit=events.fit(batch_size=16, epochs=2, class_weight=only_threes)))
    assert events.seen == ["begin", "epoch 1", "epoch 2", "end"]  # the study says three
    assert events.steps == [10, 10]  # of 160 rows
    (fold,) = score.folds
    assert fold.history["loss"][0] < 0.5 < fold.history["val_loss"][0]  # nine classes of ten weigh nothing


@pytest.mark.parametrize(
    "name", ["x", "y", "validation_data", "validation_split", "initial_epoch", "steps_per_epoch", "sample_weight"]
)
def test_fit_may_not_replace_rows_or_epochs(name: str, bench: Bench, study_of: StudyOf) -> None:
    with pytest.raises(TrainingError, match=f"fit returned {name} in trial 0") as caught:
        bench.train(study_of(fit=lambda trial: {"batch_size": 8, name: 1}))
    assert f"Remove {name} " in caught.value.fix


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 0), ("epochs", 2.5), ("batch_size", 0), ("batch_size", 16.0), ("batch_size", "8")]
)
def test_counts_that_are_none_are_refused(name: str, value: object, bench: Bench, study_of: StudyOf) -> None:
    with pytest.raises(TrainingError, match=rf"fit returned {name}={value!r} in trial 0"):
        bench.train(study_of(fit=lambda trial: {name: value}))


def test_fit_returns_a_dict(bench: Bench, study_of: StudyOf) -> None:
    with pytest.raises(TrainingError, match=r"fit returned \('batch_size', 8\) in trial 0"):
        bench.train(study_of(fit=lambda trial: [("batch_size", 8)]))


def test_build_returns_a_compiled_model(bench: Bench, study_of: StudyOf) -> None:
    import keras

    with pytest.raises(TrainingError, match=r"build returned a model that is not compiled in trial 0") as caught:
        bench.train(study_of(build=lambda trial, data: keras.Sequential([keras.layers.Dense(10)])))
    assert "model.compile(" in caught.value.fix
    with pytest.raises(TrainingError, match="build returned None in trial 0"):
        bench.train(study_of(build=lambda trial, data: None))


class Rows:
    """What a network was given to train and to validate on, in each epoch: the first pixel numbers a row."""

    def __init__(self) -> None:
        self.epochs: list[list[int]] = []
        self.validated: list[list[int]] = []

    def build(self, trial: optuna.Trial, data: Dataset) -> Any:
        import keras
        import tensorflow as tf

        class Recorder(keras.layers.Layer):
            def call(layer, x: Any, training: bool = False) -> Any:
                if tf.executing_eagerly():  # else Keras learns the shapes
                    (self.epochs if training else self.validated)[-1].extend(int(number) for number in x[:, 0])
                return x

        model = keras.Sequential([keras.Input((1,)), Recorder(), keras.layers.Dense(2, activation="softmax")])
        model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
        return model

    def fit(self, trial: optuna.Trial) -> dict[str, Any]:
        import keras

        def start(epoch: int, logs: object) -> None:
            self.epochs.append([])
            self.validated.append([])

        self.epochs.clear()
        self.validated.clear()
        return {"batch_size": 7, "callbacks": [keras.callbacks.LambdaCallback(on_epoch_begin=start)]}


def test_a_network_trains_on_every_training_row_once_an_epoch_in_an_order_of_the_seed(
    bench: Bench, new_bench: Callable[[], Bench], study_of: StudyOf
) -> None:
    orders = {}
    for name, seed in {"one": 1, "again": 1, "other": 2}.items():
        one, rows = new_bench(), Rows()
        one.data = Dataset(np.arange(30, dtype=np.float32)[:, np.newaxis], np.arange(30) % 2)
        spec = study_of(build=rows.build, fit=rows.fit, seed=seed, folds=Holdout(0.2), keep_models=0)
        one.train(spec)
        (fold,) = one.folds(spec)
        assert len(rows.epochs) == 3
        assert [sorted(epoch) for epoch in rows.epochs] == [list(fold.train)] * 3
        assert rows.validated == [list(fold.validation)] * 3
        assert len({tuple(epoch) for epoch in rows.epochs}) == 3
        orders[name] = rows.epochs
    assert orders["one"] == orders["again"] != orders["other"]


def test_a_pass_of_three_epochs_reports_three_times_and_goes_on_within_it(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    rows = Rows()
    spec = study_of(build=rows.build, fit=rows.fit, folds=Holdout(0.2), epochs=6, epochs_per_pass=3, keep_models=0)
    whole, torn = new_bench(), new_bench()
    for one in (whole, torn):
        one.data = Dataset(np.arange(30, dtype=np.float32)[:, np.newaxis], np.arange(30) % 2)
    whole.train(spec)
    (fold,) = whole.folds(spec)
    first, second, *later = rows.epochs
    for three in ((first, second, later[0]), later[1:]):
        assert sorted(row for epoch in three for row in epoch) == list(fold.train)
    assert rows.validated == [list(fold.validation)] * 6
    assert whole.last is not None
    assert list(whole.last.reports) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(interrupted):
        torn.train(spec, interrupt_after=2)
    assert rows.epochs == [first, second]
    torn.train(spec)
    assert rows.epochs == later


def test_rows_keep_their_order_where_fit_says_so(bench: Bench, study_of: StudyOf) -> None:
    rows = Rows()
    bench.data = Dataset(np.arange(30, dtype=np.float32)[:, np.newaxis], np.arange(30) % 2)
    spec = study_of(build=rows.build, fit=lambda trial: {**rows.fit(trial), "shuffle": False}, keep_models=0)
    bench.train(spec)
    assert rows.epochs == [list(bench.folds(spec)[0].train)] * 3


def test_each_fold_gets_callbacks_and_a_network_of_its_own(bench: Bench, study_of: StudyOf) -> None:
    import keras

    made: list[Any] = []

    def fit(trial: optuna.Trial) -> dict[str, Any]:
        # Whatever comes after the first epoch is no improvement: with a stopper of its own each fold has 2 epochs.
        made.append(keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=100.0))
        return {"callbacks": [made[-1]]}

    score = bench.train(study_of(fit=fit, k=2))
    assert len(made) == 2
    assert made[0] is not made[1]
    assert [len(fold.history["loss"]) for fold in score.folds] == [2, 2]
    assert [stopper.best for stopper in made] == [fold.history["val_loss"][0] for fold in score.folds]
    assert made[0].best != made[1].best


def test_a_callback_that_an_earlier_fold_has_used_is_refused(bench: Bench, study_of: StudyOf) -> None:
    import keras

    stopper = keras.callbacks.EarlyStopping("val_loss")
    with pytest.raises(TrainingError, match="EarlyStopping in trial 0 that an earlier fold has used"):
        bench.train(study_of(fit=lambda trial: {"callbacks": [stopper]}, k=2, epochs=1))


def test_each_fold_leaves_its_value_its_curve_and_its_best_epoch(bench: Bench, study_of: StudyOf) -> None:
    score = bench.train(study_of(k=3, epochs=2))
    noted = bench.last.trial.user_attrs
    values = [fold.value for fold in score.folds]
    assert noted["fold_values"] == values
    assert noted["fold_std"] == pytest.approx(np.std(values, ddof=1))
    history = json.loads((bench.folder.shown / "history.json").read_text())
    assert history == [fold.history for fold in score.folds]
    assert noted["best_epoch"] == [fold.best_epoch for fold in score.folds]
    for fold in range(3):
        assert history[fold]["val_accuracy"][noted["best_epoch"][fold] - 1] == values[fold]


def test_a_trial_pruned_between_two_folds_keeps_those_that_are_finished(bench: Bench, study_of: StudyOf) -> None:
    with pytest.raises(optuna.TrialPruned):
        bench.train(study_of(k=3, epochs=1), prune_after=2)
    noted = bench.last.trial.user_attrs
    history = json.loads((bench.folder.shown / "history.json").read_text())
    assert len(noted["fold_values"]) == len(history) == 2
    assert bench.last.reports[2] == pytest.approx(np.mean(noted["fold_values"]))


def test_folds_are_reported_by_their_mean_after_the_epochs_of_the_first(bench: Bench, study_of: StudyOf) -> None:
    spec = study_of(fit=lambda trial: {"epochs": 4}, k=3, epochs=2)  # more epochs than the study has
    score = bench.train(spec)
    values = [fold.value for fold in score.folds]
    assert len(values) == 3
    assert score.value == pytest.approx(np.mean(values))
    first = dict(enumerate(score.folds[0].history["val_accuracy"], start=1))
    assert bench.last.reports == {**first, 5: pytest.approx(np.mean(values[:2])), 6: pytest.approx(np.mean(values))}
    assert not bench.folder.model.exists()


def test_a_trial_may_be_pruned_between_two_folds(bench: Bench, study_of: StudyOf) -> None:
    with pytest.raises(optuna.TrialPruned, match="after 2 folds"):
        bench.train(study_of(k=3, epochs=1), prune_after=2)
    assert list(bench.last.reports) == [1, 2]


def test_a_model_that_keras_cannot_save_is_a_finished_trial_all_the_same(
    bench: Bench, study_of: StudyOf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    def refuse(model: Any, path: Any) -> None:
        path.write_bytes(b"half a model")
        raise OSError("could not get source code")

    monkeypatch.setattr(keras.Model, "save", refuse)
    score = bench.train(study_of())
    assert 0 <= score.value <= 1
    assert "The model could not be saved: OSError: could not get source code" in capsys.readouterr().out
    assert not list(bench.folder.path.glob("*.keras"))


def test_a_metric_has_the_same_name_in_every_fold(bench: Bench, study_of: StudyOf) -> None:
    def with_top(trial: optuna.Trial, data: Dataset) -> Any:
        import keras

        model = dense(data)
        top = keras.metrics.SparseTopKCategoricalAccuracy(k=3)
        model.compile(loss="sparse_categorical_crossentropy", metrics=[top])
        return model

    monitor = "val_sparse_top_k_categorical_accuracy"
    score = bench.train(study_of(build=with_top, monitor=monitor, k=2, epochs=1))
    assert [monitor in fold.history for fold in score.folds] == [True, True]
