"""A faster page for studies with thousands of trials: fewer curves, sent earlier.

optuna-dashboard draws one curve for each trial with reports before it draws anything else. With 2,000 trials of 30
reports this takes most of the time to the first figure (scripts/benchmark_dashboard.py). Its page requests the trials
only after its script of 6 MB is compiled, which takes a browser seconds at the first visit; here a header makes the
browser request them at once (https://www.w3.org/TR/preload/). The answer for 10,000 trials takes 2.8 s in place of 5.0
(scripts/benchmark_shortcuts.py).
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Container, Iterable
from typing import Any

from bottle import HTTPError  # what optuna-dashboard is made with, and answers with
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autotune.errors import StoredStudyError
from autotune.results.dashboard.artifacts import WsgiApp

MOST_CURVES = 40
"""With more curves than that, those of the best and of the newest trials are shown, half and half."""

_PAGE = re.compile(r"/dashboard/studies/(\d+)(/.*)?")


@BaseStorage.register  # optuna-dashboard asks whether it is one
class FewCurves:
    """A storage, for optuna-dashboard to read, that shows the reports of `MOST_CURVES` finished trials of a study.

    Trials that run are shown with their reports, and all trials with everything else.

    Args:
        storage: The storage, which does all else.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return _answering(getattr(self._storage, name))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials: list[FrozenTrial] = _answering(self._storage.get_all_trials)(study_id, deepcopy, states)
        is_over = [trial for trial in trials if trial.intermediate_values and trial.state != TrialState.RUNNING]
        if len(is_over) <= MOST_CURVES:
            return trials
        half = MOST_CURVES // 2
        sign = -1 if self._storage.get_study_directions(study_id)[0] == StudyDirection.MAXIMIZE else 1
        complete = [trial for trial in is_over if trial.state == TrialState.COMPLETE]
        best = sorted(complete, key=lambda trial: sign * trial.values[0])[:half]
        hidden = {trial.number for trial in is_over} - {trial.number for trial in (*best, *is_over[-half:])}
        return [_without_reports(trial) if trial.number in hidden else trial for trial in trials]


def with_early_trials(app: WsgiApp) -> WsgiApp:
    """Return the dashboard's application, whose pages of a study have their trials sent while their script is read."""

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        page = _PAGE.fullmatch(environ.get("PATH_INFO", ""))

        def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            trials = f"</api/studies/{page[1]}?after=0>; rel=preload; as=fetch; crossorigin" if page else ""
            return start_response(status, [*headers, ("Link", trials)] if trials else headers, *rest)

        return app(environ, begin)

    return answering


def _answering(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a storage whose answer to the page is plain where a study cannot be understood."""

    @functools.wraps(method)
    def answering(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except StoredStudyError as error:
            raise HTTPError(500, error.happened) from error

    return answering


def _without_reports(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)  # the storage keeps it as it is
    shown.intermediate_values = {}
    return shown
