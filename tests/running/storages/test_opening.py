"""Storages are shared by many slots and processes, and say what is wrong with a URL without its password."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any

import filelock
import optuna
import pytest
import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState

from autotune.distribution import install_command
from autotune.errors import StorageError
from autotune.running.storages.opening import open_existing_storage, open_storage, open_to_look, shown_url, sqlite_url


def _engine(storage: Any) -> sqlalchemy.Engine:
    engine: sqlalchemy.Engine = storage.inner._backend.engine
    return engine


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 2_000)])
def test_sqlite_is_opened_for_many_writers(storage: Any, pragma: str, value: object) -> None:
    with _engine(storage).connect() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_nobody_else_writes_between_what_a_transaction_reads_and_what_it_writes(storage: Any, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "study.db", timeout=0, isolation_level=None)
    with _engine(storage).begin() as connection:
        connection.exec_driver_sql("SELECT * FROM studies")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("INSERT INTO studies (study_name) VALUES ('other')")
        assert other.execute("SELECT count(*) FROM studies").fetchone() == (0,)  # while reading is free
    other.execute("INSERT INTO studies (study_name) VALUES ('other')")
    other.close()


def test_a_transaction_that_fails_leaves_nothing(storage: Any) -> None:
    def insert_and_fail() -> None:
        with _engine(storage).begin() as connection:
            connection.exec_driver_sql("INSERT INTO studies (study_name) VALUES ('half')")
            raise KeyError

    with pytest.raises(KeyError):
        insert_and_fail()
    assert storage.get_all_studies() == []


def test_waiting_trials_are_never_claimed_twice(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    study = optuna.create_study(storage=open_storage(url), study_name="toy")
    for number in range(32):
        study.enqueue_trial({"x": number})
    # Two storages share no lock of Python's, as two processes do not.
    studies = [study, optuna.load_study(study_name="toy", storage=open_storage(url))]

    def claim(slot: int) -> list[int]:
        return [studies[slot % 2].ask().number for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        claimed = [number for numbers in pool.map(claim, range(8)) for number in numbers]
    assert sorted(claimed) == list(range(32))
    assert {t.state for t in study.get_trials()} == {TrialState.RUNNING}


def test_optuna_alone_reads_and_continues_what_is_written(tmp_path: Path, storage: Any) -> None:
    study = optuna.create_study(storage=storage, study_name="toy")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    loaded = optuna.load_study(study_name="toy", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [t.params for t in loaded.trials] == [t.params for t in study.trials]
    loaded.optimize(lambda trial: 0.0, n_trials=1)
    assert len(study.trials) == 3


@pytest.mark.parametrize("name", ["plain", "a space", "ümlaut", "per%20cent", "what?", "a#b", "a@b:c"])
def test_the_url_of_a_file_leads_to_that_file(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    open_storage(sqlite_url(folder / "x.db"))
    assert (folder / "x.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_works(url: str) -> None:
    study = optuna.create_study(storage=open_storage(url))
    study.optimize(lambda trial: 1.0, n_trials=1)
    assert study.best_value == 1.0


@pytest.mark.parametrize("opener", [open_storage, open_existing_storage])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:secret@localhost:1/db",
        "postgresql+psycopg://u:secret@localhost:port/db",
        "postgresql+psycopg:/u:secret@localhost",
        "postgresql+psycopg://u:secret",
        "postgresql+psycopg://localhost:port/db?password=secret",
        "postgresql+psycopg://localhost:1/db?user=u&password=secret",
        "postgresql+psycopg://u:pass@secret@localhost:1/db",
        "no_such_database://u:secret@localhost/db",
        "host=127.0.0.1 password=secret",
        "postgresql+psycopg:///u:secret@localhost:1/db",
        "postgresql+psycopg:////u:secret@localhost:1/db",
        "postgresql://localhost:1/u:secret@db",
        "postgresql+psycopg://u%3Asecret@localhost:1/db",
        "postgresql+psycopg://localhost:1/db?pwd=secret",
        "mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3Dsecret",
        "postgresql+psycopg://localhost:1/?dbname=postgresql%3A%2F%2Fu%3Asecret%40h%2Fdb",
    ],
)
def test_passwords_are_never_shown(opener: Callable[[str], Any], url: str) -> None:
    with pytest.raises(StorageError) as caught:
        opener(url)
    assert "secret" not in str(caught.value)
    assert "secret" not in shown_url(url)


def test_a_shown_url_keeps_all_but_the_password() -> None:
    assert shown_url("postgresql://u:secret@host:5432/db?sslmode=require") == (
        "postgresql://u:***@host:5432/db?sslmode=require"
    )
    assert shown_url("sqlite:////runs/autotune.db") == "sqlite:////runs/autotune.db"


@pytest.mark.parametrize("opener", [open_storage, open_existing_storage])
@pytest.mark.parametrize("url", ["garbage", "", "no_such_database://localhost/db", "sqlite:runs/x.db"])
def test_what_is_no_storage_is_refused_with_the_url_and_a_way_out(opener: Callable[[str], Any], url: str) -> None:
    with pytest.raises(StorageError) as caught:
        opener(url)
    happened, expected, fix = str(caught.value).splitlines()
    assert url in happened
    assert "sqlite:///" in expected
    assert "Check that the URL is correct" in fix


# A child for each URL: what one has imported is not there for the next.
WITHOUT_PACKAGES = """
    import os
    import sys

    optional = ["psycopg", "psycopg2", "grpc", "google.protobuf", "pymysql"]
    sys.modules.update(dict.fromkeys(optional))
    from autotune.errors import StorageError
    from autotune.running.storages.opening import open_storage

    for line in sys.stdin:
        url, missing = eval(line)
        if os.fork():
            os.wait()
            continue
        for name in set(optional) - set(missing):
            del sys.modules[name]
        try:
            print(repr(open_storage(url)), flush=True)
        except Exception as error:
            print(repr(str(error) if isinstance(error, StorageError) else repr(error)), flush=True)
        finally:
            os._exit(0)
