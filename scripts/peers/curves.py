"""A search by this package with its model of learning curves: the study file with `CurveSampler` and `CurvePruner`.

Where a pass through the rows takes long, trials report several times in it (`epochs_per_pass`). With an earlier study
the search learns from it (`learn_from`).
"""

from __future__ import annotations

from peers.methods import Search
from peers.ours import run_with

_LINES = """
import dataclasses
from functools import partial

from autotune.search.curves import CurvePruner, CurveSampler

EPOCHS = study.epochs  # the schedules ask for it
study = dataclasses.replace(
    study,
    sampler=partial(CurveSampler, EPOCHS, start_epochs=%(start)r),
    pruner=CurvePruner(EPOCHS, %(start)r),
    learn_from=%(earlier)r,
)
"""


def search(search: Search) -> None:
    """Search until the process is ended."""
    many = search.problem.epochs_per_pass
    earlier = [search.earlier] if search.earlier else []
    run_with(search, _LINES % {"start": many * search.problem.start_epochs, "earlier": earlier}, many)
