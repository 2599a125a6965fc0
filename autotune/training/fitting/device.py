"""TensorFlow's settings in a trial process, made before TensorFlow touches a device."""

from __future__ import annotations

import tensorflow as tf


def configure_tensorflow(threads: int, memory_limit_mib: int | None = None) -> int:
    """Make TensorFlow deterministic in this process, and limit its threads and GPU memory.

    The number of threads decides how TensorFlow splits its sums, and so the last bits of every result. Two trials give
    the same numbers only with the same number of threads.

    Args:
        threads: Number of threads that TensorFlow may use.
        memory_limit_mib: GPU memory that TensorFlow may take, in MiB; None for as much as it needs.

    Returns:
        The number of GPUs that TensorFlow sees.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        if memory_limit_mib is None:
            tf.config.experimental.set_memory_growth(gpu, True)
        else:
            # TensorFlow refuses to have both set. Growth then comes from TF_FORCE_GPU_ALLOW_GROWTH, as slots set it.
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=memory_limit_mib)
            tf.config.set_logical_device_configuration(gpu, [limit])
    return len(gpus)
