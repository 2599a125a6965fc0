"""Plans of runs: which study, which trials, which rows.

A mistake in a study is reported before the study is opened. A change that makes its trials incomparable is refused.

preparer      The options of a run, and the processes that run code of its study file before the first trial
stored_study  The study in its storage: found, opened, compared with the declaration, and its total kept right
queued        Queued trials: configurations that are trained again, each with its own seed and split
recovery      Recovery of trials that dead parents have left RUNNING, at the start of a command
learning      What a new study learns from earlier ones: the configurations of its first trials
ready         A study that can run: its declaration, data and settings, compared with the stored study
plan          The plan of a run: a study that may run, opened in its storage, and the trials that it will have
again         The plans that train configurations of a study again: in a second study, or a single trial
"""

from autotune.running.planning.again import plan_queue, plan_replay
from autotune.running.planning.learning import Learning, read_learning
from autotune.running.planning.plan import Plan, plan_search
from autotune.running.planning.preparer import KERAS_MODULES, Preparer, RunOptions
from autotune.running.planning.queued import LEARNING_CURVE, Queue, QueuedTrial, key_of, refit_noted
from autotune.running.planning.stored_study import find_study, open_study, raise_total, study_names

__all__ = [
    "KERAS_MODULES",
    "LEARNING_CURVE",
    "Learning",
    "Plan",
    "Preparer",
    "Queue",
    "QueuedTrial",
    "RunOptions",
    "find_study",
    "key_of",
    "open_study",
    "plan_queue",
    "plan_replay",
    "plan_search",
    "raise_total",
    "read_learning",
    "refit_noted",
    "study_names",
]
