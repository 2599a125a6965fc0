"""The report in a real browser: on its own, without a complaint and without a request."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from browser import NoBrowserError, browser, complaints  # scripts/browser.py
from skips import without_browser

from autotune.figures import coloured_words
from autotune.results.report.page import Section, paragraph, table, whole_page
from autotune.results.report.writing import write_report
from autotune.running.storages.opening import sqlite_url


@pytest.fixture
def chromium() -> Iterator[Any]:
    try:
        with browser() as page:
            yield page
    except NoBrowserError as error:
        without_browser(str(error))


def objective(trial: optuna.Trial) -> float:
    x, rate = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    final = 1 - (x - 0.3) ** 2 - 0.1 * abs(math.log10(rate) + 2.5)
    for epoch in range(1, 6):
        trial.report(final - 0.3 / epoch, epoch)
    return final


def test_every_section_and_picture_is_shown_without_complaint_or_request(chromium: Any, tmp_path: Path) -> None:
    study = optuna.create_study(
        storage=sqlite_url(tmp_path / "autotune.db"),
        study_name="toy",
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    study.optimize(objective, n_trials=30)
    path = write_report("toy", run_dir=tmp_path)
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        chromium.get(path.as_uri())
        assert complaints(chromium) == []
        fetched = json.loads(chromium.execute_script("return JSON.stringify(performance.getEntriesByType('resource'))"))
        assert [one["name"] for one in fetched if not one["name"].startswith("data:")] == []
        shown = chromium.execute_script(
            "return [...document.querySelectorAll('section, figure svg')].map(e => e.getBoundingClientRect().height)"
        )
        assert len(shown) >= 14
        assert min(shown) > 20
        wide = chromium.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
        ink, ground = chromium.execute_script(
            "const s = e => getComputedStyle(e); const text = document.querySelector('figure svg text');"
            "return [s(text).fill, s(document.body).backgroundColor]"
        )
        assert _lightness(ink) < 0.3 < 0.9 < _lightness(ground) or _lightness(ground) < 0.3 < 0.8 < _lightness(ink)
        assert (_lightness(ground) < 0.5) == (scheme == "dark")


def test_a_long_word_is_broken_on_a_narrow_page(chromium: Any, tmp_path: Path) -> None:
    words = f'<ul><li><span class="words">{coloured_words(["w" * 3000], np.ones(1))}</span></li></ul>'
    page = tmp_path / "page.html"
    page.write_text(whole_page("long", "", [Section("Words", paragraph("w" * 3000) + words)]), "utf-8")
    size = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chromium.get(page.as_uri())
    assert chromium.execute_script("return document.documentElement.scrollWidth") == 390


def test_no_table_is_cut_on_paper(chromium: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    columns = [f"a column with a name {number}" for number in range(9)]
    page.write_text(whole_page("wide", "", [Section("Winner", table(columns, [[0.123456789] * 9]))]), "utf-8")
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 700, "height": 990, "deviceScaleFactor": 1, "mobile": False}
    )
    chromium.get(page.as_uri())
    width, overflow = chromium.execute_script(
        "const w = document.querySelector('.wide');"
        "return [document.querySelector('table').getBoundingClientRect().right, getComputedStyle(w).overflowX]"
    )
    assert overflow == "visible"
    assert width <= 700


def _lightness(colour: str) -> float:
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255
