"""What every storage does alike: claims are exclusive, trials go on as themselves, nothing is lost or doubled."""

from __future__ import annotations

import enum
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent
from typing import Any
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna
import optuna_dashboard
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from autotune.running.storages.opening import open_existing_storage, open_storage, sqlite_url
from autotune.running.trial.answering import Replay, answer
from autotune.running.trial.piped_trial import PipedTrial
from autotune.running.trial.plain_values import plain
from autotune.running.trial.requests import Request
from autotune.search.history import differences

KINDS = ["sqlite", "postgresql", "journal", "grpc", "grpc+sqlite"]
WAITING = create_trial(state=TrialState.WAITING)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if kind == "journal":
        return f"journal:///{tmp_path / 'study.log'}"
    file = sqlite_url(tmp_path / "study.db")
    if kind == "sqlite":
        return file
    database: str = file if kind == "grpc+sqlite" else request.getfixturevalue("postgres_url")
    return str(request.getfixturevalue("served")(database)) if "grpc" in kind else database


@pytest.fixture
def storage(url: str) -> BaseStorage:
    return open_storage(url)


@pytest.fixture
def study_id(storage: BaseStorage) -> int:
    return storage.create_new_study([StudyDirection.MAXIMIZE], "toy")


def test_a_study_is_created_once_and_found_again(storage: BaseStorage, url: str) -> None:
    study = optuna.create_study(storage=storage, study_name="toy", direction="maximize")
    study.set_user_attr("seed", 3)
    storage.set_study_system_attr(study._study_id, "inner", {"a": [1, None]})
    with pytest.raises(DuplicatedStudyError):
        storage.create_new_study([StudyDirection.MAXIMIZE], "toy")
    found = open_existing_storage(url)
    assert found is not None
    loaded = optuna.load_study(study_name="toy", storage=found)
    assert (loaded.direction, loaded.user_attrs) == (StudyDirection.MAXIMIZE, {"seed": 3})
    assert found.get_study_system_attrs(study._study_id) == {"inner": {"a": [1, None]}}
    assert optuna.get_all_study_names(found) == ["toy"]
    with pytest.raises(KeyError):
        optuna.load_study(study_name="other", storage=found)


def test_a_trial_that_waits_in_between_goes_on_as_itself(
    storage: BaseStorage, url: str, study_id: int, kind: str
) -> None:
    trial_id = storage.create_new_trial(study_id, WAITING)
    parameters = {"z": 0.25, "a": 0.5, "m": 0.75}
    elsewhere = open_storage(url)  # knows nothing of what the first has in its cache
    for turn, at in enumerate((storage, elsewhere)):
        assert [t.number for t in at.get_all_trials(study_id, states=(TrialState.WAITING,))] == [0]
        assert at.set_trial_state_values(trial_id, TrialState.RUNNING)
        if turn == 0:
            for name, value in parameters.items():
                at.set_trial_param(trial_id, name, value, FloatDistribution(0, 1))
        at.set_trial_intermediate_value(trial_id, turn + 1, turn / 4)
        at.set_trial_user_attr(trial_id, f"user{turn}", {"x": [turn]})
        at.set_trial_system_attr(trial_id, f"system{turn}", "ü")
        if turn == 0:
            assert at.set_trial_state_values(trial_id, TrialState.WAITING)
    assert elsewhere.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.1 + 0.2])
    for at in (storage, elsewhere):
        (trial,) = at.get_all_trials(study_id)
        assert (trial._trial_id, trial.number, trial.state) == (trial_id, 0, TrialState.COMPLETE)
        assert (trial.params, trial.values) == (parameters, [0.1 + 0.2])
        assert trial.intermediate_values == {1: 0.0, 2: 0.25}
        assert trial.user_attrs == {"user0": {"x": [0]}, "user1": {"x": [1]}}
        assert trial.system_attrs == {"system0": "ü", "system1": "ü"}
        if "grpc" not in kind:  # whose messages keep no order
            assert list(trial.params) == list(parameters)
        with pytest.raises(UpdateFinishedTrialError):
            at.set_trial_state_values(trial_id, TrialState.WAITING)


def test_the_same_parameter_report_and_state_again_are_no_harm(storage: BaseStorage, study_id: int) -> None:
    trial_id = storage.create_new_trial(study_id, WAITING)
    storage.get_all_trials(study_id)
    assert storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    choices = CategoricalDistribution(["a", "b"])
    for _ in range(2):
        storage.set_trial_param(trial_id, "kind", 1, choices)
        storage.set_trial_intermediate_value(trial_id, 7, 0.5)
    for _ in range(2):
        assert storage.set_trial_state_values(trial_id, TrialState.WAITING)
    trial = storage.get_trial(trial_id)
    assert (trial.params, trial.intermediate_values, trial.state) == ({"kind": "b"}, {7: 0.5}, TrialState.WAITING)


def test_of_many_threads_that_claim_one_trial_exactly_one_gets_it(
    storage: BaseStorage, url: str, study_id: int
) -> None:
    storages = [storage, open_storage(url)]  # two that share no lock of Python's
    for _ in range(5):
        trial_id = storage.create_new_trial(study_id, WAITING)
        with ThreadPoolExecutor(8) as pool:
            claims = [
                pool.submit(storages[i % 2].set_trial_state_values, trial_id, TrialState.RUNNING) for i in range(8)
            ]
        assert sorted(claim.result() for claim in claims) == [False] * 7 + [True]


