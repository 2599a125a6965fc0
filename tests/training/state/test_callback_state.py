"""What callbacks hold is given back to a trial that goes on, with its types, or named."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from autotune.errors import TrainingError
from autotune.study import StudySpec
from autotune.training.checkpoints.checkpoint import UnusableCheckpointError
from autotune.training.state.callback_state import doomed_attributes, lost_attributes, put_back, state_of

pytestmark = pytest.mark.trains

Bench = Any  # see conftest.py
StudyOf = Callable[..., StudySpec]


class Statistics:
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.best = {"epoch": 0}


class Holding(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """Counts epochs in every way that there is; what it counts decides on the learning rate."""

    def __init__(self, end: Callable[[dict[str, Any]], None] = lambda held: None) -> None:
        super().__init__()
        self.end = end
        self.n = 0
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.ordered: OrderedDict[Any, int] = OrderedDict()
        self.last: deque[int] = deque(maxlen=2)
        self.by_epoch: dict[Any, Any] = {}
        self.seen = {0}
        self.parity: Counter[int] = Counter()
        self.word = b""
        self.rng = np.random.default_rng(3)
        self.statistics = Statistics()
        self.inner = keras.callbacks.EarlyStopping(monitor="loss")
        self.with_own: defaultdict[int, list[int]] = defaultdict(lambda: [7])
        self.alias = self.by_epoch
        self.tensor = None

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.n += 1
        self.counts[f"epoch {epoch % 2}"] += 1
        self.ordered[epoch] = -epoch
        self.ordered.move_to_end(epoch, last=False)
        self.last.append(epoch)
        self.by_epoch[epoch] = {"half": (epoch / 2,)}
        self.alias[(epoch, "alias")] = np.float32(epoch)
        self.seen.add(epoch)
        self.parity.update([epoch % 2])
        self.word += b"x"
        self.statistics.seen.append(epoch)
        self.statistics.best["epoch"] = epoch
        self.inner.wait += 2
        self.with_own[epoch].append(epoch)
        self.tensor = keras.ops.convert_to_tensor(float(epoch))
        self.model.optimizer.learning_rate = 0.01 * self.rng.random() * (1 + self.counts["epoch 0"])

    def on_train_end(self, logs: object = None) -> None:
        held = {name: value for name, value in vars(self).items() if name not in {"_model", "_params", "end"}}
        self.end({**held, "statistics": vars(self.statistics), "inner": self.inner.wait})


def test_every_type_survives_an_interruption(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    ends: list[dict[str, Any]] = []
    spec = study_of(fit=lambda trial: {"callbacks": Holding(ends.append)})
    whole, bench = new_bench(), new_bench()
    expected = whole.train(spec)
    bench.study.enqueue_trial(whole.study.trials[0].params)
    with pytest.raises(interrupted):
        bench.train(spec, interrupt_after=2)
    assert bench.train(spec).folds == expected.folds
    one, other = ends
    assert one["n"] == 3
    for name, value in one.items():
        assert type(other[name]) is type(value), name
        if name not in {"rng", "tensor"}:
            assert other[name] == value, name
    assert other["rng"].random() == one["rng"].random()
    assert float(other["tensor"]) == 2.0
    assert other["alias"] is other["by_epoch"]
    assert other["last"].maxlen == 2
    assert list(other["ordered"]) == [2, 1, 0]
    assert other["with_own"][99] == [7]


def test_what_is_other_than_it_was_is_not_given_back() -> None:
    states = state_of([Holding()])
    with pytest.raises(UnusableCheckpointError, match="other callbacks"):
        put_back([], states)
    changed = Holding()
    changed.statistics = Counter()  # type: ignore[assignment]  # reason: the study file was edited
    with pytest.raises(UnusableCheckpointError, match=r"has a Statistics in Holding.statistics"):
        put_back([changed], states)


def test_what_is_taken_does_not_change_any_more() -> None:
    callback = Holding()
    (state,) = state_of([callback])
    callback.last.append(1)
    callback.statistics.seen.append(1)
    assert list(state["last"]) == []
    assert state["statistics"].items["seen"] == []
    assert state["alias"] is state["by_epoch"]


class Slotted:
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Losing(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at
        self.objects = [Slotted()]
        self.function = print

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.function = self.on_epoch_end
        if epoch == self.at:
            self.objects.append(Slotted())


def test_what_keras_and_users_hold_and_do_not_change_is_no_loss(tmp_path: Path) -> None:
    given = [Losing(0), keras.callbacks.CSVLogger(tmp_path / "log.csv"), keras.callbacks.EarlyStopping()]
    assert list(lost_attributes(given)) == ["Losing.objects"]
    assert lost_attributes(given) == lost_attributes(given)
    assert doomed_attributes(given) == []


def test_a_callback_that_loses_something_in_its_first_epoch_ends_the_run_by_name(
    bench: Bench, study_of: StudyOf
) -> None:
    with pytest.raises(TrainingError, match=r"Losing.objects changed in epoch 1 of trial 0, and no checkpoint can"):
        bench.train(study_of(fit=lambda trial: {"callbacks": [Losing(0)]}))


class OnModel(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
    """Counts epochs in an attribute of the model, or of one of its layers."""

    def __init__(self, of_layer: bool, is_made: bool) -> None:
        super().__init__()
        self.of_layer = of_layer
        self.is_made = is_made

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if not self.is_made:
            (model.layers[-1] if self.of_layer else model).seen = [0]

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        holder = self.model.layers[-1] if self.of_layer else self.model
        holder.seen = [*getattr(holder, "seen", []), epoch]


@pytest.mark.parametrize("of_layer", [False, True])
@pytest.mark.parametrize(("is_made", "epoch"), [(False, 1), (True, 2)])
def test_a_callback_that_counts_in_the_model_ends_the_run_by_name(
    bench: Bench, study_of: StudyOf, of_layer: bool, is_made: bool, epoch: int
) -> None:
    with pytest.raises(TrainingError, match=rf"\.seen changed in epoch {epoch} of trial 0, and no checkpoint can"):
        bench.train(study_of(fit=lambda trial: {"callbacks": [OnModel(of_layer, is_made)]}))


def test_one_that_loses_something_later_keeps_the_checkpoint_before(bench: Bench, study_of: StudyOf) -> None:
    spec = study_of(fit=lambda trial: {"callbacks": [Losing(1)]})
    bench.train(spec)
    assert bench.checkpoint(spec).epochs == 1
    said = "by epoch 2 Losing.objects changed, which no checkpoint holds: if it is interrupted from now on"
    assert said in bench.told[0]


def test_layers_that_a_callback_freezes_keep_the_checkpoint_before(
    new_bench: Callable[[], Bench], study_of: StudyOf, interrupted: type[BaseException]
) -> None:
    class Freeze(keras.callbacks.Callback):  # type: ignore[misc]  # reason: Keras ships no types
        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            pass  # so that each batch is a step of its own

        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            if epoch == 1:
                self.model.layers[-1].bias.trainable = False
                self.model.make_train_function(force=True)

    spec = study_of(fit=lambda trial: {"callbacks": [Freeze()]})
    whole, bench = new_bench(), new_bench()
    expected = whole.train(spec)
    bench.study.enqueue_trial(whole.study.trials[0].params)
    with pytest.raises(interrupted):
        bench.train(spec, interrupt_after=2)
    assert bench.train(spec).folds == expected.folds


def test_a_log_of_epochs_goes_on_with_its_trial(
    bench: Bench, study_of: StudyOf, interrupted: type[BaseException], tmp_path: Path
) -> None:
    given: list[Any] = []

    def fit(trial: object) -> dict[str, Any]:
        given.append(keras.callbacks.CSVLogger(tmp_path / "log.csv"))
        return {"callbacks": given[-1]}

    with pytest.raises(interrupted):
        bench.train(study_of(fit=fit), interrupt_after=2)
    given[0].csv_file.close()  # as the end of its process does
    bench.train(study_of(fit=fit))
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2"]


class BackupAndRestore(keras.callbacks.BackupAndRestore):  # type: ignore[misc]  # reason: Keras ships no types
    pass


class KerasPruningCallback(keras.callbacks.Callback):  # type: ignore[misc]  # reason: stands for optuna-integration's
    pass


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        (keras.callbacks.BackupAndRestore("there"), "resumes from it by itself"),
        ((BackupAndRestore("there"),), "resumes from it by itself"),
        ([KerasPruningCallback()], "the study's `pruner` decides"),
        ([keras.callbacks.EarlyStopping], "EarlyStopping(...), not EarlyStopping"),
        ("early", "is a list of keras.callbacks.Callback objects"),
    ],
)
def test_callbacks_that_cannot_be_used_are_refused(callbacks: Any, words: str, bench: Bench, study_of: StudyOf) -> None:
    with pytest.raises(TrainingError) as caught:
        bench.train(study_of(fit=lambda trial: {"callbacks": callbacks}))
    assert words in str(caught.value)


@pytest.mark.parametrize("into", [lambda one: one, lambda one: (one,), lambda one: keras.callbacks.CallbackList([one])])
def test_a_single_callback_and_other_ways_to_give_some_are_understood(
    into: Callable[[Any], Any], bench: Bench, study_of: StudyOf
) -> None:
    stopping = keras.callbacks.EarlyStopping(monitor="loss", min_delta=99, patience=0, start_from_epoch=0)
    score = bench.train(study_of(fit=lambda trial: {"callbacks": into(stopping)}))
    assert len(score.folds[0].history["loss"]) == 2
