"""Claims of trials: which parent runs which trial, which parents have died, and how the number of trials stays exact.

No two processes finish the same trial, no trial is lost, and the budget is exact over all slots, parents and machines.

ownership        The owner of each trial, and the locks that show at once whether a parent on this machine has died
leases           Leases, by which parents on different machines notice that one of them has died
known_trials     The trials of a study, read once for all slots of a parent
parents_at_work  The parents that run a study now, as far as one can see: for display, never for a decision
census           Counts of a study's trials, and whether the study is over
attempts         Counts of how often a trial was lost or ended by an error, and whether it is tried again
configurations   A check that no two trials of a study train the same configuration
late_writes      A thread that writes the reports of trials, so that no epoch waits for the storage
held_numbers     The numbers of the trials that slots of this parent hold, and of those that it may have lost
held_trials      The trials that this parent holds: claim them, check that it still owns them, put them back
takeover         Recovery of trials whose process or parent has died
claims           The choice of the next trial of a slot, within a budget that is exact over all parents and machines
"""

from autotune.running.claims.attempts import errors_of, is_tried_again
from autotune.running.claims.claims import Claims
from autotune.running.claims.configurations import RepetitionError
from autotune.running.claims.leases import Lease
from autotune.running.claims.ownership import Mark, Owner, is_foreign, is_ours, mark_of
from autotune.running.claims.parents_at_work import parents_at_work, slots_at_work

__all__ = [
    "Claims",
    "Lease",
    "Mark",
    "Owner",
    "RepetitionError",
    "errors_of",
    "is_foreign",
    "is_ours",
    "is_tried_again",
    "mark_of",
    "parents_at_work",
    "slots_at_work",
]
