"""What is known of rows to validate on from training is said wherever a value is: run, report, card, finalize."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from autotune.errors import UsageError
from autotune.results.export import exporting
from autotune.results.export.exporting import export
from autotune.results.final.finalizing import finalize
from autotune.results.report.writing import write_report
from autotune.running.storages.opening import open_storage, sqlite_url
from autotune.running.study.settings import StudySettings, write_settings
from autotune.running.tracking.events import Event, Note
from autotune.study import Overrides

pytestmark = pytest.mark.usefixtures("no_places_from_outside")
LEAKS = "warning: 90 of 100 rows to validate on overlap training rows"


@pytest.fixture
def study(run_dir: Path) -> optuna.Study:
    run_dir.mkdir()
    study = optuna.create_study(study_name="toy", storage=open_storage(sqlite_url(run_dir / "autotune.db")))
    settings = StudySettings(
        study_file=str(run_dir / "toy.py"),
        n_trials=1,
        n_trials_given=False,
        overrides=Overrides(),
        seed=0,
        epochs=1,
        monitor="val_loss",
        epoch_policy="best",
        split="0123abcd",
        threads=1,
        data_dir=None,
        run_dir=str(run_dir),
        leaks=LEAKS,
    )
    write_settings(study, settings)
    return study


def test_the_report_says_it_below_the_answer(study: optuna.Study, run_dir: Path) -> None:
    page = write_report("toy", run_dir=run_dir).read_text()
    assert page.count(LEAKS) == 1
    assert page.index(LEAKS) < page.index("<nav>")


def test_the_card_says_it(study: optuna.Study, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study.tell(study.ask(), 0.5)
    model = run_dir / "toy" / "trials" / "00000" / "model.keras"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"no model")
    monkeypatch.setattr(exporting, "_loaded", lambda path: {})
    card = json.loads(export("toy", tmp_path / "exported", run_dir=run_dir).card.read_text())
    assert card["warnings"] == [LEAKS]


def test_finalize_says_it_before_anything_else(study: optuna.Study, run_dir: Path) -> None:
    events: list[Event] = []
    with pytest.raises(UsageError, match="nothing to confirm"):
        finalize("toy", run_dir=run_dir, observer=events.append)
    assert events == [Note(None, LEAKS)]
