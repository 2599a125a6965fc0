"""A trial at the other end of a pipe: the same answers, the same errors, the same traces in the storage."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from autotune.running.trial.answering import Replay, answer
from autotune.running.trial.piped_trial import PipedTrial
from autotune.running.trial.requests import Request, asked_distribution

NewTrial = Callable[[], Any]
DEPRECATED = pytest.mark.filterwarnings("ignore:suggest_:FutureWarning")

# How a parameter is asked for, the value it is to have, and its distribution.
QUESTIONS: dict[str, tuple[Callable[[Any], Any], Any, BaseDistribution]] = {
    "float": (lambda t: t.suggest_float("p", 0, 1), 0.25, FloatDistribution(0, 1)),
    "log": (lambda t: t.suggest_float("p", 1e-5, 1, log=True), 1e-3, FloatDistribution(1e-5, 1, log=True)),
    "step": (lambda t: t.suggest_float("p", 0, 1, step=0.25), 0.75, FloatDistribution(0, 1, step=0.25)),
    "int": (lambda t: t.suggest_int("p", 1, 9), 4, IntDistribution(1, 9)),
    "int step": (lambda t: t.suggest_int("p", 1, 9, step=2), 5, IntDistribution(1, 9, step=2)),
    "int log": (lambda t: t.suggest_int("p", 1, 9, log=True), 3, IntDistribution(1, 9, log=True)),
    "choices": (lambda t: t.suggest_categorical("p", ["a", None, 2]), None, CategoricalDistribution(["a", None, 2])),
    "uniform": (lambda t: t.suggest_uniform("p", 0, 2), 1.5, FloatDistribution(0, 2)),
    "loguniform": (lambda t: t.suggest_loguniform("p", 1, 8), 2.0, FloatDistribution(1, 8, log=True)),
    "discrete": (lambda t: t.suggest_discrete_uniform("p", 0, 1, 0.5), 0.5, FloatDistribution(0, 1, step=0.5)),
}
ASKED = pytest.mark.parametrize(("ask", "value", "distribution"), QUESTIONS.values(), ids=QUESTIONS)


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(
        storage=storage, pruner=optuna.pruners.ThresholdPruner(upper=1), sampler=optuna.samplers.RandomSampler(seed=0)
    )


@pytest.fixture(params=["direct", "piped"])
def new_trial(request: pytest.FixtureRequest, study: optuna.Study) -> Iterator[NewTrial]:
    """Ask the study for trials: Optuna's own, or one at the other end of a pipe."""
    with contextlib.ExitStack() as stack:

        def new() -> Any:
            trial = study.ask()
            if request.param == "direct":
                return trial
            ours, theirs = Pipe()
            parent = threading.Thread(target=_answer_all, args=(trial, ours))
            parent.start()
            stack.callback(parent.join)
            stack.callback(theirs.close)
            return PipedTrial(theirs)

        yield new


def _answer_all(trial: optuna.Trial, connection: Connection) -> None:
    with connection, contextlib.suppress(EOFError):
        while True:
            connection.send(answer(trial, connection.recv()))


def _stored(study: optuna.Study, number: int = 0) -> FrozenTrial:
    return study.get_trials()[number]


@DEPRECATED
@ASKED
def test_a_suggested_value_is_the_studys_and_is_stored(
    study: optuna.Study, new_trial: NewTrial, ask: Callable[[Any], Any], value: Any, distribution: BaseDistribution
) -> None:
    study.enqueue_trial({"p": value})
    trial = new_trial()
    suggested = ask(trial)
    assert suggested == value
    assert type(suggested) is type(value)
    assert trial.params == {"p": value} == _stored(study).params
    assert trial.distributions == {"p": distribution} == _stored(study).distributions


def test_the_sampler_of_the_study_decides(study: optuna.Study, new_trial: NewTrial) -> None:
    expected = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    ranges = {"a": (0.0, 1.0), "b": (-3.0, 7.0)}
    trial = new_trial()
    suggested = {name: trial.suggest_float(name, *limits) for name, limits in ranges.items()}
    assert suggested == {name: expected.suggest_float(name, *limits) for name, limits in ranges.items()}


def test_a_parameter_asked_for_twice_has_one_value(new_trial: NewTrial) -> None:
    trial = new_trial()
    assert trial.suggest_float("p", 0, 1) == trial.suggest_float("p", 0, 1)


def test_reports_reach_the_storage_and_the_pruner(study: optuna.Study, new_trial: NewTrial) -> None:
    trial = new_trial()
    trial.report(0.5, 1)
    assert trial.should_prune() is False
    trial.report(2, 2)
    assert trial.should_prune() is True
    assert _stored(study).intermediate_values == {1: 0.5, 2: 2.0}


def test_attributes_and_constraints_reach_the_storage(study: optuna.Study, new_trial: NewTrial) -> None:
    trial = new_trial()
    trial.set_user_attr("note", {"a": [1, 2]})
    trial.set_constraint("memory", 1.5)
    assert trial.user_attrs == {"note": {"a": [1, 2]}} == _stored(study).user_attrs
    assert trial.constraints == {"memory": 1.5} == _stored(study).constraints


def test_a_piped_trial_knows_whether_it_has_reported(study: optuna.Study) -> None:
    for value, has_reported in ((None, False), (0.5, True)):
        trial = study.ask()
        if value is not None:
            trial.report(value, 1)
        assert answer(trial, Request("has_reported")) == ("value", has_reported)


