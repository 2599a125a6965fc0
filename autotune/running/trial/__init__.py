"""The work of a trial process, and the pipe to its parent.

A value that goes through the pipe comes back unchanged, or an error names the value that cannot go through.

plain_values          Conversion of a study file's values to plain ones that every storage and process can keep
requests              The requests that a trial process may send to its parent
answering             The parent's end of the pipe to a trial process: a real trial or a stored one answers the requests
piped_trial           The trial object in a trial process: it has the methods of `optuna.Trial` and asks the parent
noting_trial          A trial that takes note of the usual values of hyperparameters, which `autotune.spaces` knows
keeping               `kept` and `keep`: what an objective keeps of its trial, to go on where it was
keep_epochs           `KeepEpochs`: a callback that keeps and reports each epoch of `Model.fit`; it loads Keras
kept_result           The result of a plain objective, kept on disk until it is in the storage
given_configurations  The configurations that a study file gives: its baseline, guesses, and first trials
search_space          The search space of `build`, `fit` and `batch`, found by calling them with given parameters
doubts                Warnings about settings that are allowed but look like mistakes, given before the first trial
declaration           The settings of a study file in a record that its parent can read without Keras
rows                  The rows that trials train on, from the study file or from disk
trying                Trials that are in no study, trained on a few batches or, in a debugger, on all rows
preparing             The task of a process that stores and splits the data before the first trial
trial_task            The task of a trial process: load the study, run the trial, send how it ended
checking              Tasks of processes that check a study file: does a trial get through its first epoch?
trial_log             The log of a trial, shortened to its beginning and its end
"""

from autotune.running.trial.answering import Replay, answer
from autotune.running.trial.checking import Check, Seen, TryOthers
from autotune.running.trial.declaration import Declaration, Declare, send_result
from autotune.running.trial.given_configurations import (
    BASELINE,
    EXPECTED_OF_GIVEN,
    Configurations,
    configurations,
    contains,
    may_contain,
    outside,
    refusal,
)
from autotune.running.trial.keeping import keep, kept
from autotune.running.trial.piped_trial import PipedTrial
from autotune.running.trial.plain_values import place_of
from autotune.running.trial.preparing import Preparation, Prepare, declared_rows
from autotune.running.trial.requests import Request, asked_distribution
from autotune.running.trial.rows import Rows, folder_for, open_development, rebuilding, rows_of
from autotune.running.trial.search_space import PastTrial
from autotune.running.trial.trial_log import KEPT_BYTES, shorten
from autotune.running.trial.trial_task import Assignment, LeaveHistory, Outcome, RunTrial, load_in_slot
from autotune.running.trial.trying import drawn_trial, train_here

__all__ = [
    "BASELINE",
    "EXPECTED_OF_GIVEN",
    "KEPT_BYTES",
    "Assignment",
    "Check",
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
    "Seen",
    "TryOthers",
    "answer",
    "asked_distribution",
    "configurations",
    "contains",
    "declared_rows",
    "drawn_trial",
    "folder_for",
    "keep",
    "kept",
    "load_in_slot",
    "may_contain",
    "open_development",
    "outside",
    "place_of",
    "rebuilding",
    "refusal",
    "rows_of",
    "send_result",
    "shorten",
    "train_here",
]
