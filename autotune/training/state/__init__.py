"""The state that changes while a network trains: variables and the attributes of callbacks.

If all of it is saved when an epoch ends and restored later, training continues with the same numbers, bit for bit.

variables       All variables that change while a network trains, found in the model, its parts and the callbacks
callback_state  The attributes of callbacks: saved when an epoch ends, restored when a trial is resumed
study_globals   The values at the top level of a study file that its functions change
unkept          State that changes in training but that no checkpoint can hold: found and reported
"""

from autotune.training.state.callback_state import go_on_writing, put_back, state_of
from autotune.training.state.study_globals import StudyGlobals
from autotune.training.state.unkept import (
    Watch,
    cannot_be_kept,
    has_own_code,
    marks_of,
    refuse_unkept,
    unkept_draws,
)
from autotune.training.state.variables import (
    callback_variables,
    is_own,
    trace_step,
    training_variables,
    variables_elsewhere,
    walk,
)

__all__ = [
    "StudyGlobals",
    "Watch",
    "callback_variables",
    "cannot_be_kept",
    "go_on_writing",
    "has_own_code",
    "is_own",
    "marks_of",
    "put_back",
    "refuse_unkept",
    "state_of",
    "trace_step",
    "training_variables",
    "unkept_draws",
    "variables_elsewhere",
    "walk",
]
