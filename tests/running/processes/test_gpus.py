"""Which GPUs a run may use: as CUDA reads CUDA_VISIBLE_DEVICES, and as --gpus selects among them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from autotune.errors import UsageError
from autotune.running.processes.gpus import Gpu, select_gpus, visible_gpus

H100, A100, T4 = (
    Gpu("GPU-aaaa1111-0000", "NVIDIA H100", 80_000),
    Gpu("GPU-aaaa2222-0000", "NVIDIA A100", 40_000),
    Gpu("GPU-bbbb0000-0000", "NVIDIA T4", 16_000),
)
SMALL, LARGE = (
    Gpu("MIG-1111-0000", "NVIDIA A100 MIG 1g.5gb", 5_000),
    Gpu("MIG-2222-0000", "NVIDIA A100 MIG 2g.10gb", 10_000),
)


class NvmlError(Exception):
    """What NVML's functions raise."""


@dataclass
class Card:
    """A GPU in a fake machine; MIG is enabled if there are `instances`, None being an index that has none."""

    whole: Gpu
    instances: Sequence[Gpu | None] | None = None


def nvml(*cards: Card | Gpu | None, text: Callable[[str], object] = str, without: Sequence[str] = ()) -> Any:
    """Return a fake module for a machine with these GPUs; None is one that is lost."""
    machine = [Card(card) if isinstance(card, Gpu) else card for card in cards]

    def there(thing: Any) -> Any:
        if thing is None:
            raise NvmlError("not found")
        return thing

    def instances(card: Card) -> Any:
        return there(card.instances)

    def whole(handle: Card | Gpu) -> Gpu:
        return handle.whole if isinstance(handle, Card) else handle

    functions: dict[str, Any] = {
        "NVMLError": NvmlError,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(machine),
        "nvmlDeviceGetHandleByIndex": lambda index: there(machine[index]),
        "nvmlDeviceGetUUID": lambda handle: text(whole(handle).id),
        "nvmlDeviceGetName": lambda handle: text(whole(handle).name),
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=there(whole(handle).memory_mib) * 2**20 + 5),
        "nvmlDeviceGetMigMode": lambda card: [1, 1] if instances(card) is not None else None,
        "nvmlDeviceGetMaxMigDeviceCount": lambda card: len(instances(card)),
        "nvmlDeviceGetMigDeviceHandleByIndex": lambda card, index: there(instances(card)[index]),
    }
    return SimpleNamespace(**{name: value for name, value in functions.items() if name not in without})


MACHINE = nvml(H100, A100, T4)
PARTITIONED = nvml(H100, Card(A100, [SMALL, None, LARGE]))


def test_without_a_variable_all_gpus_are_visible_by_their_uuids() -> None:
    assert visible_gpus(None, nvml=MACHINE) == [H100, A100, T4]


def test_a_machine_without_a_driver_has_no_gpus() -> None:
    def no_driver() -> None:
        raise NvmlError("Driver Not Loaded")

    broken = nvml(H100)
    broken.nvmlInit = no_driver
    assert visible_gpus(None, nvml=broken) == []
    assert visible_gpus("0", nvml=broken) == []


def test_the_real_module_may_be_asked_on_any_machine_and_makes_no_process_load_tensorflow() -> None:
    code = "import sys; from autotune.running.processes import visible_gpus; visible_gpus(None);"
    code += "print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_module_that_returns_bytes_and_knows_no_mig_will_do() -> None:
    mig = [name for name in vars(MACHINE) if "Mig" in name]
    assert len(mig) == 3
    assert visible_gpus(None, nvml=nvml(H100, T4, text=str.encode, without=[*mig, "NVMLError"])) == [H100, T4]


def test_a_gpu_that_is_lost_does_not_hide_the_others() -> None:
    assert visible_gpus(None, nvml=nvml(H100, None, T4)) == [H100, T4]


def test_a_gpu_whose_memory_nobody_knows_is_a_gpu() -> None:
    shared_with_the_cpu = Gpu("GPU-cccc", "NVIDIA GB10", None)
    assert visible_gpus(None, nvml=nvml(shared_with_the_cpu)) == [shared_with_the_cpu]


def test_a_partitioned_gpu_is_replaced_by_its_instances() -> None:
    assert visible_gpus(None, nvml=PARTITIONED) == [H100, SMALL, LARGE]
    assert visible_gpus(None, nvml=nvml(H100, Card(A100, [None]))) == [H100]


@pytest.mark.parametrize(
    "visible", ["", "-1", "NoDevFiles", "none", "-1,0", "3", " ", ",0", "GPU-", "GPU-cccc", "MIG-"]
)
def test_a_variable_whose_first_entry_is_no_gpu_shows_none(visible: str) -> None:
    assert visible_gpus(visible, nvml=MACHINE) == []


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0,1,2", [H100, A100, T4]),
        ("2,0", [T4, H100]),
        (" 1 , +0", [A100, H100]),
        ("1x,2.5", [A100, T4]),
        ("1,-1,2", [A100]),
        ("1,,2", [A100]),
        ("0,3,1", [H100]),
        ("0,GPU-bbbb", [H100]),
        ("0,1,0", []),
    ],
)
def test_numbers_in_the_order_of_the_bus_become_uuids(visible: str, expected: list[Gpu]) -> None:
    assert visible_gpus(visible, "PCI_BUS_ID", MACHINE) == expected


