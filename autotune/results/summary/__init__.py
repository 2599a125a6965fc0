"""A stored study in a few numbers.

Looking changes nothing, and shows what was written a moment ago.

provenance  What a result was made with: versions, code, data and machine
ranking     The trials of a search in one order, from good to bad, those that were stopped among them
summary     A study in a few numbers: how far it is, what is best, how long it will take
stored      Stored studies, and the code that they were started from
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
