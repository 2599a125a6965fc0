"""GPUs, slots, and the processes that trials run in.

A trial process starts in milliseconds, and ends together with all processes that it has started. When the parent dies,
all of them end.

backend      The check that Keras uses the TensorFlow backend
gpus         The GPUs of this machine, those that a run may use, and their names in CUDA_VISIBLE_DEVICES
slots        Slots: the part of the machine that one trial at a time may use: a GPU, a share of one, or some cores
memory       Signs that a trial process ended because memory ran out
limits       The limits on files, processes, threads and memory, and the errors for reaching them
descendants  The processes that a trial has started: they are ended with the trial, to free its memory and its GPU
child        The main function of a trial process: receive a task, do it, end
fork_server  The main function of the fork server, which has TensorFlow imported and forks trial processes
server       The parent's handle to a fork server, and the servers that are kept for the next run of this process
launching    Launchers, which start and kill trial processes and wait for their end
signals      A thread that calls a function on Ctrl-C, SIGTERM or SIGHUP
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
