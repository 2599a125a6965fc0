"""The page of a study with thousands of trials, drawn in time: only some of their reports are sent, and those early.

optuna-dashboard draws one curve for each trial that has reported something, and draws nothing else before it is done:
with 2,000 trials of 30 reports that takes most of the time to the first picture (scripts/benchmark_dashboard.py). Its
page asks for the trials when its script of 6 MB is compiled, which takes a browser seconds at the first visit: here it
is told to ask at once (https://www.w3.org/TR/preload/).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from autotune.results.dashboard_store import WsgiApp

MOST_CURVES = 40
"""With more curves than that, those of the best and of the newest trials are sent, half and half."""

_STUDY = re.compile(r"/api/studies/\d+/?")
_PAGE = re.compile(r"/dashboard/studies/(\d+)(/.*)?")


def with_few_curves(app: WsgiApp) -> WsgiApp:
    """Return the dashboard's application, with the reports of `MOST_CURVES` finished trials at most in its answers.

    Trials that run are sent with their reports, and all trials with everything else.
    """

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("REQUEST_METHOD") != "GET" or not _STUDY.fullmatch(environ.get("PATH_INFO", "")):
            return app(environ, start_response)
        begun: list[Any] = []

        def begin(*answer: Any) -> None:
            begun[:] = answer

        body = b"".join(app(environ, begin))
        status, headers, *rest = begun
        if status.startswith("200"):
            body = _with_few_curves(body)
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
        start_response(status, headers, *rest)
        return [body]

    return answering


def with_early_trials(app: WsgiApp) -> WsgiApp:
    """Return the dashboard's application, whose pages of a study have their trials sent while their script is read."""

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        page = _PAGE.fullmatch(environ.get("PATH_INFO", ""))

        def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            trials = f"</api/studies/{page[1]}?after=0>; rel=preload; as=fetch; crossorigin" if page else ""
            return start_response(status, [*headers, ("Link", trials)] if trials else headers, *rest)

        return app(environ, begin)

    return answering


def _with_few_curves(body: bytes) -> bytes:
    study = json.loads(body)
    is_over = [trial for trial in study["trials"] if trial["intermediate_values"] and trial["state"] != "Running"]
    if len(is_over) <= MOST_CURVES:
        return body
    half, sign = MOST_CURVES // 2, -1 if study["directions"][0] == "maximize" else 1
    complete = [trial for trial in is_over if trial["state"] == "Complete"]
    best = sorted(complete, key=lambda trial: sign * float(trial["values"][0]))[:half]
    shown = {trial["number"] for trial in (*best, *is_over[-half:])}
    for trial in is_over:
        if trial["number"] not in shown:
            trial["intermediate_values"] = []
    return json.dumps(study).encode()
