"""Slots at work, on this machine or on the nodes of a Ray cluster.

`run` is the door: it plans, works until nothing is left, and tells what became of it.

given_trials       A check of the configurations that a study file gives to a plain objective, while its trials run
supervising        Supervision of a trial process: answer its requests, and find out how it ended
ending             Storage of how a trial ended: complete, pruned, failed with a reason, or waiting again
failures_in_a_row  The count of failed trials in a row, and the error that ends a run with too many of them
slot_threads       The threads of a parent's slots: each claims a trial, supervises its process, and stores how it ended
stopping           A context that ends a run at a signal or when its time is over
machine            What a run may use of this machine, or of a Ray cluster: the options that say so, checked
execution          The trials of a plan, run on this machine
ray_engine         Slots on the nodes of a Ray cluster
running            Run a study: from a study file to an Optuna study with exactly the trials that were asked for
"""

from autotune.running.engine.execution import Session, session
from autotune.running.engine.machine import Machine
from autotune.running.engine.running import run

__all__ = ["Machine", "Session", "run", "session"]
