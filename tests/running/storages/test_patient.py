"""A storage that is away is waited for, and what is asked for a second time is done once."""

from __future__ import annotations

import pickle
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy.exc
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from postgres_server import PostgresServer

from autotune.errors import StorageError, StoredStudyError
from autotune.running.storages.opening import open_storage, sqlite_url
from autotune.running.storages.outages import is_away
from autotune.running.storages.patience import Patience
from autotune.running.storages.patient import PatientStorage

psycopg = pytest.importorskip("psycopg", reason="no PostgreSQL driver: install the extra postgres")
LOST = sqlalchemy.exc.OperationalError("SELECT 1", {}, psycopg.OperationalError("server closed the connection"))


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.when_asleep: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> object:
        self.now += seconds
        self.slept.append(seconds)
        return self.when_asleep()


class Away:
    """Optuna's storage in memory, whose answers get lost, after the deed or before it, as often as a test likes."""

    def __init__(self) -> None:
        self.storage = optuna.storages.InMemoryStorage()
        self.times = 0
        self.is_done_first = True

    def lose(self, times: int = 1, *, is_done_first: bool = True) -> None:
        self.times, self.is_done_first = times, is_done_first

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.storage, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if self.times == 0:
                return method(*arguments, **named)
            self.times -= 1
            if self.is_done_first:
                method(*arguments, **named)
            raise LOST

        return call


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def away() -> Away:
    return Away()


@pytest.fixture
def storage(away: Any, time: Time, said: list[str]) -> PatientStorage:
    patience = Patience(clock=lambda: time.now, sleep=time.sleep, chance=random.Random(0), say=said.append)
    return PatientStorage(lambda: away, "postgresql://u:***@host/db", patience)


@pytest.fixture
def study_id(storage: BaseStorage) -> int:
    return storage.create_new_study([StudyDirection.MINIMIZE], "toy")


@pytest.fixture
def running(storage: BaseStorage, study_id: int) -> int:
    trial_id = storage.create_new_trial(study_id, create_trial(state=TrialState.WAITING))
    assert storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    return trial_id


def test_waits_grow_to_a_limit_and_both_ends_are_said_once(
    storage: BaseStorage, away: Away, time: Time, said: list[str], study_id: int
) -> None:
    away.lose(12, is_done_first=False)
    assert storage.get_study_name_from_id(study_id) == "toy"
    longest = [min(0.1 * 2**n, 5) for n in range(12)]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(time.slept, longest, strict=True))
    assert said[0] == (
        "The storage postgresql://u:***@host/db does not answer: server closed the connection. Waiting for it ..."
    )
    assert said[1:] == [f"The storage postgresql://u:***@host/db answers again after {sum(time.slept[1:]):.0f} s."]


def test_a_lost_connection_is_not_worth_a_word(
    storage: BaseStorage, away: Away, said: list[str], study_id: int
) -> None:
    away.lose(1)
    assert storage.get_study_name_from_id(study_id) == "toy"
    assert said == []


def test_after_half_an_hour_what_is_the_matter_is_said(
    storage: BaseStorage, away: Away, time: Time, said: list[str]
) -> None:
    away.lose(10_000)
    with pytest.raises(StorageError, match="host/db does not answer: server closed the connection") as caught:
        storage.get_all_studies()
    assert caught.value.__cause__ is LOST
    assert 1790 < time.now <= 1800
    assert len(said) == 1


def test_whoever_is_told_to_stop_waits_no_longer(storage: BaseStorage, away: Away, time: Time) -> None:
    away.lose(10_000)
    time.when_asleep = lambda: True  # as `threading.Event.wait` answers
    with pytest.raises(StorageError):
        storage.get_all_studies()
    assert len(time.slept) == 1


def test_what_a_cache_knows_is_no_answer(
    storage: BaseStorage, away: Away, time: Time, said: list[str], study_id: int
) -> None:
    away.lose(3, is_done_first=False)

    def ask_the_cache() -> None:
        before, away.times = away.times, 0
        storage.get_study_name_from_id(study_id)
        away.times = before

    time.when_asleep = ask_the_cache
    storage.get_all_studies()
    assert len(said) == 2
    assert said[1].endswith(f"answers again after {sum(time.slept[1:]):.0f} s.")


def test_a_later_request_that_writes_ends_an_outage_whose_own_request_failed_otherwise(
    storage: BaseStorage, away: Away, time: Time, said: list[str], study_id: int
) -> None:
    away.lose(2, is_done_first=False)
    time.when_asleep = lambda: setattr(away, "storage", None) if away.times == 0 else None  # an error of another kind
    kept = away.storage
    with pytest.raises(StoredStudyError):
        storage.get_all_studies()
    assert len(said) == 1
    away.storage, time.when_asleep = kept, lambda: None
    storage.get_study_name_from_id(study_id)  # it may come from a cache
    assert len(said) == 1
    storage.set_study_user_attr(study_id, "a", 1)
    assert "answers again" in said[1]