def test_the_only_gpu_is_number_0_in_any_order() -> None:
    assert visible_gpus("0", None, nvml(T4)) == [T4]


@pytest.mark.parametrize("order", [None, "FASTEST_FIRST"])
def test_numbers_in_cudas_own_order_are_passed_on(order: str | None) -> None:
    alike = nvml(T4, Gpu("GPU-other", T4.name, T4.memory_mib))
    assert visible_gpus("1,0", order, alike) == [Gpu("1", T4.name, 16_000), Gpu("0", T4.name, 16_000)]


def test_where_a_number_may_be_any_gpu_the_least_memory_counts() -> None:
    either = Gpu("1", "NVIDIA H100 or NVIDIA A100 or NVIDIA T4", 16_000)
    assert visible_gpus("1,3", None, MACHINE) == [either]
    assert visible_gpus("1,01", None, MACHINE) == []


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (T4.id, [T4]),
        ("GPU-bbbb,GPU-aaaa1", [T4, H100]),
        ("GPU-bbbb,GPU-aaaa", [T4]),
        ("GPU-bbbb,GPU-cccc,GPU-aaaa1", [T4]),
        ("GPU-bbbb,0", [T4]),
        ("GPU-bbbb,MIG-1111-0000", [T4]),
        ("GPU-aaaa1,GPU-aaaa1111", []),
    ],
)
def test_uuids_may_be_cut_short_but_not_ambiguous(visible: str, expected: list[Gpu]) -> None:
    assert visible_gpus(visible, None, MACHINE) == expected


def test_a_whole_uuid_is_not_ambiguous_though_another_begins_with_it() -> None:
    assert visible_gpus("GPU-1", None, nvml(Gpu("GPU-1", "one", 1), Gpu("GPU-10", "ten", 10))) == [
        Gpu("GPU-1", "one", 1)
    ]


def test_mig_instances_are_named_by_their_uuids() -> None:
    assert visible_gpus("MIG-2222-0000,MIG-1111", None, PARTITIONED) == [LARGE, SMALL]
    assert visible_gpus("MIG-2222,GPU-aaaa1111", None, PARTITIONED) == [LARGE]


def test_mig_instances_in_the_old_form_are_passed_on() -> None:
    old = f"MIG-{A100.id}/3/0"
    assert visible_gpus(old, None, PARTITIONED) == [Gpu(old, f"{SMALL.name} or {LARGE.name}", 5_000)]
    assert visible_gpus(f"MIG-{H100.id}/3/0", None, PARTITIONED) == []


@pytest.mark.parametrize("visible", ["1", A100.id])
def test_a_partitioned_gpu_itself_is_passed_on_for_cuda_to_choose_its_instance(visible: str) -> None:
    assert visible_gpus(visible, "PCI_BUS_ID", PARTITIONED) == [Gpu(visible, f"{SMALL.name} or {LARGE.name}", 5_000)]


def test_all_visible_gpus_are_selected_unless_something_else_is_wanted() -> None:
    assert select_gpus([T4, H100], None) == [T4, H100]
    assert select_gpus([], None) == []


@pytest.mark.parametrize("wanted", ["none", " none ", ["none"]])
def test_none_selects_no_gpu_even_where_there_is_none(wanted: str | list[str]) -> None:
    assert select_gpus([T4, H100], wanted) == []
    assert select_gpus([], wanted) == []


@pytest.mark.parametrize("wanted", ["2,0", " 2, 0", [2, 0], ["2", 0], (2, "0"), f"{A100.id},GPU-b", ["GPU-aaaa2", "0"]])
def test_gpus_are_selected_by_position_or_uuid(wanted: Any) -> None:
    assert select_gpus([T4, H100, A100], wanted) == [A100, T4]


def test_positions_count_among_the_visible_gpus() -> None:
    assert select_gpus([Gpu("3", "a", 1), Gpu("1", "b", 1)], "1") == [Gpu("1", "b", 1)]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("3", "'3', but there is no such GPU"),
        ("-1", "'-1', but there is no such GPU"),
        ([-1], "'-1', but there is no such GPU"),
        ("0,,1", "'', but there is no such GPU"),
        ("0,none", "'none', but there is no such GPU"),
        ("GPU-c", "'GPU-c', but there is no such GPU"),
        ("GPU-aaaa", "'GPU-aaaa', which is more than one GPU"),
        ("0,0", "'0' twice"),
        (f"0,{T4.id}", f"'{T4.id}' twice"),
        ("", "names no GPU"),
        ([], "names no GPU"),
        (2, "gpus=2 is neither"),
    ],
)
def test_what_is_not_there_ambiguous_or_named_twice_is_refused_with_what_there_is(wanted: Any, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        select_gpus([T4, H100, A100], wanted)
    assert words in raised.value.happened
    assert f"0: NVIDIA T4 ({T4.id})\n1: NVIDIA H100 ({H100.id})\n2: NVIDIA A100" in raised.value.expected
    assert "--gpus none" in raised.value.fix


def test_asking_for_a_gpu_where_none_is_visible_is_refused() -> None:
    with pytest.raises(UsageError, match="No GPU is visible"):
        select_gpus([], "0")
