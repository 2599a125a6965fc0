"""Slots at work, on this machine or on the nodes of a Ray cluster.

`run` is the door: it plans, works until nothing is left, and tells what became of it.

given_trials       What a study file gives to the trials of a plain objective
supervising        One trial in its process: answer what it asks, and say how it ended
ending             How a trial has ended, written down: complete, pruned, failed with a reason, or waiting again
failures_in_a_row  When so many trials have failed one after the other that there is no sense in going on
slot_threads       Slots at work: each is a thread that claims a trial, has it supervised, and has its end written down
stopping           A run that can be stopped at any moment: by a signal, or because its time is over
machine            What a run may use of this machine, or of a Ray cluster: the options that say so, checked
execution          The trials of a plan, run on this machine
ray_engine         Slots on the nodes of a Ray cluster
running            Run a study: from a study file to an Optuna study with exactly the trials that were asked for
"""

from autotune.running.engine.execution import Session, session
from autotune.running.engine.machine import Machine
from autotune.running.engine.running import run

__all__ = ["Machine", "Session", "run", "session"]