@pytest.mark.parametrize(("patience", "waits"), [(True, 2), (False, 0)], ids=["a run", "a look"])
def test_a_run_waits_a_minute_for_a_storage_to_open(time: Time, said: list[str], patience: bool, waits: int) -> None:
    failures = [LOST] * 2

    def opener() -> BaseStorage:
        if failures:
            raise StorageError("the storage cannot be opened.", "", "") from failures.pop()
        return optuna.storages.InMemoryStorage()

    def opened() -> BaseStorage:
        waiting = Patience(clock=lambda: time.now, sleep=time.sleep, chance=random.Random(0), say=said.append)
        return PatientStorage(opener, "the storage", waiting if patience else None)

    if patience:
        assert opened().get_all_studies() == []
    else:
        with pytest.raises(StorageError, match="cannot be opened"):
            opened()
    assert len(time.slept) == waits
    failures += [LOST] * 1000
    with pytest.raises(StorageError, match="cannot be opened"):
        opened()
    assert time.now <= 60 + sum(time.slept[:waits])


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_trial_that_was_finished_without_an_answer_is_finished(
    storage: BaseStorage, away: Away, running: int, state: TrialState
) -> None:
    values = None if state == TrialState.FAIL else [0.5]
    away.lose()
    assert storage.set_trial_state_values(running, state, values)
    assert (storage.get_trial(running).state, storage.get_trial(running).values) == (state, values)


def test_a_trial_that_somebody_else_finished_otherwise_is_not_ours(
    storage: BaseStorage, away: Away, time: Time, running: int
) -> None:
    away.lose(is_done_first=False)
    time.when_asleep = lambda: away.storage.set_trial_state_values(running, TrialState.COMPLETE, [0.1]) and None
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(running, TrialState.COMPLETE, [0.5])


def test_a_trial_that_was_put_back_without_an_answer_and_claimed_by_somebody_else_stays_theirs(
    storage: BaseStorage, away: Away, time: Time, running: int
) -> None:
    # Not by `lose`, which would lose the answer to what is read before.
    put_back = away.storage.set_trial_state_values

    def put_back_and_lose(trial_id: int, state: TrialState, values: object = None) -> bool:
        put_back(trial_id, state)
        away.storage.set_trial_state_values = put_back  # type: ignore[method-assign]  # reason: the moment to be tested
        raise LOST

    away.storage.set_trial_state_values = put_back_and_lose  # type: ignore[assignment, method-assign]  # reason: as above
    time.when_asleep = lambda: put_back(running, TrialState.RUNNING) and None
    assert storage.set_trial_state_values(running, TrialState.WAITING)
    assert storage.get_trial(running).state == TrialState.RUNNING


def test_a_trial_that_could_not_be_put_back_is_put_back_later(storage: BaseStorage, away: Away, running: int) -> None:
    away.lose(3, is_done_first=False)
    assert storage.set_trial_state_values(running, TrialState.WAITING)
    assert storage.get_trial(running).state == TrialState.WAITING


def test_a_claim_of_which_nobody_has_heard_counts_as_lost(storage: BaseStorage, away: Away, study_id: int) -> None:
    trial_id = storage.create_new_trial(study_id, create_trial(state=TrialState.WAITING))
    away.lose()
    assert not storage.set_trial_state_values(trial_id, TrialState.RUNNING)


def test_a_study_that_was_created_without_an_answer_is_that_study(storage: BaseStorage, away: Away) -> None:
    away.lose()
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "new")
    assert storage.get_study_name_from_id(study_id) == "new"
    away.lose()
    storage.create_new_study([StudyDirection.MAXIMIZE])
    assert len(storage.get_all_studies()) == 2


def test_a_study_that_was_there_before_is_a_duplicate(storage: BaseStorage, away: Away, running: int) -> None:
    away.lose(is_done_first=False)
    with pytest.raises(DuplicatedStudyError):
        storage.create_new_study([StudyDirection.MINIMIZE], "toy")


def test_a_study_that_was_deleted_without_an_answer_is_deleted(storage: BaseStorage, away: Away, study_id: int) -> None:
    away.lose()
    storage.delete_study(study_id)
    assert storage.get_all_studies() == []


def test_attributes_and_reports_arrive(storage: BaseStorage, away: Away, study_id: int, running: int) -> None:
    distribution = optuna.distributions.FloatDistribution(0, 1)
    for request in (
        lambda: storage.set_study_user_attr(study_id, "a", 1),
        lambda: storage.set_study_system_attr(study_id, "b", 2),
        lambda: storage.set_trial_user_attr(running, "c", 3),
        lambda: storage.set_trial_system_attr(running, "d", 4),
        lambda: storage.set_trial_intermediate_value(running, 1, 0.5),
        lambda: storage.set_trial_param(running, "x", 0.25, distribution),
    ):
        away.lose()
        request()
    assert (storage.get_study_user_attrs(study_id), storage.get_study_system_attrs(study_id)) == ({"a": 1}, {"b": 2})
    trial = storage.get_trial(running)
    assert (trial.user_attrs, trial.system_attrs, trial.intermediate_values) == ({"c": 3}, {"d": 4}, {1: 0.5})
    assert trial.params == {"x": 0.25}


