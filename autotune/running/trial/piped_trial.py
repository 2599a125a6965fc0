"""The trial object in a trial process: it has the methods of `optuna.Trial` and asks the parent.

It sends each `Request` through a pipe; each answer is ("value", value) or ("error", exception).
"""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial

from autotune.errors import ParentGoneError, SearchSpaceError
from autotune.running.trial.answering import AnsweringHere, Replay
from autotune.running.trial.plain_values import (
    NotPlainError,
    as_float,
    place_of,
    plain,
    plain_choices,
    plain_name,
    plain_number,
)
from autotune.running.trial.requests import PROPERTIES, Request
from autotune.training.checkpoints import TrialFolder
from autotune.training.records import Phase, Timer

_PARAMETER = "a hyperparameter"


@dataclass(frozen=True)
class KeepingPlace:
    """Where a trial may keep what it has reached, and for whom.

    Attributes:
        folder: The trial's folder.
        facts: Everything that decides the trial's numbers besides its number and parameters: the code, the seed.
    """

    folder: TrialFolder
    facts: tuple[Any, ...]


class PipedTrial(BaseTrial):
    """A trial with the methods of Optuna's, which the real trial in the parent process answers.

    What is covered: everything that an objective needs of a trial. What is not covered: `trial.study`, because the
    storage, sampler and pruner belong to the parent.

    Args:
        connection: The pipe to the parent.
        timer: Counts the seconds in which this trial waits for answers.
        keeping: Where `autotune.keep` keeps what this trial has reached; None to keep nothing.

    Attributes:
        keeping: The same.
        told: The reports, user attributes and constraints so far; the parent may store them later.
    """

    def __init__(
        self,
        connection: Connection | Replay | AnsweringHere,
        timer: Timer | None = None,
        keeping: KeepingPlace | None = None,
    ) -> None:
        self.keeping = keeping
        self._connection = connection
        self._timer = timer or Timer()
        self._asking = threading.Lock()  # the thread that writes checkpoints may send notes at the same time
        self._choices: dict[str, tuple[list[Any], list[Any]]] = {}  # plain choices, and the study file's own objects
        self.told: list[tuple[str, Sequence[Any]]] = []
        self._stored_params: dict[str, Any] | None = None  # None until they are first needed
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
            json.dumps(kept)  # raises ValueError for integers with too many digits
            self._tell("set_user_attr", plain_name(key, "a user attribute"), kept)
        except (NotPlainError, SearchSpaceError, ValueError) as error:  # an attribute must not end the trial
            why = error.happened if isinstance(error, SearchSpaceError) else str(error)
            text = f"the user attribute {key!r} is not stored: {why}; give numbers, strings, lists or dicts"
            print(text)
            self.note(text, once=f"user attribute {key!r}")

    def set_constraint(self, key: str, value: float) -> None:
        self._tell("set_constraint", key, as_float(value))

    def note(self, text: str, once: str | None = None) -> None:
        """Show the user a note about this trial; thread-safe. Optuna's own trials do not have this method.

        Args:
            text: The note.
            once: A name for notes of which a run shows only the first; None to show each of them.
        """
        self._exchange(Request("note", (text, once)))

    def has_reported(self) -> bool:
        """Tell whether this trial has reported before, on any machine. Optuna's own trials do not have this method."""
        return bool(self._ask("has_reported"))

    def is_among_best(self, value: float) -> bool:
        """Tell whether the model of a trial with this value is kept. Optuna's own trials do not have this method."""
        return bool(self._ask("is_among_best", value))

    def stored_params(self) -> dict[str, Any]:
        """Return the parameters in plain values, e.g. lists for tuples. Optuna's own trials do not have this method.

        This asks the parent only once, because the parent may be gone or wait for its storage when a trial ends.
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
            f"A trial process cannot use trial.{name}. It can use suggest_*, report, should_prune, "
            f"set_user_attr, set_constraint and {', '.join(sorted(PROPERTIES))}."
        )

    def _suggest(self, method: str, name: str, *limits: Any, **how: Any) -> Any:
        given = {key: plain_number(value) for key, value in how.items()}
        return self._asked_for(name, method, *map(plain_number, limits), **given)

    def _asked_for(self, name: str, method: str, *limits: Any, **how: Any) -> Any:
        name = plain_name(name, _PARAMETER)
        value = self._ask(method, name, *limits, **how)
        if method != "suggest_categorical":  # a value from `enqueue` may be stored as an int although it is a float
            value = int(value) if method == "suggest_int" else float(value)
        if self._stored_params is not None:
            self._stored_params[name] = value
        return value

    def _own_choice(self, name: str, value: Any) -> Any:
        """Return the study file's own object for a plain choice; other values unchanged."""
        kept, own = self._choices.get(name, ([], []))
        place = place_of(value, kept)
        return value if place is None else own[place]

    def tell_again(self, told: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Send what an earlier process of this trial sent to another parent, which may not have stored it."""
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


def _phase_of(request: str) -> Phase:
    return "suggestions" if request.startswith("suggest_") else "reports"


def _as_int(step: Any) -> int:
    try:
        return int(plain_number(step))
    except (TypeError, ValueError):
        raise TypeError(f"The step is of type {type(step).__name__!r}. It must be an int.") from None
