"""Runs: slots that train trials on this machine or on the nodes of a Ray cluster.

`run` plans the run, trains until no trial is left, and returns the Optuna study.

given_trials       A check of the configurations that a study file gives to a plain objective, while its trials run
supervising        Supervision of a trial process: answer its requests, and find out how it ended
ending             Storage of how a trial ended: complete, pruned, failed with a reason, or waiting again
failures_in_a_row  The count of failed trials in a row, and the error that ends a run with too many of them
slot_threads       The threads of a parent's slots: each claims a trial, supervises its process, and stores how it ended
stopping           A context that ends a run at a signal or when its time is over
machine            The checked options for the resources of a run, on this machine or on a Ray cluster
execution          Run the trials of a plan on this machine
ray_engine         Slots on the nodes of a Ray cluster
running            Run a study: from a study file to an Optuna study with exactly the trials that were asked for
checking           Checks of a study file before it runs, and one trial in a debugger; neither stores anything
"""

from autotune.running.engine.checking import Checked, DebuggedTrial, check, debug
from autotune.running.engine.execution import Session, session
from autotune.running.engine.machine import Machine
from autotune.running.engine.running import run

__all__ = ["Checked", "DebuggedTrial", "Machine", "Session", "check", "debug", "run", "session"]
