"""A search by this package with its model of learning curves: the study file with `CurveSampler` and `CurvePruner`."""

from __future__ import annotations

from peers.methods import Search
from peers.ours import run_with

_LINES = """
import dataclasses
from functools import partial

from autotune.search import CurvePruner, CurveSampler

study = dataclasses.replace(
    study,
    sampler=partial(CurveSampler, %(epochs)d, start_epochs=%(start)r),
    pruner=CurvePruner(%(epochs)d, %(start)r),
)
"""


def search(search: Search) -> None:
    """Search until the process is ended."""
    problem = search.problem
    run_with(search, _LINES % {"epochs": problem.epochs, "start": problem.start_epochs})
