"""Summaries of stored studies.

Reading a study changes nothing, and shows its current state.

provenance  The origin of a result: versions, code, data and machine
ranking     The order of a search's trials from good to bad, including pruned ones
summary     The status of a study: number of trials, best trial, speed, remaining time
stored      The settings of stored studies, and the code that they were started from
"""

from autotune.results.summary.provenance import provenance, versions
from autotune.results.summary.ranking import badness, finished_in_order
from autotune.results.summary.stored import refuse_part, settings_of, source_of
from autotune.results.summary.summary import (
    BestTrial,
    StudyStatus,
    best_trial,
    nothing_complete,
    nothing_there,
    pareto_front,
    stored_study,
    study_status,
    study_to_write_to,
)

__all__ = [
    "BestTrial",
    "StudyStatus",
    "badness",
    "best_trial",
    "finished_in_order",
    "nothing_complete",
    "nothing_there",
    "pareto_front",
    "provenance",
    "refuse_part",
    "settings_of",
    "source_of",
    "stored_study",
    "study_status",
    "study_to_write_to",
    "versions",
]