PROCESS = """
    import functools
    import sys
    import optuna
    from optuna.trial import TrialState, create_trial
    from autotune.running.storages.opening import open_storage

    opened = functools.lru_cache(1)(open_storage)

    def claim(url, trial_id):
        return opened(url).set_trial_state_values(trial_id, TrialState.RUNNING)

    def create(url):
        study = optuna.create_study(storage=open_storage(url), study_name="toy", load_if_exists=True)
        for _ in range(10):
            study.add_trial(create_trial(state=TrialState.WAITING))

    print("ready", flush=True)
    for line in sys.stdin:
        what, *arguments = eval(line)
        try:
            print(globals()[what](*arguments), flush=True)
        except Exception as error:
            print(repr(error), flush=True)
"""


@pytest.fixture(scope="module")
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Give two processes that do what they are told; they are the same for all tests, since they start slowly."""
    with ExitStack() as stack:
        started = []
        for _ in range(2):
            command = [sys.executable, "-c", dedent(PROCESS)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield started


def at_once(processes: list[subprocess.Popen[str]], *what: object) -> list[str]:
    """Tell each of the processes what to do, and return what each has answered."""
    for process in processes:
        print(what, file=process.stdin, flush=True)
    return [process.stdout.readline() for process in processes if process.stdout]


def test_of_two_processes_that_claim_one_trial_exactly_one_gets_it(
    storage: BaseStorage, url: str, study_id: int, processes: list[subprocess.Popen[str]]
) -> None:
    trial_id = storage.create_new_trial(study_id, WAITING)
    for _ in range(10):  # the same trial, put back again and again
        assert sorted(at_once(processes, "claim", url, trial_id)) == ["False\n", "True\n"]
        storage.set_trial_state_values(trial_id, TrialState.WAITING)


def test_two_processes_open_a_new_storage_and_create_trials_at_once(
    url: str, processes: list[subprocess.Popen[str]]
) -> None:
    assert at_once(processes, "create", url) == ["None\n"] * 2
    trials = optuna.load_study(study_name="toy", storage=open_storage(url)).trials
    assert [trial.number for trial in trials] == list(range(20))


def test_the_dashboard_shows_it(storage: BaseStorage, study_id: int) -> None:
    storage.create_new_trial(study_id, WAITING)
    environment: dict[str, Any] = {"PATH_INFO": f"/api/studies/{study_id}"}
    setup_testing_defaults(environment)
    statuses: list[str] = []
    app = optuna_dashboard.wsgi(storage)
    body = json.loads(b"".join(app(environment, lambda status, headers, *_: statuses.append(status))))
    assert statuses == ["200 OK"]
    assert [trial["state"] for trial in body["trials"]] == ["Waiting"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_disturb_its_parent(storage: BaseStorage, study_id: int, kind: str) -> None:
    trial_id = storage.create_new_trial(study_id, WAITING)
    child = os.fork()
    if child == 0:
        try:
            if "grpc" not in kind:  # which cannot be used after a fork
                storage.set_trial_user_attr(trial_id, "from", "the child")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert storage.get_trial(trial_id).user_attrs == ({} if "grpc" in kind else {"from": "the child"})
    assert storage.set_trial_state_values(trial_id, TrialState.RUNNING)


def test_optuna_searches_prunes_and_finds_the_best(storage: BaseStorage) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -1, 1)
        trial.report(x, 1)
        if trial.number == 2:
            raise optuna.TrialPruned
        return x

    study = optuna.create_study(storage=storage, study_name="toy")
    study.optimize(objective, n_trials=4)
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert study.best_value == min(t.values[0] for t in study.trials if t.state == TrialState.COMPLETE and t.values)
    optuna.delete_study(study_name="toy", storage=storage)
    assert storage.get_all_studies() == []


class OverAPipe:
    """What a trial process has of a pipe, with its parent at hand: all that is said is pickled."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self._answer = b""

    def send(self, request: Request) -> None:
        self._answer = pickle.dumps(answer(self._trial, pickle.loads(pickle.dumps(request))))

    def recv(self) -> Any:
        return pickle.loads(self._answer)


class Size(enum.IntEnum):
    LARGE = 64


CHOICES: list[Any] = [
    (2, (4, "a")),
    {"b": (None,)},
    np.int64(7),
    math.nan,
    -0.0,
    "a\0\ud800",
    2**70,
    True,
    Size.LARGE,
    ["c"],
]


def test_choices_come_back_as_the_study_files_own_objects(storage: BaseStorage, url: str) -> None:
    study = optuna.create_study(storage=storage, study_name="toy")
    for choice in CHOICES:
        study.enqueue_trial({"p": plain(choice)})
    for number, own in enumerate(CHOICES):
        if number % 5 == 0:
            elsewhere = optuna.load_study(study_name="toy", storage=open_storage(url))  # knows nothing from before
        pipe: Any = OverAPipe(elsewhere.ask())
        trial = PipedTrial(pipe)
        assert trial.suggest_categorical("p", CHOICES) is own
        assert trial.params["p"] is own
        assert trial.suggest_categorical("p", CHOICES) is own
        study.tell(trial.number, 1.0)
        stored = study.get_trials()[trial.number]
        assert json.dumps(stored.params["p"]) == json.dumps(plain(own))
        again = Replay(stored.params, stored.number)
        assert PipedTrial(again).suggest_categorical("p", CHOICES) is own
        assert differences(stored.distributions, again.distributions) == []
