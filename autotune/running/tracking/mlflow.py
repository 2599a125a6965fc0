"""Finished trials as runs of MLflow, logged by its own client in a thread of the parent.

Trials never wait for a tracking server. If a trial could not be logged, because the server was unreachable or this
parent died, the next run of the study logs it. Tags with the study's token and the trial's number make sure that each
trial is logged once.

What is covered: parents that log their own trials at the same time. What is not covered: two parents that start within
the same seconds and both log the trials that an earlier one has missed.
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

_STUDY, _TRIAL = "autotune.study", "autotune.trial"  # the tags that identify a run
_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # in one request
_LONGEST_TAG = 5000
_SETTLED_S = 60.0  # so long after a trial's end no other parent is still logging it
_CLOSE_S, _TICK_S = 60.0, 0.05


@dataclass(frozen=True)
class LoggedStudy:
    """The study whose trials are logged.

    Attributes:
        study: The study.
        settings: Its stored settings.
        folder: Its folder, `RUN_DIR/NAME`.
        uri: The tracking URI: of a server, or of a database.
    """

    study: optuna.Study
    settings: StudySettings
    folder: Path
    uri: str


class MlflowRuns:
    """An observer of a run that logs each trial when it has ended.

    Args:
        logged: The study.
        observer: Receives each event, and one note if the server is unreachable.
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
        """Wait at most a minute until all ended trials are logged; the next run logs those that are left.

        Args:
            sleep: Waits so many seconds; returns True to stop waiting.
        """
        self._ended.put(None)
        waited_s = 0.0
        while self._thread.is_alive() and waited_s < _CLOSE_S and not sleep(_TICK_S):
            waited_s += _TICK_S

    def _work(self) -> None:
        runs: _Runs | None = None
        left: dict[int, None] = {}  # a set that keeps the order
        while True:
            try:
                runs = runs or _Runs(self._logged)
                runs.log(left)
            except Exception as error:  # the client may raise any error; the next trial tries again
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
    """A connection to the runs of one study in MLflow, for use in one thread."""

    def __init__(self, logged: LoggedStudy) -> None:
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it logs each table that it creates
        from mlflow import MlflowClient

        self._logged = logged
        self._client = MlflowClient(tracking_uri=logged.uri)
        self._experiment = self._experiment_id()
        self._done: set[int] = set()
        self._begun: dict[int, str] = {}  # runs of trials that are not completely logged
        self._missed = self._missed_before()

    def log(self, numbers: dict[int, None]) -> None:
        """Log trials and those that earlier runs have missed, and remove the logged ones from `numbers`."""
        numbers |= dict.fromkeys(self._missed)
        self._missed = []
        trials = self._logged.study.get_trials(deepcopy=False)
        for number in list(numbers):
            if number in self._done:  # it was also among those that earlier runs have missed
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
        where = None if is_server else str(self._logged.folder / "mlflow")  # else MLflow uses the working directory
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
                self._client.delete_run(run.info.run_id)  # its parent died while it logged it
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
        """Yield names, values and steps: of the reports under the monitored metric, and of the trial's values."""
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
    """Return a name without characters that MLflow does not allow."""
    return re.sub(r"[^\w\-. /:]", "_", name)
