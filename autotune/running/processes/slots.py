"""Slots: the part of the machine that one trial at a time may use: a GPU, a share of one, or some cores."""

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
        number: Its number, from 0.
        threads: How many threads TensorFlow may use in it.
        environment: Environment variables of its trial processes, e.g. for the visible GPU.
        gpu: Its first GPU; None for the CPU.
        memory_limit_mib: How much GPU memory TensorFlow may take, in MiB; None for no limit.
        more_gpus: Its other GPUs.
        devices: The number of devices that its trials train on: GPUs, or without GPUs parts of the CPU.
    """

    number: int
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    gpu: Gpu | None = None
    memory_limit_mib: int | None = None
    more_gpus: tuple[Gpu, ...] = ()
    devices: int = 1

    def description(self) -> str:
        """Return a line that says what a trial in this slot may use."""
        gpus = [self.gpu, *self.more_gpus] if self.gpu else []
        device = " and ".join(f"{gpu.name} ({gpu.id})" for gpu in gpus) or "CPU"
        device += f" as {self.devices} devices" if self.devices > 1 and not gpus else ""
        limit = f", at most {self.memory_limit_mib:,} MiB" if self.memory_limit_mib else ""
        return f"slot {self.number}: {device}{limit}; {self.threads} thread{'' if self.threads == 1 else 's'}"


@dataclass(frozen=True)
class Sharing:
    """How trials share the machine.

    Attributes:
        workers: The number of slots.
        gpus: Their GPUs; none for the CPU.
        workers_per_gpu: The largest number of slots on one GPU.
    """

    workers: int
    gpus: tuple[Gpu, ...] = ()
    workers_per_gpu: int = 1

    def slots(self, threads: int, devices: int = 1) -> list[Slot]:
        """Return the slots, with `threads` threads and `devices` devices each.

        Raises:
            UsageError: If there are fewer GPUs than devices of a trial.
        """
        if not self.gpus:
            return core_slots(self.workers, threads, devices)
        return gpu_slots(self, threads) if devices == 1 else wide_slots(self, threads, devices)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_machine(gpus: Sequence[Gpu], workers: int | None, workers_per_gpu: int | None) -> Sharing:
    """Return the number of slots, and how they share the GPUs.

    Args:
        gpus: The GPUs that may be used.
        workers: The number of slots; if there are more slots than GPUs, they share the GPUs. None for as many as the
            GPUs may have, or without GPUs as many as there are cores.
        workers_per_gpu: The largest number of slots on one GPU; None for one, or as few as `workers` need.

    Raises:
        UsageError: If `workers` is more than the GPUs may have, or `workers_per_gpu` is given without GPUs.
    """
    if not gpus and workers_per_gpu is not None:
        raise UsageError(
            f"workers-per-gpu is {workers_per_gpu}, but there is no GPU to use.",
            "It is the number of trials that share a GPU.",
            "Remove --workers-per-gpu (and --gpus none), or check with nvidia-smi why no GPU is found.",
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
            "A GPU runs at most --workers-per-gpu trials at the same time.",
            "Remove one of the two options, or change --workers or --workers-per-gpu.",
        )
    return Sharing(workers or most, tuple(gpus), workers_per_gpu)


def core_slots(workers: int, threads: int, devices: int = 1) -> list[Slot]:
    """Return `workers` slots with `threads` threads each."""
    return [Slot(number, threads, devices=devices) for number in range(workers)]


def gpu_slots(sharing: Sharing, threads: int) -> list[Slot]:
    """Return slots on GPUs: one on each GPU, then a second on each, and so on.

    Slots that share a GPU get equal parts of its memory. TensorFlow obeys this limit. A study file that uses another
    framework sees only its slot's GPU, but must limit its memory itself.
    """
    slots = []
    for number in range(sharing.workers):
        gpu = sharing.gpus[number % len(sharing.gpus)]
        # With this variable TensorFlow takes memory only when needed; with a limit there is no other way.
        environment = {"CUDA_VISIBLE_DEVICES": gpu.id, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        slots.append(Slot(number, threads, environment, gpu, _memory_limit_mib(gpu, sharing.workers_per_gpu)))
    return slots


def wide_slots(sharing: Sharing, threads: int, devices: int) -> list[Slot]:
    """Return slots of several GPUs each, no GPU in two of them; GPUs that are left over are not used.

    Raises:
        UsageError: If there are fewer GPUs than devices of a trial, or GPUs were to be shared.
    """
    if len(sharing.gpus) < devices or sharing.workers_per_gpu > 1:
        raise UsageError(
            f"devices_per_trial is {devices}, and there are {len(sharing.gpus)} GPUs for {sharing.workers} workers.",
            "Each trial has its GPUs for itself.",
            "Use more GPUs, fewer --workers, no --workers-per-gpu, or a smaller devices_per_trial.",
        )
    slots = []
    for number in range(min(sharing.workers, len(sharing.gpus) // devices)):
        gpu, *more = sharing.gpus[number * devices : (number + 1) * devices]
        visible = ",".join(one.id for one in (gpu, *more))
        environment = {"CUDA_VISIBLE_DEVICES": visible, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        slots.append(Slot(number, threads, environment, gpu, more_gpus=tuple(more), devices=devices))
    return slots


def _memory_limit_mib(gpu: Gpu, workers: int) -> int | None:
    return gpu.memory_mib // workers if workers > 1 and gpu.memory_mib is not None else None
