"""Who runs which trial, and who is dead.

No trial is run twice to its end, none is lost, and the budget is exact over all slots, parents and machines.

ownership       Who runs which trial, and who of them is known to be dead at once, because it was on this machine
leases          Leases: how parents that share nothing but a storage know of each other's death
known_trials    The trials of a study as a parent knows them: read once for all its slots
living          Who runs a study now, as far as can be seen from here: good enough for people, not for decisions
census          How far a study has come
attempts        How often a trial was lost, or ended by an error, and whether it is tried again
configurations  Who trains which configuration: no two trials of a study train the same one
late_writes     What trials report is written by a thread beside
held_numbers    The numbers of the trials that slots of this parent hold, and those of which it is not sure any more
holding         The trials that this parent runs: taken, kept as its own, and put back
takeover        Trials whose process or parent has died
claims          Which trial a slot runs next: an exact budget over all slots, parents and machines
"""

from autotune.running.claims.attempts import errors_of, is_tried_again
from autotune.running.claims.claims import Claims
from autotune.running.claims.configurations import RepetitionError
from autotune.running.claims.leases import Lease
from autotune.running.claims.living import living_parents, slots_at_work
from autotune.running.claims.ownership import Mark, Owner, is_foreign, is_ours, mark_of

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
    "living_parents",
    "mark_of",
    "slots_at_work",
]
