"""Optuna's storage on databases, quicker: all that Optuna asks of a storage, and fewer requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState, create_trial
from postgres_server import PostgresServer  # scripts/postgres_server.py

from autotune.parsing import NotUnderstoodError
from autotune.running.storages.patient import PatientStorage
from autotune.running.storages.postgresql import PostgresStorage
from autotune.running.storages.quick import QuickStorage, quick_behind
from autotune.running.storages.sqlite import SqliteStorage
from autotune.running.storages.url import sqlite_url

RUNNING = create_trial(state=TrialState.RUNNING, system_attrs={"owner": {"parent": "a"}, "ours": True})

DISTRIBUTION = FloatDistribution(0, 1)


@pytest.fixture(params=["sqlite", "postgresql"])
def rdb(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QuickStorage]:
    """Give a storage without studies; on PostgreSQL in one database for all tests, because a new one takes long."""
    storage: QuickStorage
    if request.param == "sqlite":
        storage = SqliteStorage(sqlite_url(tmp_path / "study.db"), busy_timeout_s=60, pool={"pool_size": 8})
    else:
        url = request.getfixturevalue("_postgres_url_of_the_module")
        storage = PostgresStorage(url, engine_kwargs={"pool_size": 8})
    yield storage
    if request.param == "postgresql":
        with storage.engine.begin() as connection:
            connection.exec_driver_sql("TRUNCATE studies, trials RESTART IDENTITY CASCADE")
    storage.engine.dispose()


@pytest.fixture(scope="module")
def _postgres_url_of_the_module(_postgres_of_the_session: PostgresServer) -> str:
    return _postgres_of_the_session.new_database()


@pytest.fixture
def study_id(rdb: QuickStorage) -> int:
    return rdb.create_new_study([StudyDirection.MINIMIZE], "toy")


class TestAsOptunaDoes(StorageTestCase):
    """Optuna's own tests of a storage."""

    @pytest.fixture
    def storage(self, rdb: QuickStorage) -> BaseStorage:
        return get_storage(rdb)


def _statements(rdb: RDBStorage, act: Callable[[], object]) -> int:
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if not statement.startswith("BEGIN"):  # of SQLite, where it costs next to nothing
            seen.append(statement)

    sqlalchemy.event.listen(rdb.engine, "before_cursor_execute", note)
    act()
    sqlalchemy.event.remove(rdb.engine, "before_cursor_execute", note)
    return len(seen)


def test_what_running_trials_write_takes_one_statement_each(rdb: QuickStorage, study_id: int) -> None:
    storage = get_storage(rdb)
    first, second = storage.create_new_trial(study_id, RUNNING), storage.create_new_trial(study_id, RUNNING)
    storage.set_trial_param(first, "x", 0.25, DISTRIBUTION)  # Optuna looks for the distribution in other trials
    is_sqlite = isinstance(rdb, SqliteStorage)  # a statement costs no way to a server and back there
    assert _statements(rdb, lambda: storage.create_new_trial(study_id, RUNNING)) == (4 if is_sqlite else 2)
    assert _statements(rdb, lambda: storage.set_trial_param(second, "x", 0.5, DISTRIBUTION)) == 1
    assert _statements(rdb, lambda: storage.set_trial_intermediate_value(second, 1, float("nan"))) == 1
    assert _statements(rdb, lambda: storage.set_trial_user_attr(second, "a", [1])) == 1
    assert _statements(rdb, lambda: storage.set_trial_system_attr(second, "a", None)) == 1
    assert _statements(rdb, lambda: storage.set_trial_state_values(second, TrialState.COMPLETE, [1.5])) == (
        3 if is_sqlite else 1
    )
    assert _statements(rdb, lambda: storage.set_trial_state_values(first, TrialState.FAIL)) == 1
    trial = storage.get_trial(second)
    assert (trial.params, trial.value, trial.user_attrs) == ({"x": 0.5}, 1.5, {"a": [1]})
    assert trial.system_attrs == {**RUNNING.system_attrs, "a": None}
    assert trial.datetime_start == RUNNING.datetime_start
    assert trial.datetime_complete is not None
    assert storage.get_trial(first).state == TrialState.FAIL


OPTUNAS: dict[str, Callable[[BaseStorage, int, int], object]] = {
    "_create_new_trial": lambda storage, study_id, _: storage.create_new_trial(study_id, RUNNING),
    "_get_trials": lambda storage, study_id, _: storage.get_all_trials(study_id),
    "_set_trial_param": lambda storage, _, trial_id: storage.set_trial_param(trial_id, "x", 0.5, DISTRIBUTION),
    "get_all_studies": lambda storage, *_: storage.get_all_studies(),
    "set_trial_intermediate_value": lambda storage, _, trial_id: storage.set_trial_intermediate_value(trial_id, 1, 0.5),
    "set_trial_state_values": lambda storage, _, trial_id: storage.set_trial_state_values(
        trial_id, TrialState.COMPLETE, [0.5]
    ),
    "set_trial_system_attr": lambda storage, _, trial_id: storage.set_trial_system_attr(trial_id, "a", 1),
    "set_trial_user_attr": lambda storage, _, trial_id: storage.set_trial_user_attr(trial_id, "a", 1),
    "get_trial_id_from_study_id_trial_number": lambda _, study_id, __: None,  # asked of the storage itself, below
}
"""What is overridden of Optuna's `RDBStorage`, and what Optuna's cache before it asks for it by."""


