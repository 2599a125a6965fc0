"""What happens inside a trial process, and the pipe to its parent.

What goes through the pipe comes back as it was, or is refused by name.

plain_values  What study files give to a trial, as every storage and every process gives it back, or refused by name
requests      What a trial process may ask its parent
answering     The parent's end of the pipe to a trial process: the real trial answers, or a stored one
piped_trial   A trial in a trial process: it looks like `optuna.Trial`, and asks the real one, in the parent
kept_result   What a plain objective has returned, kept on disk until it is in the storage
given         The configurations that a study file gives itself: its baseline, and the trials to begin with
asked_again   What `build` and `fit` ask for, given values
doubts        What is allowed in a study and looks like a mistake all the same, said once before the first trial
declaration   A study as its parent knows it
rows          The rows that trials train on: from the study file, and on disk
preparing     What is done once before the trials of a run, in a process of its own
trial_task    What happens in the process of one trial: load the study, run the trial, say how it ended
trial_log     A trial's log keeps its beginning and its end
"""

from autotune.running.trial.answering import Replay, answer
from autotune.running.trial.asked_again import PastTrial
from autotune.running.trial.declaration import Declaration, Declare, send_result
from autotune.running.trial.given import (
    BASELINE,
    Configurations,
    configurations,
    contains,
    may_contain,
    outside,
    refusal,
)
from autotune.running.trial.piped_trial import PipedTrial
from autotune.running.trial.plain_values import place_of
from autotune.running.trial.preparing import Preparation, Prepare
from autotune.running.trial.requests import Request, asked_distribution
from autotune.running.trial.rows import Rows, rows_of
from autotune.running.trial.trial_log import KEPT_BYTES, shorten
from autotune.running.trial.trial_task import Assignment, LeaveHistory, Outcome, RunTrial

__all__ = [
    "BASELINE",
    "KEPT_BYTES",
    "Assignment",
    "Configurations",
    "Declaration",
    "Declare",
    "LeaveHistory",
    "Outcome",
    "PastTrial",
    "PipedTrial",
    "Preparation",
    "Prepare",
    "Replay",
    "Request",
    "Rows",
    "RunTrial",
    "answer",
    "asked_distribution",
    "configurations",
    "contains",
    "may_contain",
    "outside",
    "place_of",
    "refusal",
    "rows_of",
    "send_result",
    "shorten",
]
