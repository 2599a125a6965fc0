"""The parent's end of the pipe to a trial process: a real trial or a stored one answers the requests."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError

from autotune.optuna_inside import stored
from autotune.running.storages import is_refusal, reason
from autotune.running.trial.requests import METHODS, PROPERTIES, Request, asked_distribution
from autotune.search.history import report, should_prune

_BY_FIRST_OBJECTIVE: dict[str, Callable[..., Any]] = {"report": report, "should_prune": should_prune}


def answer(trial: optuna.Trial, request: Request) -> tuple[str, Any]:
    """Return the real trial's answer: ("value", value), or ("error", exception) for a mistake of the study file."""
    try:
        if request.name in PROPERTIES:
            return "value", getattr(trial, request.name)
        if request.name == "has_reported":
            return "value", bool(stored(trial).intermediate_values)
        if request.name not in METHODS:
            raise AttributeError(f"A trial process cannot use trial.{request.name}.")
        if request.name in _BY_FIRST_OBJECTIVE:
            return "value", _BY_FIRST_OBJECTIVE[request.name](trial, *request.args, **request.kwargs)
        method: Callable[..., Any] = getattr(trial, request.name)
        return "value", method(*request.args, **request.kwargs)
    except (ValueError, TypeError, AttributeError, OverflowError, NotImplementedError) as error:
        return "error", _picklable(error)
    except StorageInternalError as error:
        if not is_refusal(error):
            raise
        return "error", ValueError(f"The storage refuses the arguments of {request.name}: {reason(error)}.")


class Replay:
    """Answers requests like a parent, with the parameters of a stored trial.

    A parameter that the stored trial does not have gets the lower bound of its range, or its first choice. The trial is
    never pruned.

    Args:
        params: The stored trial's parameters.
        number: Its number.
        user_attrs: Its user attributes.

    Attributes:
        distributions: The distribution of each parameter that the study file asked for.
        reports: The reported values, by step.
    """

    def __init__(self, params: dict[str, Any], number: int, user_attrs: Mapping[str, Any] | None = None) -> None:
        self.distributions: dict[str, BaseDistribution] = {}
        self.reports: dict[int, float] = {}
        self._user_attrs = dict(user_attrs or {})
        self._params = params
        self._number = number
        self._request = Request("number")

    def send(self, request: Request) -> None:
        """Receive a request."""
        self._request = request
        if request.name == "report":
            value, step = request.args
            self.reports[step] = value

    def recv(self) -> tuple[str, Any]:
        """Return the answer to the last request."""
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


class AnsweringHere:
    """Answers the requests of a `PipedTrial` in its own process, by a trial of a study that is in no storage.

    Args:
        trial: The trial.
        on_report: Called with each reported step.
    """

    def __init__(self, trial: optuna.Trial, on_report: Callable[[int], None] = lambda step: None) -> None:
        self._trial = trial
        self._on_report = on_report
        self._answer: tuple[str, Any] = ("value", None)

    def send(self, request: Request) -> None:
        """Receive a request, and answer it."""
        if request.name == "note":
            print(request.args[0])
            self._answer = ("value", None)
        elif request.name == "is_among_best":
            self._answer = ("value", False)  # no model is kept
        else:
            self._answer = answer(self._trial, request)
        if request.name == "report":
            self._on_report(request.args[1])

    def recv(self) -> tuple[str, Any]:
        """Return the answer to the last request."""
        return self._answer


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