"""


@pytest.fixture(scope="module")
def without_packages() -> Iterator[subprocess.Popen[str]]:
    """Give a process that opens storages where packages are missing, and answers with what is said."""
    command = [sys.executable, "-c", dedent(WITHOUT_PACKAGES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("url", "missing", "extra"),
    [
        ("postgresql+psycopg://u:secret@host/db", ["psycopg"], install_command("postgres")),
        ("postgresql://u:secret@host/db", ["psycopg", "psycopg2"], install_command("postgres")),
        ("postgresql+psycopg2://u:secret@host/db", ["psycopg2"], "postgresql+psycopg://"),
        ("grpc://localhost:1", ["grpc"], install_command("grpc")),
        ("grpc://localhost:1", ["google.protobuf"], install_command("grpc")),
        ("mysql+pymysql://u:secret@host/db", ["pymysql"], "pymysql"),
    ],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    url: str, missing: list[str], extra: str, without_packages: subprocess.Popen[str]
) -> None:
    assert without_packages.stdout is not None
    print((url, missing), file=without_packages.stdin, flush=True)
    output = eval(without_packages.stdout.readline())
    happened, _, fix = output.splitlines()
    assert f"there is no package {missing[-1].partition('.')[0]}" in happened or "psycopg" in missing
    assert extra in fix
    assert "secret" not in output


def test_a_url_without_a_driver_takes_the_one_of_the_extra(postgres_url: str) -> None:
    storage: Any = open_storage(postgres_url.replace("+psycopg", ""))
    assert _engine(storage).driver == "psycopg"
    assert storage.get_all_studies() == []


def test_tables_that_a_killed_parent_is_still_creating_are_waited_for(postgres_url: str) -> None:
    engine = sqlalchemy.create_engine(postgres_url)
    waiting = sqlalchemy.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as pool, engine.connect() as watching:
        with engine.begin() as others:
            models.BaseModel.metadata.create_all(others)  # which the parent's own lock no longer protects
            opening = pool.submit(open_storage, postgres_url)
            while not watching.scalar(waiting):
                assert not opening.done()
                watching.rollback()
        storage = opening.result()
    assert optuna.create_study(storage=storage, study_name="toy").study_name == "toy"
    engine.dispose()


def test_many_slots_share_few_connections_of_a_database(postgres_url: str) -> None:
    storages = [open_storage(postgres_url) for _ in range(2)]  # two parents
    study = optuna.create_study(storage=storages[0], study_name="toy")
    studies = [study, optuna.load_study(study_name="toy", storage=storages[1])]
    with ThreadPoolExecutor(64) as pool:  # of more slots each than they have connections
        numbers = list(pool.map(lambda slot: studies[slot % 2].ask().number, range(64)))
    assert sorted(numbers) == list(range(64))


def test_a_missing_folder_is_refused_and_not_created(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    with pytest.raises(StorageError, match=f"there is no folder {folder}"):
        open_storage(sqlite_url(folder / "x.db"))
    assert not folder.exists()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a database " * 100)
    with pytest.raises(StorageError, match="file is not a database"):
        open_existing_storage(sqlite_url(notes))
    assert notes.read_text() == "not a database " * 100


def test_looking_at_a_storage_that_is_not_there_creates_nothing(tmp_path: Path) -> None:
    assert open_existing_storage(sqlite_url(tmp_path / "x.db")) is None
    assert open_existing_storage(sqlite_url(tmp_path / "missing" / "x.db")) is None
    assert list(tmp_path.iterdir()) == []


def test_looking_at_a_storage_finds_its_studies(tmp_path: Path, storage: Any) -> None:
    optuna.create_study(storage=storage, study_name="toy")
    found = open_existing_storage(sqlite_url(tmp_path / "study.db"))
    assert found is not None
    assert [s.study_name for s in found.get_all_studies()] == ["toy"]


def test_whoever_looks_at_a_storage_can_write_nothing_to_it(tmp_path: Path, storage: Any) -> None:
    study = optuna.create_study(storage=storage, study_name="toy")
    trial = study.ask()
    found = open_to_look(sqlite_url(tmp_path / "study.db"))
    assert found is not None
    with pytest.raises(StorageError, match="opened for reading"):
        found.set_study_user_attr(study._study_id, "a", 1)
    for write in (
        lambda inner: inner.set_study_user_attr(study._study_id, "a", 1),
        lambda inner: inner.set_trial_user_attr(trial._trial_id, "a", 1),
        lambda inner: inner.create_new_trial(study._study_id),
        lambda inner: inner.delete_study(study._study_id),
    ):
        with pytest.raises(optuna.exceptions.StorageInternalError):  # of the database itself
            write(found.inner)
    assert [(t.state, t.user_attrs) for t in study.get_trials()] == [(TrialState.RUNNING, {})]
    assert study.user_attrs == {}


def test_whoever_looks_at_a_database_leaves_it_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "plain.db"
    optuna.create_study(storage=f"sqlite:///{file}", study_name="toy")  # not in the mode of ours
    before = file.read_bytes()
    found = open_to_look(sqlite_url(file))
    assert found is not None
    assert [s.study_name for s in found.get_all_studies()] == ["toy"]
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_whoever_looks_makes_no_tables(tmp_path: Path) -> None:
    file = tmp_path / "photos.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE photos (name)")
    database.close()
    before = file.read_bytes()
    with pytest.raises(StorageError, match="no such table"):
        open_to_look(sqlite_url(file))
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_whoever_looks_waits_for_those_who_make_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    file.touch()
    looked: list[Any] = []
    with filelock.FileLock(f"{file}.lock"):
        looking = threading.Thread(target=lambda: looked.append(open_to_look(sqlite_url(file))))
        looking.start()
        optuna.create_study(storage=f"sqlite:///{file}", study_name="toy")
    looking.join()
    assert [s.study_name for s in looked[0].get_all_studies()] == ["toy"]


def test_whoever_looks_at_postgresql_can_write_nothing_to_it(postgres_url: str) -> None:
    study = optuna.create_study(storage=open_storage(postgres_url), study_name="toy")
    found = open_to_look(postgres_url)
    assert found is not None
    assert [s.study_name for s in found.get_all_studies()] == ["toy"]
    with pytest.raises(optuna.exceptions.StorageInternalError):
        found.inner.set_study_user_attr(study._study_id, "a", 1)


def test_whoever_looks_makes_no_tables_on_a_server(postgres_url: str) -> None:
    assert open_to_look(postgres_url) is None
    assert open_to_look(postgres_url) is None


def test_files_of_a_storage_that_nobody_uses_any_more_are_closed(tmp_path: Path) -> None:
    def n_open() -> int:
        links = Path("/proc/self/fd")
        return sum(os.path.realpath(link).startswith(str(tmp_path / "study.db")) for link in links.iterdir())

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    storage = open_storage(sqlite_url(tmp_path / "study.db"))
    optuna.create_study(storage=storage)
    assert n_open() > 0
    del storage
    gc.collect()
    assert n_open() == 0
