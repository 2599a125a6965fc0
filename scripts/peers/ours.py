"""A search by this package: `autotune.run` on the study file without its baseline, with its own sampler and pruner.

Storage in SQLite, checkpoints after each epoch, models of the best trials kept, the same numbers each time: all that
`autotune run` does. The cores are shared equally by the slots.
"""

from __future__ import annotations

import autotune
from autotune.running.tracking import Event, TrialEnded
from peers.methods import Search
from peers.problems import STUDIES

_WITHOUT_END = 1_000_000
_RECORDED = """
from peers.training import recorded

study = recorded(study, %r, %r, %r, %r)
"""


def as_declared(search: Search) -> None:
    """Search until the process is ended."""
    run_with(search, "")


def run_with(search: Search, lines: str, epochs_per_pass: int = 1) -> None:
    """Search with the study file and some more lines of Python at its end, until the process is ended."""
    journal, problem = search.journal, search.problem
    declared = (STUDIES / problem.study_file).read_text("utf-8")
    study_file = search.folder / problem.study_file
    facts = (problem.holdout, journal.path, journal.began, epochs_per_pass)
    study_file.write_text(declared + _RECORDED % facts + lines, "utf-8")

    def observe(event: Event) -> None:
        if isinstance(event, TrialEnded) and event.state in ("complete", "pruned"):
            journal.note_end(str(event.number))

    autotune.run(
        study_file,
        n_trials=_WITHOUT_END,
        workers=search.slots,
        seed=search.seed,
        storage=f"sqlite:///{search.folder}/autotune.db",
        run_dir=search.folder,
        data_dir=search.data_dir,
        observer=observe,
    )
