"""Optuna's trial, at both ends of a pipe.

In the trial process `PipedTrial` looks like `optuna.Trial`; in the parent `answer` asks the real one. Every request
is a tuple (method or property, arguments); every answer is ("value", value) or ("error", exception).
"""

from __future__ import annotations

import datetime
import json
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import StorageInternalError
from optuna.trial import BaseTrial

from autotune.errors import ParentGoneError, SearchSpaceError
from autotune.optuna_inside import stored
from autotune.running.storages import is_refusal, reason
from autotune.running.trial.plain_values import (
    NotPlainError,
    as_float,
    place_of,
    plain,
    plain_choices,
    plain_name,
    plain_number,
)
from autotune.search.history import report, should_prune
from autotune.training.records import Phase, Timer

_METHODS = {
    "suggest_float",
    "suggest_int",
    "suggest_categorical",
    "suggest_uniform",
    "suggest_loguniform",
    "suggest_discrete_uniform",
    "report",
    "should_prune",
    "set_user_attr",
    "set_constraint",
}
_BY_FIRST_OBJECTIVE: dict[str, Callable[..., Any]] = {"report": report, "should_prune": should_prune}
_PARAMETER = "a hyperparameter"
_PROPERTIES = {"params", "distributions", "user_attrs", "datetime_start", "number", "constraints"}


