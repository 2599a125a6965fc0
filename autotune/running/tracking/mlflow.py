"""Finished trials as runs of MLflow, logged by its own client in a thread of the parent.

Trials never wait for a tracking server. What could not be logged, since the server or this parent was away, is logged
by the next run of the study: a trial is known by the study's token and its number, and is logged once.

What is covered: parents that log at the same time, each its own trials. What is not: two parents that begin within the
same seconds to make up for what an earlier one has left.
"""

from __future__ import annotations

import datetime
import logging
import queue
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from autotune.escaping import escaped
from autotune.failures import SUMMARY
from autotune.running.study import StudySettings
from autotune.running.tracking.events import Event, Note, Observer, TrialEnded
from autotune.running.tracking.trial_artifacts import artifact_store, read_artifacts

_STUDY, _TRIAL = "autotune.study", "autotune.trial"  # the tags by which a run is known
_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # in one request
_LONGEST_TAG = 5000
_SETTLED_S = 60.0  # after which nobody else is still at work on a trial that has ended
_CLOSE_S, _TICK_S = 60.0, 0.05


@dataclass(frozen=True)
class LoggedStudy:
    """The study whose trials are logged.

    Attributes:
        study: The study.
        settings: What it remembers.
        folder: Its folder, `RUN_DIR/NAME`.
        uri: The tracking server, or the database in its place.
    """

    study: optuna.Study
    settings: StudySettings
    folder: Path
    uri: str


class MlflowRuns:
    """An observer of a run that logs each trial when it has ended.

    Args:
        logged: The study.
        observer: Who else is told of each event, and once if the server is away.
    """

    def __init__(self, logged: LoggedStudy, observer: Observer) -> None:
        self._logged = logged
        self._observer = observer
        self._ended: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._has_told = False
        self._thread = threading.Thread(target=self._work, name="autotune-mlflow", daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrialEnded) and event.state != "interrupted":
            self._ended.put(event.number)
        self._observer(event)

    def close(self, sleep: Callable[[float], object]) -> None:
        """Wait until what has ended is logged, for a minute at most; the next run logs what is left.

        Args:
            sleep: Waits so many seconds; returns True to give up at once.
        """
        self._ended.put(None)
        waited_s = 0.0
        while self._thread.is_alive() and waited_s < _CLOSE_S and not sleep(_TICK_S):
            waited_s += _TICK_S

    def _work(self) -> None:
        runs: _Runs | None = None
        left: dict[int, None] = {}  # in their order, each once
        while True:
            try:
                runs = runs or _Runs(self._logged)
                runs.log(left)
            except Exception as error:  # whatever the client raises: the search goes on, and the next trial tries again
                self._tell(error)
            if (number := self._ended.get()) is None:
                return
            left[number] = None

    def _tell(self, error: Exception) -> None:
        if not self._has_told:
            self._has_told = True
            why = next(iter(str(error).splitlines()), type(error).__name__)[:200]
            self._observer(Note(None, f"trials cannot be logged to MLflow ({why}); the next trial or run tries again"))