def test_a_trial_knows_its_number_and_its_start(study: optuna.Study, new_trial: NewTrial) -> None:
    assert [new_trial().number for _ in range(3)] == [0, 1, 2]
    started = new_trial().datetime_start
    assert isinstance(started, datetime.datetime)
    assert started == _stored(study, 3).datetime_start


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda t: t.suggest_float("p", 1, 0), ValueError, "low <= high"),
        (lambda t: t.suggest_int("p", 0, 9, log=True), ValueError, "low >= 1"),
        (lambda t: t.suggest_float("p", 1, 2, step=0.1, log=True), ValueError, "step"),
        (lambda t: t.suggest_categorical("p", []), ValueError, "choices"),
        (lambda t: (t.suggest_float("p", 0, 1), t.suggest_int("p", 0, 1)), ValueError, "distribution"),
        (lambda t: t.report("much", 1), TypeError, "float"),
        (lambda t: t.report(0.5, -1), ValueError, "step"),
        (lambda t: t.set_constraint("memory", "much"), TypeError, "float"),
        (lambda t: t.set_constraint("memory", float("nan")), ValueError, "NaN"),
    ],
)
def test_a_mistake_raises_what_optuna_raises(
    new_trial: NewTrial, ask: Callable[[Any], Any], error: type[Exception], words: str
) -> None:
    trial = new_trial()
    with pytest.raises(error, match=words):
        ask(trial)
    assert trial.suggest_float("q", 0, 1) >= 0  # and the trial goes on


@pytest.mark.parametrize("new_trial", ["piped"], indirect=True)
def test_what_a_trial_process_lacks_is_refused_with_what_there_is(new_trial: NewTrial) -> None:
    with pytest.raises(AttributeError, match=r"A trial process cannot use trial\.study\..*suggest_\*, report, should"):
        _ = new_trial().study


@pytest.mark.parametrize("name", ["study", "storage", "_suggest", "__class__"])
def test_only_what_a_trial_offers_is_answered(study: optuna.Study, name: str) -> None:
    kind, error = answer(study.ask(), Request(name))
    assert kind == "error"
    assert isinstance(error, AttributeError)


def test_an_error_that_cannot_travel_arrives_as_its_text() -> None:
    class StubbornError(ValueError):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(f"{one} and {two}")

    class Stubborn(optuna.samplers.RandomSampler):
        def sample_independent(self, *arguments: Any) -> Any:
            raise StubbornError("this", "that")

    kind, error = answer(optuna.create_study(sampler=Stubborn()).ask(), Request("suggest_float", ("p", 0, 1)))
    assert (kind, type(error), str(error)) == ("error", RuntimeError, "StubbornError: this and that")


class _Recorder:
    """The end of a pipe that keeps the requests and hands out the number 0."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def send(self, request: Request) -> None:
        self.requests.append(request)

    def recv(self) -> tuple[str, Any]:
        return "value", 0


@ASKED
def test_a_request_names_the_distribution_it_asks_for(
    ask: Callable[[Any], Any], value: Any, distribution: BaseDistribution
) -> None:
    recorder: Any = _Recorder()
    ask(PipedTrial(recorder))
    assert asked_distribution(recorder.requests[-1]) == ("p", distribution)


@pytest.mark.parametrize("name", ["report", "params", "number", "set_user_attr"])
def test_other_requests_name_no_distribution(name: str) -> None:
    assert asked_distribution(Request(name, (1, 2))) is None


@ASKED
def test_a_replay_answers_with_the_stored_value_and_records_the_distribution(
    ask: Callable[[Any], Any], value: Any, distribution: BaseDistribution
) -> None:
    replay = Replay({"p": value}, 7)
    trial = PipedTrial(replay)
    assert trial.number == 7
    assert ask(trial) == value
    assert trial.distributions == replay.distributions == {"p": distribution}
    assert trial.params == {"p": value}


@pytest.mark.parametrize(
    ("ask", "edge"),
    [
        (lambda t: t.suggest_float("q", 0.5, 1), 0.5),
        (lambda t: t.suggest_int("q", 3, 9), 3),
        (lambda t: t.suggest_categorical("q", ["a", "b"]), "a"),
    ],
)
def test_a_replay_answers_a_new_parameter_with_the_edge_of_its_range(ask: Callable[[Any], Any], edge: Any) -> None:
    replay = Replay({"p": 1}, 0)
    assert ask(PipedTrial(replay)) == edge
    assert replay.distributions.keys() == {"q"}


def test_a_replay_takes_reports_and_attributes_and_prunes_nothing() -> None:
    trial = PipedTrial(Replay({}, 0))
    trial.report(1e9, 1)
    trial.set_user_attr("a", 1)
    trial.set_constraint("c", 1)
    facts: Sequence[object] = (trial.should_prune(), trial.user_attrs, trial.constraints, trial.datetime_start)
    assert facts == (False, {}, {}, None)


def test_threads_that_ask_at_once_get_their_own_answers() -> None:
    ours, theirs = Pipe()

    def echo() -> None:
        with contextlib.suppress(EOFError):
            while True:
                request = ours.recv()
                ours.send(("value", request.args[0] if request.args else 0))

    parent = threading.Thread(target=echo)
    parent.start()
    trial, wrong = PipedTrial(theirs), []

    def ask(name: str) -> None:
        wrong.extend(found for _ in range(500) if (found := trial.suggest_categorical(name, [0])) != name)

    askers = [threading.Thread(target=ask, args=(name,)) for name in ("x", "y")]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    theirs.close()
    parent.join()
    assert wrong == []
