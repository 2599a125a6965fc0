"""Explain the winner's model, or the best one, on its validation rows, and keep the result.

The rows are the validation rows of the holdout, on which trials were compared. On training rows the model would look
too good, and test rows are only for the final score.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.data.rows import Dataset
from autotune.data.stored import load_folds
from autotune.errors import UsageError
from autotune.results.explanation.record import (
    Explanation,
    Subject,
    explanation_folder,
    read_record,
    write_record,
)
from autotune.results.final import read_result
from autotune.results.summary import refuse_part, settings_of, source_of, stored_study
from autotune.running.engine import Machine, session
from autotune.running.planning import RunOptions, plan_replay
from autotune.running.processes import Slot
from autotune.running.study import StudySettings, StudySource, find_places, objects_of, places_of_study, understanding
from autotune.running.trial import Rows, load_in_slot, open_development, rebuilding, send_result
from autotune.search.history import best_first, first_value
from autotune.study import StudySpec
from autotune.training.checkpoints import trial_folder
from autotune.training.outputs import Findings, find

if TYPE_CHECKING:
    import keras

_FORM = "5"  # version of the findings; findings of another version are computed again


def explain(
    study: StudySpec | str,
    *,
    storage: str | None = None,
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    gpus: str | Sequence[int | str] | None = None,
    trust: bool = False,
) -> Explanation:
    """Explain the model of a study on the rows of its holdout, or return the stored explanation.

    The model is that of the confirmed winner's trial in the search, else that of the best trial that has kept one.

    Args:
        study: The name of a study that was started from a study file, or the `StudySpec` that it was started from.
        storage: As in `autotune.run`, like all that follows.
        run_dir: Where its files are.
        data_dir: Where datasets are looked for first.
        gpus: Which GPUs.
        trust: Whether the study file that the storage names may be run although it has not run here before, or has
            changed since.

    Raises:
        UsageError: If there is no such study, or no model of it; the message says what to do about it.
        KeyboardInterrupt: If a signal came.
    """
    name = study if isinstance(study, str) else study.name
    places = find_places(storage, run_dir, data_dir)
    found = stored_study(places, name)
    settings = settings_of(found)
    places = places_of_study(name, settings, places)
    folder = places.study_folder(name)
    with understanding(name):
        if (known := read_explanation(found, folder)) is not None:
            return known
        subject, trial, model = _subject(found, settings, folder)
    with session(RunOptions(source_of(study, settings, trust), places), Machine(workers=1, gpus=gpus)) as here:
        code, assignment, now = plan_replay(here.preparer, trial, repeats=0)
        assert assignment.rows is not None  # where there is a model
        task = FindOut(code, assignment.rows, model, trial.params, here.sharing.slots(now.threads)[0])
        findings: tuple[Findings, ...] = here.preparer.ask(task)
    explanation = Explanation(subject, findings, explanation_folder(folder))
    write_record(explanation)
    return explanation


def read_explanation(study: optuna.Study, folder: Path) -> Explanation | None:
    """Return the stored explanation of the study's current model; None if there is none.

    Args:
        study: The study.
        folder: Its folder, `RUN_DIR/NAME`.

    Raises:
        UsageError: If there is no model of it; the message says what to do about it.
    """
    subject, _, _ = _subject(study, settings_of(study), folder)
    known = read_record(explanation_folder(folder))
    return known if known is not None and known.subject == subject else None


@dataclass(frozen=True)
class FindOut:
    """Task: compute the findings about a model on the validation rows of its only fold, and send them.

    Attributes:
        source: The study.
        rows: The development rows, and who trained on which.
        model: The model's file.
        params: The hyperparameters of its trial.
        slot: What the process may use of the machine.
    """

    source: StudySource
    rows: Rows
    model: Path
    params: Mapping[str, Any]
    slot: Slot

    def __call__(self, connection: Connection) -> None:
        os.environ.update(self.slot.environment)
        send_result(connection, self._find)

    def _find(self) -> tuple[Findings, ...]:
        from autotune.results.explanation.attributing import with_reasons
        from autotune.training.inspection import load_trained

        spec = load_in_slot(self.source, replace(self.slot, devices=1))
        (fold,) = load_folds(self.rows.folds)
        data = open_development(self.rows.dataset, spec, self.rows.data_dir)
        rebuild = rebuilding(spec, self.params, data.subset(fold.train))
        model = load_trained(self.model, objects_of(spec), rebuild)
        rows = data.subset(fold.validation)
        found = find(model, rows, fold.validation, spec.one_hot)
        seen = tuple(with_reasons(model, rows, fold.validation, one) for one in found)
        return with_metrics(seen, _metrics(model, rows, spec))


def with_metrics(findings: Sequence[Findings], metrics: Mapping[str, float]) -> tuple[Findings, ...]:
    """Return findings with the metrics of their outputs; Keras begins these with the output's name.

    Args:
        findings: The findings about each output.
        metrics: The metrics of the whole model, by Keras's name; of several outputs those without a name are left out.
    """
    names = sorted((one.output for one in findings if one.output), key=len, reverse=True)
    own: dict[str, dict[str, float]] = {one.output: {} for one in findings}
    for metric, value in metrics.items():
        output = next((name for name in names if metric.startswith(f"{name}_")), "")
        if output in own:
            own[output][metric.removeprefix(f"{output}_") if output else metric] = value
    return tuple(replace(one, metrics=own[one.output]) for one in findings)


def _metrics(model: keras.Model, rows: Dataset, spec: StudySpec) -> dict[str, float]:
    from autotune.training.inspection import measure

    with contextlib.suppress(UsageError):  # a model without a loss of its own
        found = measure(model, rows, str(spec.monitor).removeprefix("val_"), spec.one_hot, spec.score)
        return {found.metric: found.value, **found.others}
    return {}


def _subject(study: optuna.Study, settings: StudySettings, folder: Path) -> tuple[Subject, FrozenTrial, Path]:
    """Return the model that stands for the answer, its trial and its file."""
    refuse_part(study, settings, "explain")
    result = read_result(study)
    winner = result.confirmation.winner if result else None
    complete = best_first(study, study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    for trial in sorted(complete, key=lambda trial: str(trial.number) != winner):
        model = trial_folder(folder, trial.number).kept_model
        if not model.is_file():  # nor a pipe, which is waited for
            continue
        try:
            digest = hashlib.sha256(model.read_bytes())
        except FileNotFoundError:  # just now no longer
            continue
        digest.update(f"{settings.split}:{_FORM}".encode())
        value, is_winner = first_value(trial) or 0.0, str(trial.number) == winner
        subject = Subject(study.study_name, trial.number, value, str(settings.monitor), is_winner, digest.hexdigest())
        return subject, trial, model
    raise _no_model(study, settings, folder)


def _no_model(study: optuna.Study, settings: StudySettings, folder: Path) -> UsageError:
    if settings.split is None:
        return UsageError(
            f"what the model sees is not known: {study.study_name!r}, a plain objective, trains networks of its own.",
            "Explanations are of networks that `build` makes, on rows that they were not trained on.",
            "`autotune report` shows the reported values and the confirmed result of every study.",
        )
    why = _why(settings, folder)
    return UsageError(
        f"what the model sees is not known: no trial of {study.study_name!r} has kept its model{why}.",
        "It takes the model of a trial, and rows that it was not trained on: those of its holdout.",
        f"Search with folds={_one_fold(settings)} and keep_models of at least 1 in the study file (under another name, "
        "if the split changes), or explain on the machine that has the run dir.",
    )


def _one_fold(settings: StudySettings) -> str:
    """Return folds that train once and, like those of the study, separate groups or periods.

    The study file, which may not be trusted, is not run for this: the name of its folds is in the stored description.
    """
    folds = settings.data.rpartition("; ")[2]
    if "Group" in folds:
        return "GroupShuffleSplit(1, test_size=0.1) of scikit-learn, which keeps groups whole,"
    return "Latest(0.1)" if folds.startswith(("TimeSeriesSplit", "Latest")) else "Holdout(0.1)"


def _why(settings: StudySettings, folder: Path) -> str:
    assert settings.split is not None
    folds = folder / f"folds-{settings.split[:12]}.npz"
    n_folds = len(load_folds(folds)) if folds.exists() else 1
    return f": each is trained {n_folds} times, on k folds" if n_folds > 1 else ""