class _Runs:
    """The runs of one study in MLflow, which it is connected to; used in one thread."""

    def __init__(self, logged: LoggedStudy) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of each table that it makes
        from mlflow import MlflowClient

        self._logged = logged
        self._client = MlflowClient(tracking_uri=logged.uri)
        self._experiment = self._experiment_id()
        self._done: set[int] = set()
        self._begun: dict[int, str] = {}  # runs of trials that are not logged to their end
        self._missed = self._missed_before()

    def log(self, numbers: dict[int, None]) -> None:
        """Log trials, and what earlier runs have left, and take out of `numbers` those that are logged."""
        numbers |= dict.fromkeys(self._missed)
        self._missed = []
        trials = self._logged.study.get_trials(deepcopy=False)
        for number in list(numbers):
            if number in self._done:  # it ended in this run, before there was a connection
                del numbers[number]
                continue
            if (before := self._begun.get(number)) is not None:
                self._client.delete_run(before)
            self._log(trials[number])
            self._done.add(number)
            del numbers[number], self._begun[number]

    def _experiment_id(self) -> str:
        name = self._logged.study.study_name
        if (found := self._client.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        is_server = self._logged.uri.startswith("http")
        where = None if is_server else str(self._logged.folder / "mlflow")  # else MLflow puts files where one just is
        try:
            return str(self._client.create_experiment(name, artifact_location=where))
        except Exception:
            if (found := self._client.get_experiment_by_name(name)) is None:
                raise
            return str(found.experiment_id)  # another parent was faster

    def _missed_before(self) -> list[int]:
        """Return the trials that have ended some time ago and are not logged, or not to their end."""
        trials = self._logged.study.get_trials(deepcopy=False)
        settled = datetime.datetime.now() - datetime.timedelta(seconds=_SETTLED_S)
        ended = [t.number for t in trials if t.datetime_complete is not None and t.datetime_complete < settled]
        known = set()
        for run in list(self._runs()):
            number = int(run.data.tags[_TRIAL])
            if run.info.status == "RUNNING" and number in ended:
                self._client.delete_run(run.info.run_id)  # whoever logged it did not come to its end
            else:
                known.add(number)
        return [number for number in ended if number not in known]

    def _runs(self) -> Iterator[Any]:
        of_study = f"tags.`{_STUDY}` = '{self._logged.settings.token}'"
        token = None
        while True:
            page = self._client.search_runs([self._experiment], of_study, max_results=1000, page_token=token)
            yield from page
            if not (token := page.token):
                return

    def _log(self, trial: FrozenTrial) -> None:
        from mlflow.entities import Metric, Param

        name = f"{self._logged.study.study_name} trial {trial.number}"
        began, ended = _milliseconds(trial.datetime_start), _milliseconds(trial.datetime_complete)
        run = self._client.create_run(self._experiment, start_time=began, tags=self._tags(trial), run_name=name)
        run_id = self._begun[trial.number] = run.info.run_id
        metrics = [Metric(key, value, ended, step) for key, value, step in self._metrics(trial)]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(run_id, metrics=metrics[start : start + _MOST_METRICS])
        params = [Param(_key(name), escaped(str(value))) for name, value in trial.params.items()]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(run_id, params=params[start : start + _MOST_PARAMS])
        self._log_artifacts(run_id, trial)
        self._client.set_terminated(run_id, _STATUS[trial.state], end_time=ended)

    def _tags(self, trial: FrozenTrial) -> dict[str, str]:
        tags = {_STUDY: self._logged.settings.token, _TRIAL: str(trial.number)}
        tags["autotune.state"] = trial.state.name.lower()
        for name in ("failure", "failure_message", SUMMARY, "best_epoch", "n_parameters", "copy_of"):
            if name in trial.user_attrs:
                tags[f"autotune.{name}"] = escaped(str(trial.user_attrs[name]))[-_LONGEST_TAG:]
        return tags

    def _metrics(self, trial: FrozenTrial) -> Iterator[tuple[str, float, int]]:
        """Yield the reports by the name of what is monitored, and the values that count."""
        settings = self._logged.settings
        monitor = settings.monitor or "report"
        yield from ((_key(monitor), value, step) for step, value in sorted(trial.intermediate_values.items()))
        if trial.state == TrialState.COMPLETE:
            names = ["value", *settings.minimize]
            yield from ((name, value, 0) for name, value in zip(names, trial.values or [], strict=False))

    def _log_artifacts(self, run_id: str, trial: FrozenTrial) -> None:
        store = artifact_store(self._logged.folder, self._logged.settings)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in read_artifacts(store, trial):
                path = Path(folder) / Path(name).name
                path.write_bytes(content)
                self._client.log_artifact(run_id, str(path))


def _milliseconds(time: datetime.datetime | None) -> int:
    return int(time.timestamp() * 1000) if time is not None else 0


def _key(name: str) -> str:
    """Return a name with what MLflow takes in one."""
    return re.sub(r"[^\w\-. /:]", "_", name)
