"""Slots: what one trial at a time may use of the machine: a GPU, a share of one, or some cores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autotune.errors import UsageError
from autotune.running.processes.gpus import Gpu


@dataclass(frozen=True)
class Slot:
    """A place for one trial at a time.

    Attributes:
        number: Counted from 0.
        threads: How many threads TensorFlow may use in it.
        environment: Environment variables of its trial processes, e.g. which GPU they see.
        gpu: Its GPU; None for the CPU.
        memory_limit_mib: How much of the GPU's memory TensorFlow may take, in MiB; None for no limit.
    """

    number: int
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    gpu: Gpu | None = None
    memory_limit_mib: int | None = None

    def description(self) -> str:
        """Say in one line what a trial in this slot may use."""
        device = f"{self.gpu.name} ({self.gpu.id})" if self.gpu else "CPU"
        limit = f", at most {self.memory_limit_mib:,} MiB" if self.memory_limit_mib else ""
        return f"slot {self.number}: {device}{limit}; {self.threads} thread{'' if self.threads == 1 else 's'}"


@dataclass(frozen=True)
class Sharing:
    """How trials share the machine.

    Attributes:
        workers: How many trials at a time.
        gpus: The GPUs they run on; none for the CPU.
        workers_per_gpu: How many of them a GPU may have.
    """

    workers: int
    gpus: tuple[Gpu, ...] = ()
    workers_per_gpu: int = 1

    def slots(self, threads: int) -> list[Slot]:
        """Return the slots, with `threads` threads each."""
        return gpu_slots(self, threads) if self.gpus else core_slots(self.workers, threads)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_machine(gpus: Sequence[Gpu], workers: int | None, workers_per_gpu: int | None) -> Sharing:
    """Decide how many trials run at a time, and how many on one GPU.

    Args:
        gpus: The GPUs that may be used.
        workers: How many trials at a time; None for as many as the GPUs have, without any GPU as many as there are
            cores. More than there are GPUs share them.
        workers_per_gpu: How many trials a GPU may have at a time; None for one, or as few as `workers` need.

    Raises:
        UsageError: If more workers are asked for than the GPUs may have, or workers per GPU where there is none.
    """
    if not gpus and workers_per_gpu is not None:
        raise UsageError(
            f"workers-per-gpu is {workers_per_gpu}, but there is no GPU to use.",
            "It says how many trials share a GPU.",
            "Leave out --workers-per-gpu (and --gpus none), or see with nvidia-smi why no GPU is found.",
        )
    if not gpus:
        return Sharing(workers or available_cores())
    if workers_per_gpu is None:
        workers = workers or len(gpus)
        return Sharing(workers, tuple(gpus), -(-workers // len(gpus)))
    most = len(gpus) * workers_per_gpu
    if workers is not None and workers > most:
        raise UsageError(
            f"workers is {workers}: more than GPUs times workers-per-gpu, {len(gpus)} x {workers_per_gpu} = {most}.",
            "No GPU is given more trials at a time than --workers-per-gpu.",
            "Leave out one of the two, or change --workers or --workers-per-gpu.",
        )
    return Sharing(workers or most, tuple(gpus), workers_per_gpu)


def core_slots(workers: int, threads: int) -> list[Slot]:
    """Return `workers` slots of `threads` threads each."""
    return [Slot(number, threads) for number in range(workers)]


def gpu_slots(sharing: Sharing, threads: int) -> list[Slot]:
    """Return slots on GPUs: one on each, then the second on each, and so on.

    Slots that share a GPU have equal parts of its memory. TensorFlow keeps to them; a study file that uses another
    framework sees its own GPU only, and has to limit its memory itself.
    """
    slots = []
    for number in range(sharing.workers):
        gpu = sharing.gpus[number % len(sharing.gpus)]
        # TensorFlow takes no more than it needs so far: for a device with a limit, only this variable says so.
        environment = {"CUDA_VISIBLE_DEVICES": gpu.id, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        slots.append(Slot(number, threads, environment, gpu, _memory_limit_mib(gpu, sharing.workers_per_gpu)))
    return slots


def _memory_limit_mib(gpu: Gpu, workers: int) -> int | None:
    return gpu.memory_mib // workers if workers > 1 and gpu.memory_mib is not None else None
