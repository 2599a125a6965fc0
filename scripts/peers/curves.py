"""A search by this package with its model of learning curves: the study file with `CurveSampler` and `CurvePruner`."""

from __future__ import annotations

from peers.methods import Search
from peers.ours import run_with

_LINES = """
import dataclasses

from autotune.search import CurvePruner, CurveSampler

study = dataclasses.replace(
    study, sampler=lambda seed: CurveSampler(study.epochs, seed), pruner=CurvePruner(study.epochs, %r)
)
"""


def search(search: Search) -> None:
    """Search until the process is ended."""
    run_with(search, _LINES % search.problem.start_epochs)
