"""TensorFlow's settings in a trial process, made before TensorFlow touches a device."""

from __future__ import annotations

import contextlib

import tensorflow as tf


def configure_tensorflow(threads: int, memory_limit_mib: int | None = None, devices: int = 1) -> int:
    """Make TensorFlow deterministic in this process, and limit its threads and GPU memory.

    The number of threads decides how TensorFlow splits its sums, and so the last bits of every result. Two trials give
    the same numbers only with the same number of threads.

    Args:
        threads: Number of threads that TensorFlow may use.
        memory_limit_mib: GPU memory that TensorFlow may take, in MiB; None for as much as it needs.
        devices: The number of devices to make of the CPU, if there is no GPU.

    Returns:
        The number of GPUs that TensorFlow sees.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(0)  # else a `build` that trains a part of its model would stop where no trial sets its own seed
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        if memory_limit_mib is None:
            tf.config.experimental.set_memory_growth(gpu, True)
        else:
            # TensorFlow refuses to have both set. Growth then comes from TF_FORCE_GPU_ALLOW_GROWTH, as slots set it.
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=memory_limit_mib)
            tf.config.set_logical_device_configuration(gpu, [limit])
    if devices > 1 and not gpus:
        parts = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    return len(gpus)


def scope_of_devices(devices: int) -> contextlib.AbstractContextManager[object]:
    """Return the scope in which a network is built that is trained on several devices; one without effect for one.

    Each device computes the gradients of its part of a batch, and all apply their sum.
    """
    names = [one.name for one in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
    if devices == 1 or len(names) < devices:  # processes that only look at the network have a single device
        return contextlib.nullcontext()
    scope: contextlib.AbstractContextManager[object] = tf.distribute.MirroredStrategy(names[:devices]).scope()
    return scope
