"""What changes while a network trains, whoever holds it: variables, and what callbacks hold.

What is taken when an epoch ends and given back later makes training go on to the same bit.

variables       Every variable that changes while a network trains, whoever holds it
callback_state  What callbacks hold: taken when an epoch ends, given back when a trial goes on
unkept          What changes while a network trains and no checkpoint can hold: found, and named
"""

from autotune.training.state.callback_state import go_on_writing, put_back, state_of
from autotune.training.state.unkept import Marks, cannot_be_kept, has_own_code, marks_of, refuse_unkept
from autotune.training.state.variables import callback_variables, is_own, training_variables, variables_elsewhere, walk

__all__ = [
    "Marks",
    "callback_variables",
    "cannot_be_kept",
    "go_on_writing",
    "has_own_code",
    "is_own",
    "marks_of",
    "put_back",
    "refuse_unkept",
    "state_of",
    "training_variables",
    "variables_elsewhere",
    "walk",
]
