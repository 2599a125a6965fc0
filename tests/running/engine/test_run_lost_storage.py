"""A storage whose file is deleted, moved or replaced stops the run that uses it, and all that it held is saved."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest

import autotune
from autotune.cli import main
from autotune.errors import StorageLostError
from autotune.running.storages.opening import open_storage, open_to_look, sqlite_url

StudyFile = Callable[..., Path]


def _replace(file: Path) -> None:
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


LOSSES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda file: file.unlink(),
    "deleted with its log": lambda file: [path.unlink() for path in file.parent.glob(f"{file.name}*")],
    "deleted with its folder": lambda file: shutil.rmtree(file.parent),
    "moved": lambda file: file.rename(file.with_name("moved")),
    "moved with its folder": lambda file: file.parent.rename(file.parent.with_name("old")),
    "replaced": _replace,
    "without its log": lambda file: file.with_name(f"{file.name}-wal").unlink(),  # a journal has none
}
CODE = """
import shutil

RUNS = HERE / "runs"

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.report(x, 1)
    if trial.number == 2 and first_time("lost"):
        {loss}
    trial.report(x, 2)
    return x
"""


def _saved_at(error: StorageLostError, folder: Path) -> str:
    (saved,) = folder.rglob("*.saved.*")
    assert error.expected.endswith(f" {saved}")
    url = error.fix.rpartition(" ")[2]
    assert error.fix == f"To go on from there, run the same command with --storage {url}"
    return url


@pytest.mark.parametrize(("kind", "how"), [*product(["sqlite"], LOSSES), *product(["journal"], list(LOSSES)[:-1])])
def test_what_a_lost_file_held_is_saved(tmp_path: Path, run_dir: Path, kind: str, how: str) -> None:
    run_dir.mkdir()
    file = run_dir / ("study.db" if kind == "sqlite" else "study.log")
    study = optuna.create_study(study_name="toy", storage=open_storage(f"{kind}:///{file}"))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    study.ask()
    before = study.get_trials()
    LOSSES[how](file)
    with pytest.raises(StorageLostError, match="is not what it was when it was opened") as caught:
        study.tell(2, 0.5)
    saved = optuna.load_study(study_name="toy", storage=open_storage(_saved_at(caught.value, tmp_path))).get_trials()
    assert saved[:2] == before[:2]
    assert [trial.state.is_finished() for trial in saved] == [True, True, False]


@pytest.mark.parametrize("step", ["_remove_torn_line", "os.fsync"])
def test_a_journal_that_is_lost_while_it_is_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (tmp_path / "runs").mkdir()
    storage = open_storage(f"journal:///{tmp_path}/runs/study.log")
    optuna.create_study(study_name="toy", storage=storage)
    monkeypatch.setattr(f"autotune.running.storages.journal.{step}", lambda _: shutil.rmtree(tmp_path / "runs"))
    with pytest.raises(StorageLostError, match="deleted or moved"):
        storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "other")
    assert "toy" in optuna.get_all_study_names(open_storage(f"journal:///{tmp_path}/study.saved.log"))


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_run_stops_when_its_storage_is_lost_and_another_goes_on_from_what_was_saved(
    study_file: StudyFile, run_dir: Path, tmp_path: Path, kind: str
) -> None:
    def values(storage: str) -> dict[int, float | None]:
        trials = optuna.load_study(study_name="toy", storage=open_storage(storage)).get_trials()
        return {t.number: t.value for t in trials if t.state.is_finished()}

    run_dir.mkdir()
    storage = sqlite_url(run_dir / "autotune.db") if kind == "sqlite" else f"journal:///{run_dir}/study.log"
    file = study_file(CODE.format(loss="shutil.rmtree(RUNS, ignore_errors=True)"))
    with pytest.raises(StorageLostError) as caught:
        autotune.run(file, run_dir=run_dir, storage=storage, workers=1, lease_s=0.5)
    saved = _saved_at(caught.value, tmp_path)
    before = values(saved)
    assert len(before) == 2
    autotune.run(file, run_dir=run_dir, storage=saved, workers=1, lease_s=0.5)
    assert before.items() < values(saved).items()
    assert len(values(saved)) == 4


def test_the_command_says_so_in_three_lines_and_shows_no_best_value(
    study_file: StudyFile, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study_file(CODE.format(loss="shutil.rmtree(RUNS, ignore_errors=True)"))
    assert main(["run", str(file), "--run-dir", str(run_dir), "--workers", "1"]) == 1
    output, errors = capsys.readouterr()
    assert errors.startswith("StorageLostError: the storage ")
    assert len([line for line in errors.splitlines() if not line.startswith("[I")]) == 3
    assert "best" not in output.splitlines()[-1]


def test_a_database_that_is_deleted_when_all_is_done_is_noticed_too(study_file: StudyFile, run_dir: Path) -> None:
    def delete(event: Any) -> None:
        if type(event).__name__ == "TrialEnded" and event.finished == 4:
            (run_dir / "autotune.db").unlink()

    with pytest.raises(StorageLostError):
        autotune.run(study_file(CODE.format(loss="pass")), run_dir=run_dir, workers=1, observer=delete)


def test_whoever_stops_a_run_is_told_that_its_database_is_lost(study_file: StudyFile, run_dir: Path) -> None:
    def delete(event: Any) -> None:
        if type(event).__name__ == "TrialStarted":
            (run_dir / "autotune.db").unlink()
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StorageLostError):
        autotune.run(study_file(CODE.format(loss="signal.pause()")), run_dir=run_dir, workers=1, observer=delete)


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
@pytest.mark.parametrize("folder", ["", "runs/"])
def test_who_looks_where_a_storage_was_lost_is_told_where_it_was_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, folder: str
) -> None:
    file = tmp_path / f"{folder}study.{'db' if kind == 'sqlite' else 'log'}"
    (tmp_path / f"study.saved-less{file.suffix}").touch()  # somebody's own
    url = f"{kind}:///{file}"
    for _ in range(2):
        file.parent.mkdir(exist_ok=True)
        storage = open_storage(url)
        optuna.create_study(study_name="toy", storage=storage)
        LOSSES["deleted with its folder" if folder else "deleted"](file)
        with pytest.raises(StorageLostError):
            storage.get_all_studies()
    saved = f"{kind}:///{tmp_path}/study.saved-2{file.suffix}"
    assert main(["status", "--storage", url]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"A lost storage was saved: --storage {saved}"
    assert main(["best", "toy", "--storage", url]) == 2
    assert f"A lost storage was saved as {saved}" in capsys.readouterr().err
    if not folder:
        open_storage(url)  # a new one in its place, without a study
        assert main(["status", "--storage", url]) == 0
        assert capsys.readouterr().out.splitlines()[-1].endswith(f"--storage {saved}")


def test_two_who_use_a_lost_database_save_it_under_two_names(tmp_path: Path) -> None:
    first, second = (open_storage(sqlite_url(tmp_path / "study.db")) for _ in range(2))
    optuna.create_study(study_name="toy", storage=first)
    (tmp_path / "study.db").unlink()
    for storage in (first, second, first):
        with pytest.raises(StorageLostError, match="deleted or moved"):
            storage.get_all_studies()
    assert sorted(path.name for path in tmp_path.glob("*saved*")) == ["study.saved-2.db", "study.saved.db"]
    for path in tmp_path.glob("*saved*"):
        assert optuna.get_all_study_names(sqlite_url(path)) == ["toy"]


def test_whoever_looks_at_a_lost_database_writes_nothing(tmp_path: Path) -> None:
    optuna.create_study(study_name="toy", storage=sqlite_url(tmp_path / "study.db"))
    looked_at = open_to_look(sqlite_url(tmp_path / "study.db"))
    assert looked_at is not None
    (tmp_path / "study.db").rename(tmp_path / "moved.db")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StorageLostError, match="deleted or moved"):
        looked_at.get_all_studies()
    assert sorted(tmp_path.iterdir()) == before


def test_a_lost_database_behind_a_proxy_is_named_and_saved_there(tmp_path: Path, served: Callable[[str], str]) -> None:
    storage = open_storage(served(sqlite_url(tmp_path / "study.db")))
    optuna.create_study(study_name="toy", storage=storage)
    (tmp_path / "study.db").unlink()
    with pytest.raises(StorageLostError, match=r"grpc://.* answers with an error: .*study.db is not what it was"):
        storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "other")
    assert optuna.get_all_study_names(sqlite_url(tmp_path / "study.saved.db")) == ["toy"]


def test_no_file_is_made_where_a_database_was_lost(tmp_path: Path) -> None:
    storage = open_storage(sqlite_url(tmp_path / "study.db"))
    engine = storage.inner._backend.engine
    held = [engine.connect() for _ in range(10)]  # the next one has to be opened anew
    (tmp_path / "study.db").unlink()
    with pytest.raises(StorageLostError):
        storage.get_all_studies()
    for connection in held:
        connection.close()
    assert not (tmp_path / "study.db").exists()


def test_a_database_whose_contents_are_gone_is_named_in_three_lines(study_file: StudyFile, run_dir: Path) -> None:
    loss = "sqlite3.connect(RUNS / 'autotune.db').executescript('PRAGMA foreign_keys = OFF; DROP TABLE trials')"
    with pytest.raises(StorageLostError, match=r"autotune.db cannot be used any more: no such table: trials"):
        autotune.run(study_file("import sqlite3\n" + CODE.format(loss=loss)), run_dir=run_dir, workers=1)


def test_a_database_that_others_use_and_leave_is_not_lost(tmp_path: Path) -> None:
    storage = open_storage(sqlite_url(tmp_path / "study.db"))
    optuna.create_study(study_name="toy", storage=storage)
    other = sqlite3.connect(tmp_path / "study.db")
    other.execute("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, 'a', '1')")
    other.commit()
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.execute("VACUUM")
    other.close()
    shutil.copy(tmp_path / "study.db", tmp_path / "backup.db")
    assert storage.get_study_user_attrs(1) == {"a": 1}
