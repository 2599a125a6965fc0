"""The requests that a trial process may send to its parent."""

from __future__ import annotations

from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

METHODS = {
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
PROPERTIES = {"params", "distributions", "user_attrs", "datetime_start", "number", "constraints"}


class Request(NamedTuple):
    """A call of a method, or a read of a property, of the trial in the parent."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 -- reason: never changed


def asked_distribution(request: Request) -> tuple[str, BaseDistribution] | None:
    """Return the name and the distribution of the parameter in a `suggest_*` request; None for other requests."""
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
