"""A study with many trials is sent with the reports of some, and with everything else of all."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from autotune.results.dashboard.few_curves import MOST_CURVES
from autotune.results.dashboard.serving import dashboard_app

Ask = Callable[..., tuple[str, dict[str, str], bytes]]


def study_of(n_trials: int, direction: str) -> optuna.Study:
    """Return a study whose trials grow with their number, of which every third is pruned; the last one runs."""
    study = optuna.create_study(study_name="many", direction=direction)
    for number in range(n_trials):
        state = TrialState.PRUNED if number % 3 == 0 else TrialState.COMPLETE
        x = {"params": {"x": 0.5}, "distributions": {"x": FloatDistribution(0, 1)}}
        study.add_trial(create_trial(state=state, value=float(number), intermediate_values={1: 0.0, 2: 1.0}, **x))
    study.ask().report(0.0, 1)
    return study


def sent(ask: Ask, study: optuna.Study, tmp_path: Path) -> list[dict[str, Any]]:
    app = dashboard_app(study._storage, tmp_path)
    status, headers, body = ask(app, f"/api/studies/{study._study_id}")
    assert status.startswith("200")
    assert int(headers["Content-Length"]) == len(body)
    trials: list[dict[str, Any]] = json.loads(body)["trials"]
    return trials


@pytest.mark.parametrize(("direction", "best"), [("maximize", range(350, 600)), ("minimize", range(250))])
def test_the_best_and_the_newest_of_many_keep_their_reports(
    ask: Ask, tmp_path: Path, direction: str, best: range
) -> None:
    trials = sent(ask, study_of(600, direction), tmp_path)
    curved = {trial["number"] for trial in trials if trial["intermediate_values"]}
    half = MOST_CURVES // 2
    complete = [number for number in best if number % 3]
    assert curved >= set(range(600 - half, 601))  # the last one runs
    assert curved >= set(complete[-half:] if direction == "maximize" else complete[:half])
    assert len(curved) <= MOST_CURVES + 1
    assert len(trials) == 601
    assert all(trial["params"] for trial in trials[:600])
    assert [trial["values"] for trial in trials[:600]] == [[float(number)] for number in range(600)]


def test_few_trials_are_sent_as_they_are(ask: Ask, tmp_path: Path) -> None:
    assert all(trial["intermediate_values"] for trial in sent(ask, study_of(MOST_CURVES - 1, "maximize"), tmp_path))


def test_other_answers_are_as_optuna_dashboard_gives_them(ask: Ask, tmp_path: Path) -> None:
    logging.getLogger("optuna_dashboard").setLevel(logging.CRITICAL)
    app = dashboard_app(study_of(1, "maximize")._storage, tmp_path)
    assert json.loads(ask(app, "/api/meta")[2])["artifact_is_available"]
    status, headers, _ = ask(app, "/api/studies/7")
    assert status.startswith("404")
    status, headers, body = ask(app, "/static/bundle.js", HTTP_ACCEPT_ENCODING="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body)


def test_the_page_of_a_study_has_its_trials_asked_for_at_once(ask: Ask, tmp_path: Path) -> None:
    app = dashboard_app(study_of(1, "maximize")._storage, tmp_path)
    for page in ("/dashboard/studies/1", "/dashboard/studies/1/analytics"):
        assert ask(app, page)[1]["Link"].startswith("</api/studies/1?after=0>; rel=preload")
    assert "Link" not in ask(app, "/dashboard")[1]
