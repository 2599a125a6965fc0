"""TensorFlow's settings in a trial process, made before anything touches a device."""

from __future__ import annotations

import tensorflow as tf


def configure_tensorflow(threads: int) -> None:
    """Make this process train with `threads` threads and give the same numbers each time.

    The number of threads decides how TensorFlow splits its sums, and so the last bits of every result: trials that
    are to be equal need the same number.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
