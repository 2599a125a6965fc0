"""Slots: how many trials run at a time, on which GPU, and with how much of its memory."""

from __future__ import annotations

from collections import Counter

import pytest

from autotune.errors import UsageError
from autotune.running.processes.gpus import Gpu
from autotune.running.processes.slots import Sharing, Slot, available_cores, share_machine

GPUS = [Gpu("GPU-a", "NVIDIA H100", 80_000), Gpu("GPU-b", "NVIDIA H100", 80_000), Gpu("2", "NVIDIA T4", 15_001)]


def slots(workers: int | None, workers_per_gpu: int | None, gpus: list[Gpu] = GPUS) -> list[tuple[str, int | None]]:
    """Return the GPU and the memory limit of each slot."""
    made = share_machine(gpus, workers, workers_per_gpu).slots(2)
    assert [slot.number for slot in made] == list(range(len(made)))
    return [(slot.gpu.id, slot.memory_limit_mib) for slot in made if slot.gpu]


def test_without_gpus_there_is_a_slot_for_each_core() -> None:
    assert share_machine([], None, None).slots(1) == [Slot(number, 1) for number in range(available_cores())]
    assert share_machine([], 3, None).slots(2) == [Slot(0, 2), Slot(1, 2), Slot(2, 2)]


def test_each_gpu_has_one_slot_with_all_its_memory() -> None:
    assert slots(None, None) == slots(None, 1) == [("GPU-a", None), ("GPU-b", None), ("2", None)]


def test_a_slot_shows_its_processes_its_own_gpu_and_lets_memory_grow() -> None:
    made = share_machine(GPUS, None, 2).slots(4)
    for slot in made:
        assert slot.gpu is not None
        assert slot.environment == {"CUDA_VISIBLE_DEVICES": slot.gpu.id, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        assert slot.threads == 4


def test_slots_that_share_a_gpu_have_equal_parts_of_its_memory_and_come_after_one_another() -> None:
    one_each = [("GPU-a", 40_000), ("GPU-b", 40_000), ("2", 7_500)]
    assert slots(None, 2) == one_each * 2
    assert slots(None, 3)[::3] == [("GPU-a", 26_666)] * 3


def test_fewer_workers_than_slots_take_the_first() -> None:
    assert slots(2, None) == [("GPU-a", None), ("GPU-b", None)]
    assert slots(4, 2) == [*slots(None, 2)[:3], ("GPU-a", 40_000)]
    assert slots(6, 2) == slots(None, 2)


@pytest.mark.parametrize(("workers", "per_gpu"), [(4, 2), (6, 2), (7, 3), (9, 3)])
def test_more_workers_than_gpus_share_them_as_evenly_as_can_be(workers: int, per_gpu: int) -> None:
    made = slots(workers, None)
    assert len(made) == workers
    assert made == slots(workers, per_gpu)
    assert set(Counter(gpu for gpu, _ in made).values()) <= {per_gpu, per_gpu - 1}


def test_more_workers_than_the_gpus_may_have_are_refused() -> None:
    with pytest.raises(UsageError, match="workers is 7: more than GPUs times workers-per-gpu, 3 x 2 = 6"):
        share_machine(GPUS, 7, 2)


def test_workers_per_gpu_without_a_gpu_are_refused() -> None:
    with pytest.raises(UsageError, match="there is no GPU to use"):
        share_machine([], None, 2)


def test_memory_that_nobody_knows_is_not_limited() -> None:
    assert slots(None, 2, [Gpu("GPU-a", "NVIDIA GB10", None)]) == [("GPU-a", None)] * 2


@pytest.mark.parametrize(
    ("slot", "line"),
    [
        (Slot(0, 1), "slot 0: CPU; 1 thread"),
        (Slot(3, 2, {}, GPUS[0], 40_000), "slot 3: NVIDIA H100 (GPU-a), at most 40,000 MiB; 2 threads"),
        (Slot(1, 8, {}, GPUS[2]), "slot 1: NVIDIA T4 (2); 8 threads"),
        (Slot(0, 1, devices=2), "slot 0: CPU as 2 devices; 1 thread"),
        (Slot(0, 1, {}, GPUS[0], None, (GPUS[2],), 2), "slot 0: NVIDIA H100 (GPU-a) and NVIDIA T4 (2); 1 thread"),
    ],
)
def test_a_slot_is_described_in_one_line(slot: Slot, line: str) -> None:
    assert slot.description() == line


def test_the_number_of_trials_at_a_time_is_known_before_their_threads() -> None:
    assert share_machine(GPUS, None, 2) == Sharing(6, tuple(GPUS), 2)
    assert share_machine(GPUS, 5, None) == Sharing(5, tuple(GPUS), 2)


def test_a_trial_of_several_devices_has_gpus_that_no_other_has() -> None:
    gpus = [Gpu(str(number), "NVIDIA T4", 16_000) for number in range(5)]
    made = share_machine(gpus, None, None).slots(1, devices=2)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in made] == ["0,1", "2,3"]
    assert [slot.memory_limit_mib for slot in made] == [None, None]
    assert len(share_machine(gpus, 1, None).slots(1, devices=3)) == 1
    assert [slot.devices for slot in share_machine([], 2, None).slots(1, devices=2)] == [2, 2]


@pytest.mark.parametrize(("n_gpus", "workers", "per_gpu"), [(1, None, None), (2, 4, None), (2, None, 2)])
def test_gpus_are_not_shared_by_trials_of_several_devices(
    n_gpus: int, workers: int | None, per_gpu: int | None
) -> None:
    gpus = [Gpu(str(number), "NVIDIA T4", 16_000) for number in range(n_gpus)]
    with pytest.raises(UsageError, match="devices_per_trial is 2"):
        share_machine(gpus, workers, per_gpu).slots(1, devices=2)
