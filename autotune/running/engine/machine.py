"""The checked options for the resources of a run, on this machine or on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from autotune.errors import UsageError
from autotune.running.processes import NO_GPU, Gpu, select_gpus, visible_gpus


@dataclass(frozen=True)
class Machine:
    """The resources of a run.

    Attributes:
        workers: The number of slots; None for the number of GPUs, or of cores if there is no GPU.
        gpus: The visible GPUs to use; None for all, "none" for none.
        workers_per_gpu: The number of slots that share a GPU.
        timeout_s: The time limit of the run in seconds; None for no limit.
        lease_s: The seconds without news after which other parents take over the trials of this one.
        engine: "local" for this machine, "ray" for a Ray cluster.
        cpus_per_worker: The number of Ray's CPUs for each slot; None for the stored number of threads, else 1.

    Raises:
        UsageError: If an option is out of range, or two options exclude each other.
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
                "It is the number of CPUs of a Ray cluster for each slot; on this machine all slots share the cores "
                "equally.",
                "Add --engine ray, or leave out --cpus-per-worker.",
            )
        if self.engine == "ray" and (self.gpus is not None or self.workers_per_gpu is not None):
            raise UsageError(
                "gpus and workers-per-gpu are for this machine, but the engine is 'ray'.",
                "Ray gives each slot a GPU of its own.",
                "Leave out --gpus and --workers-per-gpu; to keep GPUs from Ray, start its nodes with --num-gpus.",
            )

    def usable_gpus(self) -> list[Gpu]:
        """Return the GPUs that a run may use.

        Raises:
            UsageError: If there are no such GPUs.
        """
        return select_gpus(_visible(), self.gpus)

    def environment_of_trials(self, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the environment variables that trial processes need and that the caller has not set."""
        defaults = {"TF_CPP_MIN_LOG_LEVEL": "2"}
        needed = {name: value for name, value in defaults.items() if name not in environment}
        if self.engine == "local" and (_visible() or self.gpus is not None):
            needed["CUDA_VISIBLE_DEVICES"] = NO_GPU  # each slot shows its GPU to its trial process only
        return needed


def check_positive(options: Mapping[str, float | None]) -> None:
    """Check that the given options are larger than zero.

    Raises:
        UsageError: If one is not.
    """
    for option, value in options.items():
        if value is not None and not value > 0:
            raise UsageError(
                f"{option} is {value}.",
                "It must be larger than zero.",
                f"Correct --{option}, or leave it out.",
            )


def _visible() -> list[Gpu]:
    return visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER"))
