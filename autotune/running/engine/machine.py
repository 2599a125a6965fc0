"""What a run may use of this machine, or of a Ray cluster: the options that say so, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from autotune.errors import UsageError
from autotune.running.processes import NO_GPU, Gpu, select_gpus, visible_gpus


@dataclass(frozen=True)
class Machine:
    """What a run may use, and for how long.

    Attributes:
        workers: How many trials at a time; None for as many as the GPUs have, without any GPU for the number of cores.
        gpus: Which of the visible GPUs; None for all, "none" for none.
        workers_per_gpu: How many trials share a GPU.
        timeout_s: When to stop, in seconds from now; None for never.
        lease_s: After how many seconds without news others take over.
        engine: "local" for this machine, "ray" for a Ray cluster.
        cpus_per_worker: How many of Ray's CPUs each worker has; None for the threads that the study remembers, else 1.

    Raises:
        UsageError: If one is out of range, or they do not go together.
    """

    workers: int | None = None
    gpus: str | Sequence[int | str] | None = None
    workers_per_gpu: int | None = None
    timeout_s: float | None = None
    lease_s: float = 60.0
    engine: Literal["local", "ray"] = "local"
    cpus_per_worker: int | None = None

    def __post_init__(self) -> None:
        check_positive(
            {
                "workers": self.workers,
                "workers-per-gpu": self.workers_per_gpu,
                "cpus-per-worker": self.cpus_per_worker,
                "timeout": self.timeout_s,
                "lease": self.lease_s,
            }
        )
        self._check_engine()

    def _check_engine(self) -> None:
        if self.engine not in ("local", "ray"):
            raise UsageError(
                f"there is no engine {self.engine!r}.",
                "The engines are 'local' (this machine) and 'ray' (a Ray cluster).",
                "Choose one of them with --engine, or leave it out for 'local'.",
            )
        if self.engine == "local" and self.cpus_per_worker is not None:
            raise UsageError(
                f"cpus-per-worker is {self.cpus_per_worker}, but the engine is 'local'.",
                "It says how many CPUs of a Ray cluster each worker has; on this machine the cores divided by the "
                "workers decide.",
                "Add --engine ray, or leave out --cpus-per-worker.",
            )
        if self.engine == "ray" and (self.gpus is not None or self.workers_per_gpu is not None):
            raise UsageError(
                "gpus and workers-per-gpu are for this machine, but the engine is 'ray'.",
                "Ray gives each worker a GPU of its own.",
                "Leave out --gpus and --workers-per-gpu; to keep GPUs from Ray, start its nodes with --num-gpus.",
            )

    def usable_gpus(self) -> list[Gpu]:
        """Return the GPUs that a run may use.

        Raises:
            UsageError: If there are no such GPUs.
        """
        return select_gpus(_visible(), self.gpus)

    def environment_of_trials(self, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return what trial processes need in their environment and the caller has not decided."""
        defaults = {"TF_CPP_MIN_LOG_LEVEL": "2"}
        needed = {name: value for name, value in defaults.items() if name not in environment}
        if self.engine == "local" and (_visible() or self.gpus is not None):
            needed["CUDA_VISIBLE_DEVICES"] = NO_GPU  # only a slot shows one, to the process of a trial
        return needed


def check_positive(options: Mapping[str, float | None]) -> None:
    """Check options that are larger than zero where they are given.

    Raises:
        UsageError: If one is not.
    """
    for option, value in options.items():
        if value is not None and not value > 0:
            raise UsageError(
                f"{option} is {value}.",
                "It is to be larger than zero.",
                f"Correct --{option}, or leave it out.",
            )


def _visible() -> list[Gpu]:
    return visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))
