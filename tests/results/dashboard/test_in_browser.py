"""The dashboard in a real browser: studies, history, and a trial's pictures, without a complaint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from browser import NoBrowserError, browser, complaints, dashboard  # scripts/browser.py
from command_line import autotune
from optuna.trial import TrialState
from skips import without_browser

from autotune import CurvePruner, CurveSampler

pytestmark = pytest.mark.trains

PATIENCE_S = 120  # a busy machine is no mistake of the page
STUDY = '''
"""Does a larger learning rate help?"""
import keras
from autotune import Holdout, StudySpec

def build(trial, data):
    model = keras.Sequential([keras.Input(data.input_shape), keras.layers.Flatten(),
        keras.layers.Dense(data.n_classes, activation="softmax")])
    model.compile(optimizer=keras.optimizers.Adam(trial.suggest_float("rate", 1e-3, 1e-1, log=True)),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

study = StudySpec(name="digits", dataset="digits", folds=Holdout(0.1), build=build, monitor="val_accuracy",
    direction="maximize", epochs=3, n_trials=2, seed=0)
'''

Page = Any


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a dashboard that shows a study with two trials."""
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "study.py").write_text(STUDY)
    where = ["--run-dir", str(folder / "runs"), "--storage", f"sqlite:///{folder}/study.db"]
    assert autotune("run", folder / "study.py", "--workers", "1", *where).returncode == 0
    search_curves(f"sqlite:///{folder}/study.db")
    with dashboard(*where) as found:
        yield found


def search_curves(storage: str) -> None:
    """Fill a study of curves that nothing but Optuna, our sampler and our pruner know of."""
    sampler, pruner = CurveSampler(max_epochs=10, seed=0), CurvePruner(max_epochs=10)
    study = optuna.create_study(
        study_name="curves", storage=storage, direction="maximize", sampler=sampler, pruner=pruner
    )
    for _ in range(14):
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 1.0)
        for epoch in range(1, 11):
            trial.report(1.0 - abs(x - 0.4) - 0.5 / epoch, epoch)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, 0.95 - abs(x - 0.4))
    assert {TrialState.PRUNED, TrialState.COMPLETE} == {trial.state for trial in study.trials}


@pytest.fixture(scope="module")
def _chromium() -> Iterator[Page]:
    try:
        with browser() as page:
            yield page
    except NoBrowserError as error:
        without_browser(str(error))


@pytest.fixture
def page(_chromium: Page) -> Iterator[Page]:
    """Give a browser; the test fails if a page has logged an error or an image or script could not be loaded."""
    yield _chromium
    assert complaints(_chromium) == []


def wait(page: Page, script: str) -> Any:
    """Return what a script returns as soon as that is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, PATIENCE_S, poll_frequency=0.1).until(lambda page: page.execute_script(script))


def shows(text: str) -> str:
    return f"return document.body.innerText.includes({text!r})"


def test_the_studies_of_the_storage_are_listed(page: Page, address: str) -> None:
    page.get(f"{address}dashboard")
    assert wait(page, shows("digits"))


def test_the_history_of_a_study_is_drawn_by_the_name_of_its_metric(page: Page, address: str) -> None:
    page.get(f"{address}dashboard/studies/1")
    assert wait(page, "return document.querySelectorAll('#plot-history .main-svg .trace').length > 0")
    assert wait(page, "return document.querySelector('#plot-history .ytitle').textContent") == "val_accuracy"


def test_a_trials_page_shows_its_pictures(page: Page, address: str) -> None:
    page.get(f"{address}dashboard/studies/1/trials?numbers=0")
    loaded = (
        "Array.from(document.querySelectorAll('img[src*=\"/artifacts/\"]')).filter(image => image.naturalWidth > 0)"
    )
    assert wait(page, f"return {loaded}.length == 2")  # its curves, and what it confuses
    widths = page.execute_script(f"return {loaded}.map(image => image.naturalWidth).sort()")
    assert min(widths) > 300
    assert wait(page, shows("history.json"))


def test_the_note_of_a_study_says_what_it_is_about(page: Page, address: str) -> None:
    page.get(f"{address}dashboard/studies/1/note")
    assert wait(page, shows("Does a larger learning rate help?"))
    assert wait(page, shows("autotune resume digits"))
    assert wait(page, "return Array.from(document.querySelectorAll('td')).some(cell => cell.innerText == 'rate')")


def test_its_own_pages_write(page: Page, address: str) -> None:
    page.get(f"{address}dashboard/studies/2/note")
    write = """
        return await fetch('/api/studies/2/note', {method: 'PUT', headers: {'Content-Type': 'application/json'},
            body: JSON.stringify({body: 'my own words', version: 1})}).then(answer => answer.status);
    """
    assert page.execute_script(write) == 204
    page.get(f"{address}dashboard/studies/2/note")
    assert wait(page, shows("my own words"))


def test_a_study_searched_by_its_curves_opens_like_any_other(page: Page, address: str) -> None:
    page.get(f"{address}dashboard/studies/2")
    assert wait(page, "return document.querySelectorAll('#plot-history .main-svg .trace').length > 0")
    page.get(f"{address}dashboard/studies/2/trials?numbers=0")
    assert wait(page, shows("Pruned"))