class Request(NamedTuple):
    """A question of the trial process to the parent."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 -- reason: never changed


class PipedTrial(BaseTrial):
    """A trial that looks like Optuna's and asks the real one in the parent process.

    What is covered: everything a trial offers to an objective. What is not: `trial.study`, which would bring the
    storage into the trial process; sampler, pruner and study belong to the parent.

    Args:
        connection: The pipe to the parent.
        timer: Counts the seconds for which this trial waits for answers.

    Attributes:
        told: The reports, user attributes and constraints so far, which the parent may write down later.
    """

    def __init__(self, connection: Connection | Replay, timer: Timer | None = None) -> None:
        self._connection = connection
        self._timer = timer or Timer()
        self._asking = threading.Lock()  # checkpoints are written, and complained of, by a thread of its own
        self._choices: dict[str, tuple[list[Any], list[Any]]] = {}  # as the storage has them, and as the study file
        self.told: list[tuple[str, Sequence[Any]]] = []
        self._stored_params: dict[str, Any] | None = None  # known here from the first time that somebody asks
        self._number: int = self._ask("number")

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._suggest("suggest_float", name, low, high, step=step, log=log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._suggest("suggest_int", name, low, high, step=step, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        kept = plain_choices(name, choices)
        value = self._asked_for(name, "suggest_categorical", kept)
        self._choices[name] = kept, list(choices)
        return self._own_choice(name, value)

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        return float(self._suggest("suggest_uniform", name, low, high))

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        return float(self._suggest("suggest_loguniform", name, low, high))

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        return float(self._suggest("suggest_discrete_uniform", name, low, high, q))

    def report(self, value: float, step: int) -> None:
        self._tell("report", as_float(value), _as_int(step))

    def should_prune(self) -> bool:
        return bool(self._ask("should_prune"))

    def set_user_attr(self, key: str, value: Any) -> None:
        try:
            kept = plain(value)
            json.dumps(kept)  # which refuses integers of too many digits
            self._tell("set_user_attr", plain_name(key, "a user attribute"), kept)
        except (NotPlainError, SearchSpaceError, ValueError) as error:  # work is not lost for a remark on it
            why = error.happened if isinstance(error, SearchSpaceError) else str(error)
            text = f"the user attribute {key!r} is left out: {why}; numbers, strings, lists and dicts can be kept"
            print(text)
            self.note(text, once=f"user attribute {key!r}")

    def set_constraint(self, key: str, value: float) -> None:
        self._tell("set_constraint", key, as_float(value))

    def note(self, text: str, once: str | None = None) -> None:
        """Tell the person in front of the run something about this trial, in any thread. Optuna's own trials cannot.

        Args:
            text: What.
            once: What names it among all that the trials of a run tell, if it is to be told of one of them only.
        """
        self._exchange(Request("note", (text, once)))

    def has_reported(self) -> bool:
        """Say whether this trial has reported before, here or elsewhere. Optuna's own trials cannot."""
        return bool(self._ask("has_reported"))

    def is_among_best(self, value: float) -> bool:
        """Say whether a trial with this value would be among those whose models are kept. Optuna's own cannot."""
        return bool(self._ask("is_among_best", value))

    def stored_params(self) -> dict[str, Any]:
        """Return the parameters as the storage has them: tuples are lists. Optuna's own trials cannot.

        The parent is asked once: it may be gone, or wait for its storage, when the value of a trial is to be kept.
        """
        if self._stored_params is None:
            self._stored_params = dict(self._ask("params"))
        return dict(self._stored_params)

    @property
    def params(self) -> dict[str, Any]:
        return {name: self._own_choice(name, value) for name, value in self.stored_params().items()}

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return dict(self._ask("distributions"))

    @property
    def user_attrs(self) -> dict[str, Any]:
        return dict(self._ask("user_attrs"))

    @property
    def datetime_start(self) -> datetime.datetime | None:
        started: datetime.datetime | None = self._ask("datetime_start")
        return started

    @property
    def number(self) -> int:
        return self._number

    @property
    def constraints(self) -> dict[str, float]:
        return dict(self._ask("constraints"))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"trial.{name} is not available in a trial process: it has suggest_*, report, should_prune, "
            f"set_user_attr, set_constraint and {', '.join(sorted(_PROPERTIES))}."
        )

    def _suggest(self, method: str, name: str, *limits: Any, **how: Any) -> Any:
        given = {key: plain_number(value) for key, value in how.items()}
        return self._asked_for(name, method, *map(plain_number, limits), **given)

    def _asked_for(self, name: str, method: str, *limits: Any, **how: Any) -> Any:
        name = plain_name(name, _PARAMETER)
        value = self._ask(method, name, *limits, **how)
        if method != "suggest_categorical":  # one that was given may be an int for a float, which storages keep as such
            value = int(value) if method == "suggest_int" else float(value)
        if self._stored_params is not None:
            self._stored_params[name] = value
        return value

    def _own_choice(self, name: str, value: Any) -> Any:
        """Return the study file's own object for a choice as the storage has it; other values as they are."""
        kept, own = self._choices.get(name, ([], []))
        place = place_of(value, kept)
        return value if place is None else own[place]

    def tell_again(self, told: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Tell the parent what an earlier process of this trial has told another one, which may not have written it."""
        for name, args in told:
            self._tell(name, *args)

    def _tell(self, name: str, *args: Any) -> None:
        self._ask(name, *args)
        self.told.append((name, args))

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        with self._timer.spending(_phase_of(name)):
            return self._exchange(Request(name, args, kwargs))

    def _exchange(self, request: Request) -> Any:
        with self._asking:
            try:
                self._connection.send(request)
                kind, value = self._connection.recv()
            except (EOFError, ConnectionError) as error:
                raise ParentGoneError from error
        if kind == "error":
            raise value
        return value


def answer(trial: optuna.Trial, request: Request) -> tuple[str, Any]:
    """Ask the real trial; an exception it raises on the study file's account goes back to the study file."""
    try:
        if request.name in _PROPERTIES:
            return "value", getattr(trial, request.name)
        if request.name == "has_reported":
            return "value", bool(stored(trial).intermediate_values)
        if request.name not in _METHODS:
            raise AttributeError(f"trial.{request.name} is not available in a trial process.")
        if request.name in _BY_FIRST_OBJECTIVE:
            return "value", _BY_FIRST_OBJECTIVE[request.name](trial, *request.args, **request.kwargs)
        method: Callable[..., Any] = getattr(trial, request.name)
        return "value", method(*request.args, **request.kwargs)
    except (ValueError, TypeError, AttributeError, OverflowError, NotImplementedError) as error:
        return "error", _picklable(error)
    except StorageInternalError as error:
        if not is_refusal(error):
            raise
        return "error", ValueError(f"The storage does not take what {request.name} was given: {reason(error)}.")


def asked_distribution(request: Request) -> tuple[str, BaseDistribution] | None:
    """Return the parameter and the distribution that a `suggest_*` request names; None for other requests."""
    if not request.name.startswith("suggest_"):
        return None
    name, *args = request.args
    if request.name == "suggest_categorical":
        return name, CategoricalDistribution(*args)
    if request.name == "suggest_int":
        return name, IntDistribution(*args, **request.kwargs)
    if request.name == "suggest_loguniform":
        return name, FloatDistribution(args[0], args[1], log=True)
    if request.name == "suggest_discrete_uniform":
        return name, FloatDistribution(args[0], args[1], step=args[2])
    return name, FloatDistribution(*args, **request.kwargs)


class Replay:
    """The parent's end of a pipe, played from a stored trial: what a study file asks for, given those parameters.

    Parameters that the stored trial lacks get a value at the edge of their range. Nothing is ever pruned.

    Args:
        params: The stored trial's parameters.
        number: Its number.
        user_attrs: Its user attributes.

    Attributes:
        distributions: The distribution of each parameter that was asked for.
        reports: What was reported, by step.
    """

    def __init__(self, params: dict[str, Any], number: int, user_attrs: Mapping[str, Any] | None = None) -> None:
        self.distributions: dict[str, BaseDistribution] = {}
        self.reports: dict[int, float] = {}
        self._user_attrs = dict(user_attrs or {})
        self._params = params
        self._number = number
        self._request = Request("number")

    def send(self, request: Request) -> None:
        """Take a request, as the parent does."""
        self._request = request
        if request.name == "report":
            value, step = request.args
            self.reports[step] = value

    def recv(self) -> tuple[str, Any]:
        """Answer the last request, as the parent does."""
        asked = asked_distribution(self._request)
        if asked is None:
            known = {
                "number": self._number,
                "params": self._params,
                "distributions": self.distributions,
                "should_prune": False,
                "user_attrs": self._user_attrs,
                "constraints": {},
            }
            return "value", known.get(self._request.name)
        name, distribution = asked
        self.distributions[name] = distribution
        edge = distribution.to_external_repr(getattr(distribution, "low", 0))
        return "value", self._params.get(name, edge)


def _phase_of(request: str) -> Phase:
    return "suggestions" if request.startswith("suggest_") else "reports"


def _as_int(step: Any) -> int:
    try:
        return int(plain_number(step))
    except (TypeError, ValueError):
        raise TypeError(f"The step is of type {type(step).__name__!r}, but is to be an int.") from None


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
