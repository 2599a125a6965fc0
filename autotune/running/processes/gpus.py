"""The GPUs of this machine, those that a run may use, and their names in CUDA_VISIBLE_DEVICES.

NVIDIA's management library (NVML) lists them. It creates no CUDA context, so the process that starts trials never takes
memory on a GPU. What is not covered: GPUs of other makers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autotune.errors import UsageError

NO_GPU = "-1"  # a CUDA_VISIBLE_DEVICES that shows no GPU


@dataclass(frozen=True)
class Gpu:
    """A GPU, or an instance of one that is partitioned (MIG).

    Attributes:
        id: Its entry in the CUDA_VISIBLE_DEVICES of a trial process.
        name: Its product name.
        memory_mib: Its total memory in MiB; None if NVML does not tell, e.g. because it is shared with the CPU.
    """

    id: str
    name: str
    memory_mib: int | None


@dataclass(frozen=True)
class _Card:
    """A GPU in NVML's list, which is in the order of the PCI bus and ignores CUDA_VISIBLE_DEVICES.

    Attributes:
        uuid: Its UUID, which begins with "GPU-".
        is_partitioned: Whether MIG is enabled.
        usable: The GPU itself, or its MIG instances.
    """

    uuid: str
    is_partitioned: bool
    usable: tuple[Gpu, ...]


def visible_gpus(visible: str | None, order: str | None = None, nvml: Any = None) -> list[Gpu]:
    """Return the GPUs that a new process may use.

    Args:
        visible: CUDA_VISIBLE_DEVICES; None if it is not set. Then all GPUs are visible, and all instances of those with
            MIG.
        order: CUDA_DEVICE_ORDER; None if it is not set.
        nvml: The module `pynvml`, or one with the same functions.

    Returns:
        The GPUs in CUDA's order; none without an NVIDIA driver. Their `id` is the UUID if it is certain which GPU is
        meant, otherwise the entry in `visible`.
    """
    cards = _cards(nvml)
    if visible is None:
        return [gpu for card in cards for gpu in card.usable]
    return _as_cuda_reads(visible, order == "PCI_BUS_ID" or len(cards) == 1, cards)


def select_gpus(visible: list[Gpu], wanted: str | Sequence[int | str] | None) -> list[Gpu]:
    """Return the `wanted` GPUs, in the order in which they are named.

    Args:
        visible: The GPUs to choose from.
        wanted: Positions in `visible`, from 0, or UUIDs or their beginnings: a sequence, or a string with commas. None
            for all GPUs; "none" for no GPU.

    Raises:
        UsageError: If a named GPU does not exist, or is named twice.
    """
    if wanted is None:
        return visible
    if not isinstance(wanted, (str, Sequence)):
        raise _unusable(f"gpus={wanted!r} is neither a string nor a list.", visible)
    entries = [str(entry).strip() for entry in (wanted.split(",") if isinstance(wanted, str) else wanted)]
    if entries == ["none"]:
        return []
    if not any(entries):
        raise _unusable("--gpus names no GPU.", visible)
    chosen: list[Gpu] = []
    for entry in entries:
        gpu = _selected(entry, visible)
        if gpu in chosen:
            raise _unusable(f"--gpus names GPU {entry!r} twice.", visible)
        chosen.append(gpu)
    return chosen


def _selected(entry: str, visible: list[Gpu]) -> Gpu:
    if entry.isdecimal():
        found = visible[int(entry) :][:1]
    else:
        found = _beginning_with(entry, visible) if entry else []
    if len(found) != 1:
        problem = "which is more than one GPU" if found else "but there is no such GPU"
        raise _unusable(f"--gpus names {entry!r}, {problem}.", visible)
    return found[0]


def _unusable(happened: str, visible: list[Gpu]) -> UsageError:
    listed = [f"{position}: {gpu.name} ({gpu.id})" for position, gpu in enumerate(visible)]
    return UsageError(
        happened,
        "\n".join(["The visible GPUs are", *listed] if listed else ["No GPU is visible here (nvidia-smi lists them)."]),
        "Name GPUs by their position or UUID, e.g. --gpus 0,1. To use none, write --gpus none. To use all, remove "
        "--gpus.",
    )


def _beginning_with(start: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    return [gpu for gpu in gpus if gpu.id == start] or [gpu for gpu in gpus if gpu.id.startswith(start)]


def _as_cuda_reads(visible: str, numbers_are_certain: bool, cards: list[_Card]) -> list[Gpu]:
    """Return the GPUs that CUDA makes visible for this CUDA_VISIBLE_DEVICES.

    The list ends at the first entry that is not a GPU or not of the same kind (number, "GPU-", "MIG-") as the first
    entry. A list that names a GPU twice makes none visible. CUDA's Programming Guide ("CUDA Environment Variables")
    states the first rule; PyTorch found the others (torch/cuda/__init__.py, `_parse_visible_devices`).
    """
    entries = [entry.strip() for entry in visible.split(",")]
    named: list[Gpu] = []
    for entry in entries:
        gpu = _named(entry, numbers_are_certain, cards) if _kind(entry) == _kind(entries[0]) else None
        if gpu is None:
            break
        if gpu.id in [other.id for other in named]:
            return []
        named.append(gpu)
    return named


def _kind(entry: str) -> str:
    return entry[:4] if entry.startswith(("GPU-", "MIG-")) else "number"


def _named(entry: str, numbers_are_certain: bool, cards: list[_Card]) -> Gpu | None:
    if entry.startswith("MIG-"):
        return _named_instance(entry, cards)
    if entry.startswith("GPU-"):
        found = [card for card in cards if card.uuid == entry] or [c for c in cards if c.uuid.startswith(entry)]
        return _one_of(found[0].usable, found[0].uuid) if len(found) == 1 else None
    digits = re.match(r"\+?\d+", entry)  # like C's strtoul: "1x" is 1
    if digits is None or int(digits[0]) >= len(cards):
        return None
    number = int(digits[0])
    if not numbers_are_certain:
        # CUDA puts the fastest GPU first, by an undocumented rule: only CUDA knows which GPU has this number.
        return _one_of([gpu for card in cards for gpu in card.usable], str(number))
    card = cards[number]
    return _one_of(card.usable, str(number) if card.is_partitioned else card.uuid)


def _named_instance(entry: str, cards: list[_Card]) -> Gpu | None:
    instances = [gpu for card in cards if card.is_partitioned for gpu in card.usable]
    if found := _beginning_with(entry, instances):
        return found[0] if len(found) == 1 else None
    # Drivers before R470 write: the GPU, the number of the GPU instance, the number of the compute instance.
    old_form = re.fullmatch(r"MIG-(GPU-[^/]+)/\d+/\d+", entry)
    parents = [card for card in cards if old_form and card.is_partitioned and card.uuid == old_form[1]]
    return _one_of(parents[0].usable, entry) if parents else None


def _one_of(gpus: Sequence[Gpu], gpu_id: str) -> Gpu | None:
    """Return one of `gpus`, if it is unknown which one: with all their names and the smallest memory."""
    if not gpus:
        return None
    memory = [gpu.memory_mib for gpu in gpus if gpu.memory_mib is not None]
    return Gpu(gpu_id, " or ".join(dict.fromkeys(gpu.name for gpu in gpus)), min(memory, default=None))


def _cards(nvml: Any) -> list[_Card]:
    if nvml is None:
        import pynvml  # here, so that commands that run no trials do not wait for this import

        nvml = pynvml
    try:
        nvml.nvmlInit()
    except _errors(nvml):
        return []  # no driver, or one that does not work
    try:
        found = [_card(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    except _errors(nvml):
        return []
    finally:
        nvml.nvmlShutdown()
    return [card for card in found if card is not None]


def _card(nvml: Any, index: int) -> _Card | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        whole = _gpu(nvml, handle)
    except _errors(nvml):
        return None  # it has failed ("fallen off the bus"), or this user may not use it: the others can be used
    instances = _mig_instances(nvml, handle)
    return _Card(whole.id, instances is not None, (whole,) if instances is None else instances)


def _gpu(nvml: Any, handle: Any) -> Gpu:
    memory = None
    with contextlib.suppress(*_errors(nvml)):
        memory = nvml.nvmlDeviceGetMemoryInfo(handle).total >> 20
    return Gpu(_text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle)), memory)


def _mig_instances(nvml: Any, handle: Any) -> tuple[Gpu, ...] | None:
    """Return the MIG instances of a GPU; None if MIG is not enabled."""
    enabled = False
    if hasattr(nvml, "nvmlDeviceGetMigMode"):
        with contextlib.suppress(*_errors(nvml)):  # most GPUs have no MIG
            enabled, _ = nvml.nvmlDeviceGetMigMode(handle)
    if not enabled:
        return None
    found = []
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with contextlib.suppress(*_errors(nvml)):  # there is no instance at this index
            found.append(_gpu(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)))
    return tuple(found)


def _errors(nvml: Any) -> tuple[type[Exception], ...]:
    return (nvml.NVMLError,) if hasattr(nvml, "NVMLError") else ()


def _text(value: str | bytes) -> str:
    """Return a text, which older versions of the module return as bytes."""
    return value.decode() if isinstance(value, bytes) else value
