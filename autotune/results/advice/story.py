"""The `Story` of a study: all records that a report shows, read once."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import StorageError
from autotune.optuna_inside import storage_of
from autotune.results.advice.advice import Advice, advise
from autotune.results.advice.importance import Importance, importances
from autotune.results.final import BASELINE, FinalResult, read_result, trained_again
from autotune.results.summary import badness, finished_in_order, stored_study
from autotune.running.planning import find_study
from autotune.running.study import StudySettings, find_places, options_of_places, places_of_study, read_settings
from autotune.running.tracking import read_history, write_note
from autotune.search.history import best_first, first_value
from autotune.study_name import study_folder
from autotune.training.records import best_epoch

_MOST_HISTORIES = 100  # each is a file to be read


@dataclass(frozen=True)
class Story:
    """The records of a study so far.

    Attributes:
        study: The study.
        folder: Its folder, `RUN_DIR/NAME`.
        settings: Its stored settings; None if this package never ran it.
        result: The result of `finalize`; None if there is none.
        where: The options with which another command finds it, e.g. " --run-dir DIR".
    """

    study: optuna.Study
    folder: Path
    settings: StudySettings | None
    result: FinalResult | None
    where: str = ""

    def command(self, verb: str, options: str = "") -> str:
        """Return a command about this study, e.g. "autotune replay mnist --trial 3"."""
        return " ".join(filter(None, [f"autotune {verb}", shlex.quote(self.study.study_name), options])) + self.where

    @property
    def question(self) -> str:
        """The question of the study: the docstring of its study file."""
        return self.settings.question if self.settings else ""

    @property
    def metric(self) -> str:
        """The metric by which trials are compared."""
        return (self.settings.monitor if self.settings else None) or "value"

    @property
    def maximize(self) -> bool:
        """Whether a larger value is better."""
        return self.study.directions[0] == optuna.study.StudyDirection.MAXIMIZE

    @cached_property
    def trials(self) -> list[FrozenTrial]:
        """All trials."""
        return self.study.get_trials(deepcopy=False)

    @cached_property
    def finished(self) -> list[FrozenTrial]:
        """The complete and the pruned trials, without copies."""
        return finished_in_order(self.study)

    @cached_property
    def places(self) -> list[int]:
        """The rank of each finished trial, from 0 for the best."""
        return badness(self.study, self.finished)

    @cached_property
    def best(self) -> list[FrozenTrial]:
        """The complete trials, the best first."""
        return best_first(self.study, [t for t in self.finished if t.state == TrialState.COMPLETE])

    @cached_property
    def important(self) -> list[Importance]:
        """The importance of each hyperparameter; empty if there are too few trials."""
        return importances(self.study)

    @cached_property
    def advice(self) -> list[Advice]:
        """The advice for the next search."""
        epochs = self.settings.epochs if self.settings and self.settings.monitor else None
        return advise(self.study, self.important, self._train_values(), epochs)

    def _train_values(self) -> dict[int, float]:
        """Return the monitored metric on the training rows, at the epoch that counts, by number of the trial."""
        if not self.metric.startswith("val_"):
            return {}
        found = {}
        for trial in self.best[:_MOST_HISTORIES]:
            histories = read_history(self.study, trial, self.folder) or []
            epochs = best_epoch(trial) or []
            epochs = epochs if isinstance(epochs, list) else [epochs]
            curves = [history.get(self.metric.removeprefix("val_"), []) for history in histories]
            values = [curve[epoch - 1] for curve, epoch in zip(curves, epochs, strict=False) if 0 < epoch <= len(curve)]
            if values:
                found[trial.number] = fmean(values)
        return found

    @cached_property
    def baseline(self) -> FrozenTrial | None:
        """The baseline's trial in the confirmation, with the first seed; None if there is none."""
        again = find_study(storage_of(self.study), f"{self.study.study_name}.confirm")
        repeats = trained_again(again).get(BASELINE, {}) if again else {}
        complete = [trial for trial in repeats.values() if trial.state == TrialState.COMPLETE]
        return complete[0] if complete else None

    @property
    def baseline_value(self) -> float | None:
        """The baseline's value: the mean over its seeds if it was confirmed."""
        confirmation = self.result.confirmation if self.result else None
        known = [one for one in confirmation.candidates if one.name == BASELINE] if confirmation else []
        if known and known[0].confirmed:
            return known[0].confirmed.mean
        return first_value(self.baseline) if self.baseline else None

    @property
    def winner(self) -> FrozenTrial | None:
        """The trial of the winner; the best trial if there is no winner yet; None if the baseline won."""
        if self.result is None:
            return self.best[0] if self.best else None
        name = self.result.confirmation.winner
        return next((trial for trial in self.trials if str(trial.number) == name), None)

    def epochs_of(self, trial: FrozenTrial) -> int:
        """Return the number of epochs of a trial over all folds; for a plain objective the number of its reports."""
        steps: Sequence[int] = list(trial.intermediate_values)
        epochs = self.settings.epochs if self.settings and self.settings.monitor else None
        if epochs is None:
            return len(steps)
        in_first_fold = sum(step <= epochs for step in steps)
        return in_first_fold + (len(steps) - in_first_fold) * epochs

    def curve_of(self, trial: FrozenTrial) -> dict[int, float]:
        """Return the reports of a trial in its first fold, by epoch."""
        epochs = self.settings.epochs if self.settings and self.settings.monitor else None
        return {
            step: value for step, value in sorted(trial.intermediate_values.items()) if epochs is None or step <= epochs
        }


def story_of(name: str, *, storage: str | None = None, run_dir: str | Path | None = None) -> Story:
    """Read the records of a study.

    Args:
        name: The study's name.
        storage: As in `autotune.run`.
        run_dir: As in `autotune.run`.

    Raises:
        UsageError: If there is no such study.
    """
    places = find_places(storage, run_dir, None)
    study = stored_study(places, name)
    settings = read_settings(study)
    places = places_of_study(name, settings, places)
    where = options_of_places(storage, run_dir)
    return Story(study, places.study_folder(name), settings, read_result(study), where)


def note_advice(study: optuna.Study) -> None:
    """Write the advice into a study's note on the dashboard.

    Studies of a plain objective get none, because their trials may take less time than the advice.
    """
    settings = read_settings(study)
    if settings is None or settings.monitor is None:
        return
    with contextlib.suppress(StorageError, StorageInternalError):  # as with the note itself: the run has ended well
        folder = study_folder(Path(settings.run_dir), study.study_name)
        story = Story(study, folder, settings, read_result(study))
        write_note(study, [f"{one.text} {one.evidence}" for one in story.advice])
