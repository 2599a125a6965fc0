"""GPUs, slots, and the processes that trials run in.

A trial process starts in milliseconds, and ends with all that it has started. When the parent dies, all end.

backend      Which backend Keras is asked to use, and whether a study can be trained with it
gpus         GPUs: which there are, which of them a run may use, and by what name a trial process is given one
slots        Slots: what one trial at a time may use of the machine: a GPU, a share of one, or some cores
memory       Whether a trial died of too little memory, as far as anybody can tell
limits       What a run may have of files
descendants  The processes that a trial has started: they end with it, since they would hold its memory and its GPU
child        What a trial process does: receive a task, do it, end
fork_server  The process that has TensorFlow imported and gives birth to trial processes
server       A fork server
launching    Starting, killing and awaiting trial processes
signals      Ctrl-C, SIGTERM and SIGHUP, turned into a question that can be asked at any time: are we to stop?
"""

from autotune.running.processes.backend import refuse_other_backend, without_backend
from autotune.running.processes.child import Task, output_to
from autotune.running.processes.gpus import NO_GPU, Gpu, select_gpus, visible_gpus
from autotune.running.processes.launching import KILLED, Launcher, LauncherClosedError, TrialProcess, new_launcher
from autotune.running.processes.limits import make_room_for_files, telling_exhausted
from autotune.running.processes.memory import died_of_memory, is_out_of_memory, kernel_kills
from autotune.running.processes.signals import interrupt_runs, on_signals
from autotune.running.processes.slots import Sharing, Slot, available_cores, share_machine

__all__ = [
    "KILLED",
    "NO_GPU",
    "Gpu",
    "Launcher",
    "LauncherClosedError",
    "Sharing",
    "Slot",
    "Task",
    "TrialProcess",
    "available_cores",
    "died_of_memory",
    "interrupt_runs",
    "is_out_of_memory",
    "kernel_kills",
    "make_room_for_files",
    "new_launcher",
    "on_signals",
    "output_to",
    "refuse_other_backend",
    "select_gpus",
    "share_machine",
    "telling_exhausted",
    "visible_gpus",
    "without_backend",
]
