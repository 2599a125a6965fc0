"""What a run is going to do: which study, which trials, which rows.

What is wrong with a study is said before it is opened, and what would make its trials incomparable is refused.

preparer      What a run is given, and the processes in which code of its study file is run before there are trials
stored_study  What a storage knows of a study: its directions, its trials, the space they have come from
queued        Trials that are known beforehand
recovery      What dead parents have left, put back before anything else is done
ready         A study as its file declares it, its data prepared, held against what its storage knows of it
plan          What a run is going to do: a study that is ready, opened in its storage, with its trials
again         Configurations of a study, trained again: by the plan of a study beside it, or one trial alone
"""

from autotune.running.planning.again import plan_queue, plan_replay
from autotune.running.planning.plan import Plan, plan_search
from autotune.running.planning.preparer import KERAS_MODULES, Preparer, RunOptions
from autotune.running.planning.queued import LEARNING_CURVE, Queue, QueuedTrial, key_of, refit_noted
from autotune.running.planning.stored_study import find_study, open_study, raise_total, study_names

__all__ = [
    "KERAS_MODULES",
    "LEARNING_CURVE",
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
    "refit_noted",
    "study_names",
]