@pytest.mark.parametrize("name", OPTUNAS)
def test_optunas_own_way_is_not_gone_by(
    rdb: QuickStorage, study_id: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = get_storage(rdb)
    first, second = (storage.create_new_trial(study_id, RUNNING) for _ in range(2))
    storage.set_trial_param(first, "x", 0.25, DISTRIBUTION)  # Optuna looks for the distribution in other trials
    calls: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError(f"Optuna's own {name} was called")

    def note(*arguments: object, **named: object) -> object:
        calls.append(name)
        return ours(*arguments, **named)

    monkeypatch.setattr(RDBStorage, name, refuse)
    ours = getattr(rdb, name)  # which is Optuna's, if nothing is overridden
    monkeypatch.setattr(rdb, name, note)
    OPTUNAS[name](storage, study_id, second)
    if name == "get_trial_id_from_study_id_trial_number":
        assert rdb.get_trial_id_from_study_id_trial_number(study_id, 1) == second
    assert calls == [name], f"Optuna's cache does not call {name} any more"


def test_a_trial_that_makes_no_sense_is_not_one_that_is_missing(rdb: QuickStorage, study_id: int) -> None:
    trial_id = rdb.create_new_trial(study_id, RUNNING)
    rdb.set_trial_param(trial_id, "x", 0.25, DISTRIBUTION)
    with rdb.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_params SET distribution_json = '{}'")
    with pytest.raises(NotUnderstoodError):
        rdb.get_trial(trial_id)
    with pytest.raises(KeyError):
        rdb.get_trial(trial_id + 1)


def test_whoever_reads_keeps_nobody_from_writing(tmp_path: Path) -> None:
    rdb = SqliteStorage(sqlite_url(tmp_path / "study.db"), busy_timeout_s=60, pool={})
    study_id = rdb.create_new_study([StudyDirection.MINIMIZE], "toy")
    begun: list[str] = []
    sqlalchemy.event.listen(rdb.engine, "before_cursor_execute", lambda *event: begun.append(event[2]))
    rdb.get_all_trials(study_id)
    rdb.get_all_studies()
    assert [statement for statement in begun if statement.startswith("BEGIN")] == ["BEGIN", "BEGIN"]
    rdb.engine.dispose()


@pytest.mark.parametrize("read", ["outlines", "study_names", "trials_in"])
def test_optunas_cache_is_passed_by(
    rdb: QuickStorage, study_id: int, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = get_storage(rdb)
    assert quick_behind(cached) is rdb
    storage = PatientStorage(lambda: cached, "toy")
    storage.create_new_trial(study_id, RUNNING)
    monkeypatch.setattr(type(cached), "get_all_trials", None)
    monkeypatch.setattr(type(cached), "get_all_studies", None)
    asked = {"outlines": (study_id,), "study_names": (), "trials_in": (study_id, (TrialState.RUNNING,))}
    (found,) = getattr(storage, read)(*asked[read])
    assert found == "toy" or found.state == TrialState.RUNNING


def test_a_finished_trial_is_not_written_to(rdb: QuickStorage, study_id: int) -> None:
    storage = get_storage(rdb)
    trial_id = storage.create_new_trial(study_id, RUNNING)
    storage.set_trial_param(trial_id, "x", 0.25, FloatDistribution(0, 1))
    assert storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
    for write in (
        lambda: storage.set_trial_intermediate_value(trial_id, 1, 0.5),
        lambda: storage.set_trial_param(trial_id, "y", 0.5, FloatDistribution(0, 1)),
        lambda: storage.set_trial_param(trial_id, "x", 0.5, FloatDistribution(0, 1)),
        lambda: storage.set_trial_user_attr(trial_id, "a", 1),
        lambda: storage.set_trial_system_attr(trial_id, "a", 1),
        lambda: storage.set_trial_state_values(trial_id, TrialState.FAIL),
        lambda: storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [2.0]),
    ):
        with pytest.raises(UpdateFinishedTrialError):
            write()
    trial = storage.get_trial(trial_id)
    assert (trial.value, trial.params, trial.user_attrs, trial.intermediate_values) == (1.0, {"x": 0.25}, {}, {})


def test_a_parameter_keeps_its_kind_of_distribution(rdb: QuickStorage, study_id: int) -> None:
    storage = get_storage(rdb)
    first, second = storage.create_new_trial(study_id, RUNNING), storage.create_new_trial(study_id, RUNNING)
    storage.set_trial_param(first, "x", 0.25, FloatDistribution(0, 1))
    with pytest.raises(ValueError, match="distribution"):
        storage.set_trial_param(second, "x", 1, IntDistribution(0, 1))


def test_trials_made_at_once_are_numbered_in_turn(rdb: QuickStorage, study_id: int) -> None:
    other = rdb.create_new_study([StudyDirection.MINIMIZE], "other")
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda i: rdb.create_new_trial((study_id, other)[i % 2], RUNNING), range(60)))
    assert len(set(made)) == 60
    for one in (study_id, other):
        assert sorted(t.number for t in rdb.get_all_trials(one)) == list(range(30))


def test_only_one_value_decides_how_a_trial_has_ended(rdb: QuickStorage, study_id: int) -> None:
    trial_id = rdb.create_new_trial(study_id, RUNNING)

    def end(value: int) -> bool:
        try:
            return rdb.set_trial_state_values(trial_id, TrialState.COMPLETE, [float(value)])
        except UpdateFinishedTrialError:
            return False

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(end, range(16)))
    assert sum(won) == 1
    assert rdb.get_trial(trial_id).value == won.index(True)


def test_what_the_database_does_not_take_is_said_as_optuna_says_it(rdb: QuickStorage, study_id: int) -> None:
    trial_id = rdb.create_new_trial(study_id, RUNNING)
    if not isinstance(rdb, SqliteStorage):  # which takes everything
        with pytest.raises(StorageInternalError):
            rdb.set_trial_user_attr(trial_id, "k" * 3000, 1)
    with pytest.raises(KeyError):
        rdb.create_new_trial(study_id + 99, RUNNING)