def _sqlalchemy_error(kind: str, original: Exception) -> Exception:
    error: Exception = getattr(sqlalchemy.exc, kind)("SELECT 1", {}, original)
    return error


def _grpc_error(code: str) -> Exception:
    grpc = pytest.importorskip("grpc")

    class Error(grpc.RpcError):  # type: ignore[misc, name-defined]  # reason: not typed
        def code(self) -> object:
            return getattr(grpc.StatusCode, code)

    return Error()


REFUSED = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  '


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lambda: _sqlalchemy_error("OperationalError", psycopg.OperationalError("Connection refused")), True),
        (lambda: _sqlalchemy_error("OperationalError", psycopg.errors.AdminShutdown("terminating")), True),
        (lambda: _sqlalchemy_error("OperationalError", psycopg.errors.CannotConnectNow("starting up")), True),
        (lambda: _sqlalchemy_error("OperationalError", psycopg.errors.DeadlockDetected("deadlock")), True),
        (lambda: _sqlalchemy_error("InterfaceError", psycopg.InterfaceError("connection already closed")), True),
        (lambda: _sqlalchemy_error("OperationalError", psycopg.OperationalError(REFUSED + "starting up")), True),
        (lambda: _sqlalchemy_error("OperationalError", sqlite3.OperationalError("database is locked")), True),
        (lambda: sqlalchemy.exc.TimeoutError("QueuePool limit reached"), True),
        (lambda: _grpc_error("UNAVAILABLE"), True),
        (lambda: _grpc_error("DEADLINE_EXCEEDED"), True),
        (lambda: _grpc_error("UNKNOWN"), False),
        (lambda: _sqlalchemy_error("IntegrityError", psycopg.errors.UniqueViolation("twice")), False),
        (lambda: _sqlalchemy_error("DataError", psycopg.errors.NumericValueOutOfRange("1e400")), False),
        (lambda: _sqlalchemy_error("OperationalError", psycopg.errors.DiskFull("no space left")), False),
        (lambda: _sqlalchemy_error("ProgrammingError", psycopg.errors.UndefinedTable("studies")), False),
        (lambda: _sqlalchemy_error("OperationalError", psycopg.OperationalError(REFUSED + "password authentication "
            'failed for user "u"')), False),
        (lambda: _sqlalchemy_error("OperationalError", psycopg.OperationalError(REFUSED + 'database "d" does not '
            "exist")), False),
        (lambda: _sqlalchemy_error("OperationalError", sqlite3.OperationalError("database or disk is full")), False),
        (lambda: _sqlalchemy_error("OperationalError", sqlite3.OperationalError("attempt to write a readonly "
            "database")), False),
        (lambda: _sqlalchemy_error("OperationalError", sqlite3.OperationalError("no such table: studies")), False),
        (lambda: KeyError("Record does not exist."), False),
        (lambda: ValueError("CategoricalDistribution does not support dynamic value space."), False),
    ],
)  # fmt: skip
def test_only_what_waiting_may_heal_is_waited_for(error: Callable[[], Exception], expected: bool) -> None:
    raised = error()
    assert is_away(raised) is expected
    wrapped = StorageInternalError("An exception is raised during the commit.")
    wrapped.__cause__ = raised  # as Optuna does
    if isinstance(raised, sqlalchemy.exc.SQLAlchemyError):
        assert is_away(wrapped) is expected


def test_an_error_that_is_none_of_these_is_raised_at_once(storage: BaseStorage, time: Time) -> None:
    with pytest.raises(KeyError):
        storage.get_trial(7)
    assert time.slept == []


def test_a_storage_can_be_sent_to_another_process(tmp_path: Path) -> None:
    storage = open_storage(sqlite_url(tmp_path / "study.db"))
    storage.create_new_study([StudyDirection.MINIMIZE], "toy")
    copy: BaseStorage = pickle.loads(pickle.dumps(storage))
    assert [study.study_name for study in copy.get_all_studies()] == ["toy"]


def test_a_real_database_is_waited_for(
    postgres: PostgresServer, postgres_url: str, time: Time, said: list[str]
) -> None:
    storage = open_storage(postgres_url, Patience(clock=lambda: time.now, sleep=time.sleep, say=said.append))
    study = optuna.create_study(storage=storage, study_name="toy")
    waiting = create_trial(state=TrialState.WAITING)
    study.add_trial(waiting)
    stops = iter(["immediate", "fast"])

    def start_again_after_three_waits() -> None:
        if len(time.slept) % 3 == 0:
            postgres.start()

    time.when_asleep = start_again_after_three_waits
    for mode in stops:
        postgres.stop(mode)  # type: ignore[arg-type]  # reason: a parameter of the test
        assert [t.number for t in study.get_trials()] == [0]
        postgres.stop(mode)  # type: ignore[arg-type]  # reason: a parameter of the test
        study.set_user_attr("mode", mode)
    assert study.user_attrs == {"mode": "fast"}
    assert len(said) == 8
    assert "Connection refused" in said[0]
    assert postgres.password not in "".join(said)
