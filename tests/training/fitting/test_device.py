"""TensorFlow's settings: threads, and how much memory of a GPU it takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from autotune.training.fitting.device import configure_tensorflow  # noqa: E402 -- reason: it imports TensorFlow


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[tuple[object, ...]]]]:
    """Give a function that configures a TensorFlow with one GPU, and returns what it said and what it set."""

    def configure(gpus: list[str], **arguments: int | None) -> tuple[int, list[tuple[object, ...]]]:
        made: list[tuple[object, ...]] = []

        def note(name: str) -> Callable[..., None]:
            return lambda *values: made.append((name, *values))

        monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", note("intra"))
        monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", note("inter"))
        monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", note("determinism"))
        monkeypatch.setattr(tf.random, "set_seed", note("seed"))
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", note("growth"))
        monkeypatch.setattr(tf.config, "set_logical_device_configuration", note("logical"))
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus if kind == "GPU" else ["cpu"])
        return configure_tensorflow(3, **arguments), made

    return configure


ALWAYS = [("intra", 3), ("inter", 3), ("determinism",), ("seed", 0)]


def test_without_a_gpu_threads_and_determinism_are_set(settings: Callable[..., object]) -> None:
    assert settings([]) == (0, ALWAYS)
    assert settings([], memory_limit_mib=100) == (0, ALWAYS)


def test_a_gpu_of_its_own_gives_memory_as_it_is_needed(settings: Callable[..., object]) -> None:
    assert settings(["gpu"]) == (1, [*ALWAYS, ("growth", "gpu", True)])


def test_a_shared_gpu_gives_memory_up_to_the_limit_and_growth_is_not_set_beside_it(
    settings: Callable[..., object],
) -> None:
    limit = [tf.config.LogicalDeviceConfiguration(memory_limit=40_000)]
    assert settings(["gpu"], memory_limit_mib=40_000) == (1, [*ALWAYS, ("logical", "gpu", limit)])
