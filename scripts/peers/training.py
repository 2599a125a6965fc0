"""One trial as all methods train it: the study file's own network from plain values, on the same arrays."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import optuna

from autotune import Dataset, Holdout, StudySpec, load_study_file
from peers.journal import Journal
from peers.problems import STUDIES, Problem, Rows, Values

MONITOR = "val_accuracy"


class Recorder(keras.callbacks.Callback):
    """Notes each epoch; to be the first of the callbacks, so that what others do counts as time outside of epochs.

    Args:
        journal: Where.
        trial: Whose epochs they are.
        share: Of the training rows, the share that an epoch goes through.
    """

    def __init__(self, journal: Journal, trial: str, share: float) -> None:
        super().__init__()
        self._journal = journal
        self._trial = trial
        self._share = share
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        accuracy = float((logs or {})[MONITOR])
        self._journal.note_epoch(self._trial, epoch + 1, accuracy, time.monotonic() - self._began, self._share)


class Trainer:
    """Builds and trains a problem's networks in this process.

    Args:
        problem: The problem.
        rows: Its rows.
        journal: Where epochs are noted.
        seed: Of the weights and the order of the rows; set once, as a script would.
    """

    def __init__(self, problem: Problem, rows: Rows, journal: Journal, seed: int) -> None:
        self._rows = rows
        self._journal = journal
        self._spec = load_study_file(STUDIES / problem.study_file)
        self._data = Dataset(rows.x, rows.y.argmax(axis=1) if problem.one_hot else rows.y, name=problem.dataset)
        keras.utils.set_random_seed(seed)

    def model(self, values: Values) -> keras.Model:
        """Build and compile a configuration's network."""
        assert self._spec.build is not None
        return self._spec.build(_fixed(values), self._data)

    def fit(
        self,
        model: keras.Model,
        values: Values,
        trial: str,
        epochs: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        initial_epoch: int = 0,
    ) -> keras.callbacks.History:
        """Train it, noting each epoch.

        Args:
            model: What `model` has built.
            values: Its configuration.
            trial: Whose epochs they are.
            epochs: The last epoch.
            callbacks: The tuner's own; they come after those of the configuration.
            initial_epoch: How many epochs it has been trained already.
        """
        assert self._spec.fit is not None
        arguments = dict(self._spec.fit(_fixed(values)))
        own = arguments.pop("callbacks", [])
        return model.fit(
            self._rows.x,
            self._rows.y,
            validation_data=(self._rows.validation_x, self._rows.validation_y),
            epochs=epochs,
            initial_epoch=initial_epoch,
            callbacks=[Recorder(self._journal, trial, 1.0), *own, *callbacks],
            verbose=0,
            **arguments,
        )


def recorded(study: StudySpec, holdout: float, path: str, began: float, epochs_per_pass: int) -> StudySpec:
    """Return a study with that holdout, whose trials note each epoch in the journal at `path`.

    It has no baseline and no guess, not even the usual values of `autotune.spaces`: the other methods are not told of a
    configuration to begin with either. With several epochs in a pass it trains for as many passes as before for epochs,
    and callbacks are as patient.
    """
    assert study.fit is not None
    fit = _recording(study.fit, Journal(path, began), epochs_per_pass)
    return dataclasses.replace(
        study,
        folds=Holdout(holdout),
        fit=fit,
        baseline=None,
        guess=None,
        epochs=study.epochs * epochs_per_pass,
        epochs_per_pass=epochs_per_pass,
    )


def _recording(
    fit: Callable[[optuna.Trial], Mapping[str, Any]], journal: Journal, epochs_per_pass: int
) -> Callable[[optuna.Trial], dict[str, Any]]:
    def arguments(trial: optuna.Trial) -> dict[str, Any]:
        given = dict(fit(trial))
        callbacks = given.get("callbacks", [])
        for callback in callbacks:
            if hasattr(callback, "patience"):
                callback.patience *= epochs_per_pass
        return {**given, "callbacks": [Recorder(journal, str(trial.number), 1.0 / epochs_per_pass), *callbacks]}

    return arguments


def _fixed(values: Values) -> Any:
    return optuna.trial.FixedTrial(dict(values))
