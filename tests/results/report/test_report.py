"""The report: a page at any time in a search, whatever has become of its trials."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import optuna
import pytest

from autotune.errors import UsageError
from autotune.results.advice.story import Story
from autotune.results.report.writing import report_page, write_report
from autotune.running.storages.opening import open_storage, sqlite_url

Objective = Callable[[optuna.Trial], float]

SECTIONS = ["Winner", "History", "Learning curves", "Importance", "Effects", "All trials", "Search space"]
SECTIONS += ["Time and failures", "Reproduce"]


class _Balance(HTMLParser):
    """Holds that tags are closed in the order in which they were opened."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(tmp_path: Path, objective: Objective, n_trials: int, directions: tuple[str, ...] = ("maximize",)) -> str:
    """Return the report of a study of plain Optuna, which is read like one of ours."""
    url = f"journal:///{tmp_path / 'study.log'}"  # opens sooner than a database
    study = optuna.create_study(
        storage=open_storage(url),
        study_name="toy",
        directions=directions,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    study.optimize(objective, n_trials=n_trials, catch=(RuntimeError,))
    path = write_report("toy", storage=url, run_dir=tmp_path)
    assert path == tmp_path / "toy" / "report.html"
    page = path.read_text("utf-8")
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []
    return page


def titles(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def curves(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0.0, 1.0)
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    final = 1 - (x - 0.3) ** 2 - 0.1 * abs(math.log10(rate) + 2.5) - 0.1 * (kind == "b")
    for epoch in range(1, 6):
        trial.report(final - 0.3 / epoch, epoch)
        if epoch == 2 and final < 0.5:
            raise optuna.TrialPruned
    return final


def test_it_shows_every_section_and_needs_nothing_from_outside(tmp_path: Path) -> None:
    page = page_of(tmp_path, curves, 40)
    assert titles(page) == [*SECTIONS[:1], *(["Advice"] if "Advice" in titles(page) else []), *SECTIONS[1:]]
    assert "Beyond chance: " in page
    links = re.findall(r'(?:href|src)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "<script" not in page
    assert page.count("<svg ") >= 6
    identifiers = re.findall(r'\bid="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_the_answer_names_the_best_trial_and_says_that_it_is_not_confirmed(tmp_path: Path) -> None:
    page = page_of(tmp_path, curves, 12)
    study = optuna.load_study(study_name="toy", storage=open_storage(f"journal:///{tmp_path / 'study.log'}"))
    assert f"is trial {study.best_trial.number} with value {study.best_value:.5g}" in page
    assert "not confirmed" in page
    assert f"autotune finalize toy --storage journal:///{tmp_path}/study.log --run-dir {tmp_path}" in page
    assert f"With {len(study.trials)} finished trials nothing can be said yet" in page


def test_what_trials_say_is_shown_as_text(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("<kind>", ["<script>alert(1)</script>", "b"])
        trial.set_user_attr("failure_message", "ValueError: <b>no</b>")
        raise RuntimeError

    page = page_of(tmp_path, objective, 3)
    assert "<script>" not in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "All 3 that have ended have failed" in page


@pytest.mark.parametrize("n_trials", [0, 1, 2])
def test_a_study_that_has_just_begun_has_a_page(tmp_path: Path, n_trials: int) -> None:
    page = page_of(tmp_path, curves, n_trials)
    assert ("no answer" in page) == (n_trials == 0)


def test_nan_among_reports_and_values_is_no_traceback(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        for step in range(1, 4):
            trial.report(math.nan if step == 2 else x, step)
        return math.nan if x < 0.3 else x

    assert "Learning curves" in titles(page_of(tmp_path, objective, 25))


def test_one_parameter_and_none_are_enough(tmp_path: Path) -> None:
    page = page_of(tmp_path, lambda trial: trial.suggest_int("only", 1, 5), 25)
    assert "All trials" not in titles(page)
    assert "Importance" in titles(page)


def test_a_study_without_hyperparameters_has_a_page(tmp_path: Path) -> None:
    assert "Importance" not in titles(page_of(tmp_path, lambda trial: float(trial.number), 3))


def test_a_conditional_parameter_that_is_never_or_hardly_taken_is_no_traceback(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        if x > 0.95:
            return trial.suggest_float("rare", 0.0, 1.0)
        return x + (trial.suggest_float("never", 0.0, 1.0) if x > 1 else 0.0)

    page = page_of(tmp_path, objective, 40)
    assert ">rare<" in page
    assert ">never<" not in page


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        x = trial.suggest_float("x", 0.0, 1.0)
        return x, x**2 + trial.suggest_float("y", 0.0, 1.0)

    page = page_of(tmp_path, objective, 25, ("maximize", "minimize"))
    assert "Pareto front" in page


def test_a_range_that_has_varied_from_trial_to_trial_is_no_traceback(tmp_path: Path) -> None:
    page_of(tmp_path, lambda trial: trial.suggest_float("x", 0.0, 1.0 + trial.number), 25)


def test_infinite_values_are_no_traceback(tmp_path: Path) -> None:
    page_of(tmp_path, lambda trial: math.inf if trial.suggest_float("x", 0, 1) > 0.5 else 1.0, 25)


def test_a_name_that_is_not_there_and_a_file_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    optuna.create_study(storage=sqlite_url(tmp_path / "autotune.db"), study_name="toy")
    with pytest.raises(UsageError, match="no study named 'other'"):
        write_report("other", run_dir=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write_report("toy", tmp_path / "file" / "report.html", run_dir=tmp_path)


def test_hundreds_of_trials_make_a_page_under_ten_megabytes(tmp_path: Path) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    study.optimize(curves, n_trials=500)
    assert len(report_page(Story(study, tmp_path, None, None)).encode()) < 10_000_000
